"""What a refused client is told: who, what, until when, where to ask; and never the words that make clients sleep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import house, usd

from bursar.core.admission import Ask, Balance, Cover, Line
from bursar.core.budget import LIMIT_MAX, Budget, Limit, Unit
from bursar.core.labels import Labels
from bursar.core.ledger import Refused, Reservation
from bursar.core.provider import Provider
from bursar.core.window import Window, WindowKind
from bursar.pipeline.call import Call
from bursar.pipeline.refusals import refuse, refuse_budget
from bursar.testing import Script
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Refusal, Request, Wire
from bursar.wire.openai_chat import OpenAIChat

FORBIDDEN = ("rate limit", "429")
WIRES: list[Wire] = [OpenAIChat(), AnthropicMessages()]
evil = st.sampled_from(["429", "rate limit", "RATE LIMIT", "Rate Limit 429", "4290", "x429x"])
names = st.one_of(st.text(min_size=1, max_size=30), evil, st.builds("{}{}".format, st.text(max_size=5), evil))
amounts = st.one_of(
    st.integers(0, 2**53), st.sampled_from([429, 4290, 429_000_000_000, 142_900_000, 1_429, 42_900_000])
)


def call_of(wire: Wire, client: str = "") -> Call:
    request = Request(wire.name, "m", {}, False, True, None)
    provider = Provider("p", "http://x", (wire.name,))
    return Call("id", "default", wire, request, provider, "m", Labels({}), "/", {}, client)


def text_of(body: bytes) -> str:
    text = json.loads(body)["error"]["message"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("unit", "limit", "settled", "words"),
    [
        (Unit.REQUESTS, 1, 1, "1 of 1 request used"),
        (Unit.REQUESTS, 20, 20, "20 of 20 requests used"),
        (Unit.OUTPUT_TOKENS, 50_000, 49_800, "49,800 of 50,000 output tokens used"),
        (Unit.USD, 5_000_000_000, 4_980_000_000, "$4.98 of $5.00 used"),
    ],
)
def test_an_amount_reads_well(unit: Unit, limit: int, settled: int, words: str) -> None:
    budget = Budget("b", (Limit(unit, limit),), Window(WindowKind.TOTAL))
    line = Line("b", "i", "", 0, 2**63 - 1, unit, limit)
    asked = Reservation("id", "default", "p", 0, {}, Cover(10**12, 0, 0), Ask(1000, 1000), (line,))
    message = refuse_budget((budget,), asked, Refused(line, Balance(settled, 0, 0), True)).message
    assert words in message
    assert "needs up to 1 request." in message or unit is not Unit.REQUESTS


@given(names, names, st.one_of(st.just(""), names), st.sampled_from(Unit), amounts, amounts, amounts, st.booleans())
def test_no_refusal_says_rate_limit_or_429(
    name: str, scope: str, link: str, unit: Unit, limit: int, settled: int, held: int, is_exhausted: bool
) -> None:
    budget = Budget(name, (Limit(unit, min(limit, LIMIT_MAX[unit])),), Window(WindowKind.MONTH), link=link)
    starts, ends = 1_775_001_600 * 10**9, 1_777_507_200 * 10**9
    line = Line(name, "i", scope, starts, ends, unit, limit)
    cover = Cover(settled % 10**12, held % 10**9, held % 10**6)
    asked = Reservation("id", "default", "p", starts, {}, cover, Ask(429, 4290), (line,))
    refused = Refused(line, Balance(settled, 0, held), is_exhausted)
    refusal = refuse_budget((budget,), asked, refused)
    for wire in WIRES:
        reply = refuse(call_of(wire), refusal)
        assert isinstance(reply.body, bytes)
        assert not any(word in text_of(reply.body).lower() for word in FORBIDDEN)
        for header, value in reply.headers:
            (header + value).encode("latin-1")
            assert "\n" not in value and "\r" not in value


@given(names, st.sampled_from([400, 402, 404, 499, 502, 503, 504]))
def test_no_other_refusal_says_it_either(message: str, status: int) -> None:
    """Their words hold names that clients chose."""
    for wire in WIRES:
        reply = refuse(call_of(wire), Refusal(status, "bad_request", message))
        assert isinstance(reply.body, bytes)
        assert not any(word in text_of(reply.body).lower() for word in FORBIDDEN)
        assert text_of(reply.body)


@pytest.mark.parametrize("model", ["gpt-429", "rate limit", "Rate Limit 429"])
def test_a_model_without_a_price_cannot_put_the_words_in_our_mouth(tmp_path: Path, model: str) -> None:
    with house(tmp_path, [usd()], prices=()) as home:
        got = home.ask(model=model)
        assert got.status == 402
        assert not any(word in got.message.lower() for word in FORBIDDEN)
        got = home.send("GET", f"/v1/{model.replace(' ', '%20')}")
        assert got.status == 404
        assert not any(word in got.message.lower() for word in FORBIDDEN)


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_a_refusal_names_budget_amounts_end_and_link(tmp_path: Path, wire: str) -> None:
    budget = Budget(
        "team money", (Limit(Unit.USD, 1_000_000),), Window(WindowKind.DAY), per=("user",), link="https://ask.example"
    )
    with house(tmp_path, [budget]) as home:
        got = home.ask(wire, headers={"x-bursar-user": "ada"})
        assert got.status == 402
        for word in ("'team money'", "user=ada", "$0.001", "UTC", "https://ask.example"):
            assert word in got.message
        assert got.headers["x-should-retry"] == "false"
        assert "retry-after" not in got.headers
        assert got.headers["x-bursar-budget"] == "team money"
        assert got.headers["x-bursar-remaining-usd"] == "0.001"
        assert got.headers["x-bursar-reset"].endswith("T00:00:00Z")
        error = got.json["error"]
        if wire == "openai":
            assert (error["type"], error["code"]) == ("insufficient_quota", "budget_exceeded")
        else:
            assert (got.json["type"], error["type"]) == ("error", "billing_error")


@pytest.mark.parametrize("originator", ["codex_cli_rs", "codex_exec", "Codex_vscode"])
def test_codex_gets_the_refusal_that_it_stops_at(tmp_path: Path, originator: str) -> None:
    with house(tmp_path, [usd(0)]) as home:
        got = home.ask(headers={"originator": originator})
        assert got.status == 429
        assert got.json["error"]["type"] == "usage_limit_reached"
        assert got.headers["x-codex-promo-message"] == got.message.rstrip(".")
        assert "retry-after" not in got.headers
        assert not any(word in got.message.lower() for word in FORBIDDEN)


def test_codex_shows_words_beyond_ascii_as_far_as_a_header_can_carry_them() -> None:
    refusal = Refusal(402, "budget_exceeded", "Budget 'équipe\n1': spent. " + "x" * 3000)
    told = dict(refuse(call_of(WIRES[0], "codex_exec"), refusal).headers)["x-codex-promo-message"]
    assert told.startswith("Budget '?quipe?1': spent. x")
    assert len(told) == 2000


def test_codex_does_not_pay_again_for_a_call_whose_outcome_nobody_knows(tmp_path: Path) -> None:
    script = Script(fault="reset_before", fault_billed=True)
    with house(tmp_path, [usd()], scripts={"m": script}) as home:
        assert home.ask().status == 502
        got = home.ask(headers={"originator": "codex_exec"})
        assert got.status == 400
        assert (got.json["error"]["type"], got.json["error"]["code"]) == ("server_error", "upstream_failed")


def test_codex_stops_at_a_model_without_a_price_as_at_a_bad_request(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], prices=()) as home:
        got = home.ask(headers={"originator": "codex_exec"})
        assert got.status == 400
        assert got.json["error"]["code"] == "price_unknown"
        assert "add one under prices:" in got.message


def test_a_budget_name_beyond_ascii_does_not_break_the_head() -> None:
    line = Line("Geld für Ada\r\nx-evil: 1", "i", "", 0, 2**62, Unit.USD, 0)
    asked = Reservation("id", "default", "p", 0, {}, Cover(0, 1, 1), Ask(1, 1), (line,))
    budget = Budget(line.budget, (Limit(Unit.USD, 0),), Window(WindowKind.TOTAL))
    refusal = refuse_budget((budget,), asked, Refused(line, Balance(), is_exhausted=True))
    reply = refuse(call_of(WIRES[0]), refusal)
    assert all(value.isascii() and value.isprintable() for _, value in reply.headers)
