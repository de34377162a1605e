"""The IETF's RateLimit fields: valid structured fields, true figures, and nothing that makes a client sleep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import DOLLAR
from tests.pipeline.rig import rig

from bursar.core.admission import Balance, Line
from bursar.core.budget import LIMIT_MAX, Budget, Limit, Unit
from bursar.core.ledger import Refused
from bursar.core.window import FOREVER_NS, NS, Window, WindowKind
from bursar.pipeline.ratelimit import POLICIES_MAX, ratelimit_headers, tightest

STRING = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
INTEGER = r"[0-9]{1,15}"
POLICY = re.compile(rf'{STRING};q={INTEGER};qu="[a-z-]+"(?:;w=[1-9][0-9]{{0,14}})?')
STATE = re.compile(rf"{STRING};r={INTEGER}(?:;t={INTEGER})?")

lines = st.builds(
    lambda name, unit, start, length, share: Line(
        name, "i", "", start, start + length, unit, int(share * LIMIT_MAX[unit])
    ),
    st.text(min_size=1, max_size=40),
    st.sampled_from(Unit),
    st.integers(0, 2**60),
    st.integers(1, 2**61),
    st.fractions(0, 1),
)
balances = st.builds(Balance, *[st.integers(0, 2**60)] * 3)


def line(name: str = "day", unit: Unit = Unit.USD, limit: int = 5 * DOLLAR, ends_ns: int = 86_400 * NS) -> Line:
    return Line(name, "i", "", 0, ends_ns, unit, limit)


def test_a_day_budget_in_usd_is_told_in_micro_usd_and_seconds() -> None:
    found = ratelimit_headers([(line(), Balance(DOLLAR, 1_500, 500))], 86_400 * NS - 90 * NS + 1)
    assert found == {
        "ratelimit-policy": '"day/usd";q=5000000;qu="bursar-micro-usd";w=86400',
        "ratelimit": '"day/usd";r=3999998;t=90',
    }


def test_a_budget_without_an_end_has_neither_window_nor_reset() -> None:
    found = ratelimit_headers([(line(unit=Unit.REQUESTS, limit=10, ends_ns=FOREVER_NS), Balance(4))], 0)
    assert found == {"ratelimit-policy": '"day/requests";q=10;qu="requests"', "ratelimit": '"day/requests";r=6'}


def test_the_tightest_come_first_and_only_a_few_are_told() -> None:
    pairs = [(line(f"b{number}"), Balance(number * DOLLAR // 2)) for number in range(8)]
    found = ratelimit_headers(tightest(pairs), 0)["ratelimit"]
    assert re.findall(r'"(b\d)/usd"', found) == ["b7", "b6", "b5"][:POLICIES_MAX]


def test_without_budgets_there_are_no_fields() -> None:
    assert ratelimit_headers([], 0) == {}


def test_limits_of_one_budget_in_several_units_have_names_of_their_own() -> None:
    found = ratelimit_headers([(line(), Balance()), (line(unit=Unit.TOKENS, limit=9), Balance())], 0)
    assert '"day/usd"' in found["ratelimit"] and '"day/tokens"' in found["ratelimit"]


@given(st.lists(st.tuples(lines, balances), min_size=1, max_size=5), st.integers(0, 2**62))
def test_every_name_and_amount_makes_valid_structured_fields(pairs: list[tuple[Line, Balance]], at_ns: int) -> None:
    found = ratelimit_headers(tightest(pairs), at_ns)
    for text, item in ((found["ratelimit-policy"], POLICY), (found["ratelimit"], STATE)):
        assert re.fullmatch(rf"{item.pattern}(?:, {item.pattern})*", text), text


def test_a_name_cannot_end_the_quotes_or_the_line() -> None:
    found = ratelimit_headers([(line('a"b\\c\r\nx-evil: 1 é'), Balance())], 0)
    assert found["ratelimit"].startswith(r'"a\"b\\c??x-evil: 1 ?/usd";')


async def test_replies_carry_the_fields_beside_ours(tmp_path: Path) -> None:
    budget = Budget("day", (Limit(Unit.USD, DOLLAR),), Window(WindowKind.DAY))
    async with rig(tmp_path, [budget]) as made:
        reply, _ = await made.run(made.call())
        headers = dict(reply.headers)
        left = DOLLAR - (await made.assert_sound()).settled
    assert headers["ratelimit-policy"] == '"day/usd";q=1000000;qu="bursar-micro-usd";w=86400'
    assert re.fullmatch(rf'"day/usd";r={left // 1000};t=[0-9]+', headers["ratelimit"])


@pytest.mark.parametrize(("wire", "status"), [("openai", 402), ("anthropic", 402)])
async def test_a_spent_budget_tells_nothing_left_and_still_asks_for_no_retry(
    tmp_path: Path, wire: str, status: int
) -> None:
    async with rig(tmp_path, [Budget("day", (Limit(Unit.USD, 0),), Window(WindowKind.DAY))]) as made:
        reply, _ = await made.run(made.call(wire))
    headers = dict(reply.headers)
    assert reply.status == status
    assert headers["ratelimit"].startswith('"day/usd";r=0;t=')
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


def test_contention_tells_only_the_short_wait(tmp_path: Path) -> None:
    """A reset at midnight beside `retry-after: 5` would make a client that reads both sleep until midnight."""
    from bursar.core.admission import Ask, Cover
    from bursar.core.ledger import Reservation
    from bursar.pipeline.refusals import refuse_budget

    budget = Budget("day", (Limit(Unit.USD, 5 * DOLLAR),), Window(WindowKind.DAY))
    asked = Reservation("id", "default", "p", 0, {}, Cover(0, 1, 1), Ask(1, 1), (line(),))
    refusal = refuse_budget((budget,), asked, Refused(line(), Balance(held=5 * DOLLAR), is_exhausted=False))
    assert refusal.retry_after_s
    assert not any(name.startswith("ratelimit") for name in refusal.headers)
