"""The Responses API through the gateway: continued responses are bounded, and belong to their tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import OPENAI_WIRES, GatewayThread, Got, House, house, settings_for, until, usd
from tests.gateway.keyed import bearer, give_key

from bursar.config.settings import KeyPolicy, ModelRow
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import EVERY_TENANT
from bursar.core.provider import Provider
from bursar.core.window import Window, WindowKind
from bursar.testing import Script, ScriptedProvider


def ids_of(got: Got) -> str:
    """The name of a response, whole or streamed."""
    if "event-stream" in got.headers["content-type"]:
        return str(next(event["response"]["id"] for event in got.events if "response" in event))
    return str(got.json["id"])


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_continued_response_is_held_with_what_it_continues(tmp_path: Path, is_stream: bool) -> None:
    script = {"m": Script(output_tokens=3_000)}
    with house(tmp_path, [usd(10**13)], scripts=script) as home:
        first = home.ask("responses", input="a long story " * 1_000, stream=is_stream or None, max_output_tokens=3_000)
        assert first.status == 200
        second = home.ask("responses", input="go on", previous_response_id=ids_of(first), max_output_tokens=16)
        assert second.status == 200
        one, two = home.holds()
        assert two.held.input_tokens >= one.settled.input_tokens + one.settled.output_tokens
        assert two.settled.input_tokens <= two.held.input_tokens
        assert two.flags == frozenset()
        home.assert_sound()


def test_a_chain_never_teaches_the_estimate_what_stood_in_earlier_responses(tmp_path: Path) -> None:
    with house(tmp_path, [usd(10**13)], scripts={"m": Script(output_tokens=500)}) as home:
        named = ids_of(home.ask("responses", input="x" * 40_000))
        for _ in range(5):
            named = ids_of(home.ask("responses", input="go on", previous_response_id=named))
        alone = home.ask("responses", input="go on")
        assert alone.status == 200
        assert home.holds()[-1].held.input_tokens < 5_000
        home.assert_sound()


def test_an_unknown_response_is_refused_before_anything_is_held(home: House) -> None:
    got = home.ask("responses", input="go on", previous_response_id="resp_of_somebody_else")
    assert got.status == 400
    assert got.json["error"]["param"] == "previous_response_id"
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


def test_another_gateways_process_knows_the_response_too(tmp_path: Path) -> None:
    with house(tmp_path, [usd()]) as home:
        named = ids_of(home.ask("responses"))
    with house(tmp_path, [usd()]) as later:
        got = later.ask("responses", previous_response_id=named)
        # This provider is a new one and does not know it; but the gateway let it through.
        assert later.provider.invoice()["requests"] == 1
        assert got.status == 400
        assert later.balance().held == 0


def test_a_kept_response_is_read_and_deleted_by_its_tenant_alone(tmp_path: Path) -> None:
    with house(tmp_path, [usd(tenant=EVERY_TENANT)], keys=KeyPolicy.REQUIRED) as home:
        mine, others = (bearer(give_key(home, tenant=tenant)[1]) for tenant in ("mine", "others"))
        until(lambda: home.send("GET", "/v1/models", headers=others).status == 200)
        named = ids_of(home.ask("responses", headers=mine))
        before = home.provider.invoice()["requests"]
        paths = [f"/v1/responses/{named}", f"/v1/responses/{named}/input_items"]
        for path in (*paths, "/v1/responses/resp_unknown"):
            assert home.send("GET", path, headers=others).status == 404
        assert home.send("DELETE", paths[0], headers=others).status == 404
        assert home.send("POST", f"{paths[0]}/cancel", headers=others).status == 404
        continued = home.ask("responses", headers=others, previous_response_id=named)
        assert continued.status == 400
        assert home.provider.invoice()["requests"] == before
        for path in paths:
            assert home.send("GET", path, headers=mine).status == 200
        assert home.send("DELETE", paths[0], headers=mine).status == 200
        assert home.send("GET", paths[0], headers=mine).status == 404
        home.assert_sound("mine")


@contextmanager
def answered_by_the_second(tmp_path: Path) -> Iterator[tuple[House, ScriptedProvider, str]]:
    """A gateway whose first provider has failed once, so that a response is at its fall-back."""
    failing = Script(fault="status", fault_status=503, fault_times=1)
    with ScriptedProvider({"m": failing}) as first, ScriptedProvider({"m2": Script()}) as second:
        own = settings_for(first.url, tmp_path / "bursar.db", [usd()], fallback=("second/m2",))
        known = tuple(replace(each, fallback=()) if each.name != "openai" else each for each in own.providers)
        other = Provider("second", f"{second.url}/v1", OPENAI_WIRES, api_key="key-of-the-second")
        with GatewayThread(replace(own, providers=(*known, other))) as gateway:
            home = House(first, gateway, own.store.path)
            got = home.ask("responses")
            assert got.headers["x-bursar-answered-by"] == "second/m2"
            yield home, second, ids_of(got)


def test_a_response_of_a_fallback_is_continued_and_read_where_it_is(tmp_path: Path) -> None:
    with answered_by_the_second(tmp_path) as (home, second, named):
        assert home.send("GET", f"/v1/responses/{named}").status == 200
        before = home.provider.invoice()["requests"]
        last = named
        for _ in range(2):
            got = home.ask("responses", headers={"authorization": "Bearer of-the-client"}, previous_response_id=last)
            assert (got.status, got.headers["x-bursar-answered-by"]) == (200, "second/m2")
            last = ids_of(got)
        asked = second.requests()[-1]
        assert json.loads(asked["body"])["model"] == "m2"
        assert dict(asked["headers"])["authorization"] == "Bearer key-of-the-second"
        assert home.provider.invoice()["requests"] == before
        row = home.holds()[-1]
        assert (row.labels["provider"], row.labels["model"], row.note.answered_by) == ("openai", "m", "second/m2")
        assert row.note.earlier_tokens > 0
        assert home.send("DELETE", f"/v1/responses/{last}").status == 200
        home.assert_free()


def test_a_response_that_is_neither_at_the_provider_nor_at_its_fallback_is_refused(tmp_path: Path) -> None:
    with answered_by_the_second(tmp_path) as (home, _, named):
        at_first = ids_of(home.ask("responses"))
        assert home.ask("responses", previous_response_id=at_first).status == 200
        assert home.ask("responses", model="second/m2", previous_response_id=named).status == 200
        got = home.ask("responses", model="second/m2", previous_response_id=at_first)
        assert (got.status, got.json["error"]["param"]) == (400, "previous_response_id")


COMPACT = "/v1/responses/compact"


def compacted(home: House, **fields: Any) -> Got:
    return home.send("POST", COMPACT, json.dumps({"model": "m", "input": "a long story", **fields}).encode())


def test_a_compaction_holds_all_that_the_model_can_write(tmp_path: Path) -> None:
    models = (ModelRow("m", max_output_tokens=2_000),)
    script = {"m": Script(output_tokens=1_500, max_output_tokens=2_000)}
    with house(tmp_path, [usd(30_000_000)], scripts=script, models=models) as home:
        assert compacted(home).status == 200
        (row,) = home.holds()
        assert row.held.output_tokens == 2_000
        assert "max_output_tokens" not in home.provider.requests()[-1]["body"]
        assert home.assert_sound().settled == home.invoice_nano()
        assert compacted(home).status == 402
        assert home.provider.invoice()["requests"] == 1


def test_a_compaction_that_nothing_bounds_is_refused(home: House) -> None:
    unknown = home.send("POST", COMPACT, b'{"model": "nobody-knows-it", "input": "x"}')
    assert (unknown.status, unknown.json["error"]["param"]) == (400, "model")
    for name, value in (("max_output_tokens", 100), ("stream", True)):
        got = compacted(home, **{name: value})
        assert (got.status, got.json["error"]["param"]) == (400, name)
    assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("field", ["background", "conversation", "prompt"])
def test_what_would_be_billed_unseen_is_refused_by_name(home: House, field: str) -> None:
    fields: dict[str, Any] = {field: True if field == "background" else {"id": "x"}}
    got = home.ask("responses", **fields)
    assert got.status == 400
    assert got.json["error"]["param"] == field
    assert home.provider.invoice()["requests"] == 0


def test_tokens_count_each_embedding_and_no_output_is_held(tmp_path: Path) -> None:
    tokens = Budget("tokens", (Limit(Unit.TOKENS, 20_000),), Window(WindowKind.TOTAL))
    with house(tmp_path, [tokens]) as home:
        texts = ["a text to be embedded"] * 50
        assert home.ask("embeddings", input=texts).status == 200
        (row,) = home.holds()
        assert row.held.output_tokens == row.settled.output_tokens == 0
        assert row.settled.input_tokens == home.provider.invoice()["calls"][0]["input_tokens"] > 0
        assert home.balance(Unit.TOKENS).held == 0


def test_a_gemini_stream_gets_no_comment_that_its_sdk_could_not_read(home: House) -> None:
    got = home.ask("gemini", stream=True)
    assert got.status == 200
    lines = [line for line in got.body.decode().split("\n") if line.strip()]
    assert lines and all(line.startswith("data: {") for line in lines)
    assert "x-bursar-call" in got.headers
    home.assert_sound()


def test_a_gemini_key_in_the_url_is_refused_and_in_its_header_goes_on(home: House) -> None:
    path = "/v1beta/models/m:generateContent"
    body = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()
    assert home.send("POST", f"{path}?key=abc", body).status == 400
    assert home.send("POST", path, body, {"x-goog-api-key": "abc"}).status == 200
    assert dict(home.provider.requests()[-1]["headers"])["x-goog-api-key"] == "abc"


def test_a_gemini_refusal_has_the_shape_of_its_api(tmp_path: Path) -> None:
    with house(tmp_path, [usd(1)]) as broke:
        for is_stream in (False, True):
            got = broke.ask("gemini", stream=is_stream)
            assert got.status == 402
            assert got.json["error"]["code"] == 402
            assert "one" in got.message
