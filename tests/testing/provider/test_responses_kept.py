"""Stored responses: continued, read, deleted; those in the background: polled, cancelled, billed by their clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import openai
import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider
from bursar.testing.provider.answer import Answer, Ask, plan
from bursar.testing.provider.generation import Generation
from bursar.testing.provider.invoice import Ended, Invoice
from bursar.testing.provider.responses_kept import Kept, KeptResponses
from bursar.testing.provider.shape import Problem

NEVER_S = 3_600.0
UNKNOWN = pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")]
)


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as ready:
        yield ready


def _text(item: Any) -> str:
    return str(item.content[0].text)


def test_a_continuation_is_billed_for_all_that_went_before(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=5, reasoning_tokens=3))
    first = client.responses.create(model="m", input="hello")
    second = client.responses.create(model="m", input="hello", previous_response_id=first.id)
    stream = list(client.responses.create(model="m", input="hello", previous_response_id=second.id, stream=True))
    last = stream[-1]
    assert last.type == "response.completed"
    assert last.response.previous_response_id == second.id
    told = [answer.usage.input_tokens for answer in (first, second, last.response) if answer.usage is not None]
    assert told == [10, 10 + 10 + 8, 10 + 28 + 8]
    assert [line["input_tokens"] for line in provider.invoice()["calls"]] == told


def test_a_response_that_is_not_stored_can_neither_be_read_nor_continued(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="m", input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.BadRequestError, match=f"Previous response with id '{answer.id}' not found.") as refused:
        client.responses.create(model="m", input="hello", previous_response_id=answer.id)
    assert refused.value.code == "previous_response_not_found"


def test_a_stored_response_is_read_as_it_was_answered_and_costs_nothing(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    whole = client.responses.create(model="m", input="hello")
    with client.responses.stream(model="m", input="hello") as stream:
        streamed = stream.get_final_response()
    assert client.responses.retrieve(whole.id).to_dict() == whole.to_dict()
    assert client.responses.retrieve(streamed.id).output_text == streamed.output_text
    assert len(provider.invoice()["calls"]) == 2


def test_a_stream_that_its_client_left_is_not_kept(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=1_000, tokens_per_s=100.0))
    with plain.ask("responses", stream=True) as connection, connection.getresponse() as response:
        beginning = response.read1()
        response_id = beginning.split(b'"id":"')[1].split(b'"')[0].decode()
        assert plain.send("GET", f"/v1/responses/{response_id}").json["status"] == "in_progress"
    provider.wait(ended=1)
    assert plain.send("GET", f"/v1/responses/{response_id}").status == 404
    assert provider.invoice()["calls"][0]["ended"] == "disconnect"


def test_deleted_means_gone(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="m", input="hello")
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{answer.id}' not found."):
        client.responses.retrieve(answer.id)


@UNKNOWN
def test_an_unknown_response_is_not_found_on_every_route(plain: Plain, method: str, path: str) -> None:
    got = plain.send(method, f"/v1/responses/resp_nobody{path}")
    assert (got.status, got.json["error"]["type"]) == (404, "invalid_request_error")


def test_input_items_are_all_that_went_into_a_response_newest_first(client: openai.OpenAI) -> None:
    first = client.responses.create(model="m", input="one")
    second = client.responses.create(
        model="m",
        input=[{"role": "user", "content": "two"}, {"role": "user", "content": "three"}],
        previous_response_id=first.id,
    )
    newest = client.responses.input_items.list(second.id)
    assert [_text(item)[:5] for item in newest.data] == ["three", "two", "the s", "one"]
    assert len({item.id for item in newest.data}) == 4
    paged = list(client.responses.input_items.list(second.id, limit=1, order="asc"))
    assert [_text(item)[:5] for item in paged] == ["one", "the s", "two", "three"]


def test_a_background_response_is_queued_then_runs_then_is_done_and_billed_by_its_clock(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=50, first_byte_s=0.3, tokens_per_s=100.0))
    answer = client.responses.create(model="m", input="hello", background=True)
    assert (answer.status, answer.output, answer.usage, answer.background) == ("queued", [], None, True)
    seen = []
    while answer.status in ("queued", "in_progress"):
        answer = client.responses.retrieve(answer.id)
        seen += [answer.status] if answer.status not in seen else []
    order = ["queued", "in_progress", "completed"]
    assert (seen, seen[-1]) == ([status for status in order if status in seen], "completed")
    assert len(answer.output_text) == 200
    assert answer.usage is not None
    (line,) = provider.invoice()["calls"]
    assert (line["id"], line["output_tokens"], line["ended"], line["status"]) == (answer.id, 50, "complete", 200)
    assert answer.usage.output_tokens == 50
    assert client.responses.create(model="m", input="hello", previous_response_id=answer.id).usage


def test_a_background_response_runs_on_when_its_client_has_left(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=20, tokens_per_s=200.0))
    assert plain.generate("responses", background=True).json["status"] == "queued"
    provider.wait(billed=1)
    assert provider.invoice()["calls"][0]["output_tokens"] == 20


def test_cancelling_stops_a_background_response_and_bills_what_was_generated(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=100_000, tokens_per_s=1_000.0, run_ahead_tokens=9_999))
    answer = client.responses.create(model="m", input="hello", background=True)
    while client.responses.retrieve(answer.id).status == "queued" or not _generated(provider):
        pass
    with pytest.raises(openai.BadRequestError, match="has not completed"):
        client.responses.create(model="m", input="hello", previous_response_id=answer.id)
    cancelled = client.responses.cancel(answer.id)
    assert (cancelled.status, cancelled.usage, cancelled.output) == ("cancelled", None, [])
    line = provider.invoice()["calls"][-1]
    assert (line["ended"], line["billed"], line["input_tokens"]) == ("cancelled", True, HELLO_TOKENS)
    assert 0 < line["output_tokens"] < 9_999, "no token is billed that was generated after the cancel"
    assert client.responses.cancel(answer.id).status == "cancelled"
    assert provider.invoice()["billed"] == 1


def _generated(provider: ScriptedProvider) -> int:
    return sum(call["generated_tokens"] for call in provider.invoice()["open"])


def test_a_response_that_waits_in_the_queue_is_billed_for_its_prompt_when_it_is_cancelled(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(first_byte_s=NEVER_S))
    answer = client.responses.create(model="m", input="hello", background=True)
    assert client.responses.retrieve(answer.id).status == "queued"
    assert client.responses.cancel(answer.id).status == "cancelled"
    (line,) = provider.invoice()["calls"]
    assert (line["input_tokens"], line["output_tokens"]) == (HELLO_TOKENS, 0)


def test_only_background_responses_can_be_cancelled_and_finished_ones_stay(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        client.responses.cancel(client.responses.create(model="m", input="hello").id)
    answer = client.responses.create(model="m", input="hello", background=True)
    provider.wait(billed=2)
    assert client.responses.cancel(answer.id).status == "completed"


def test_a_deleted_background_response_runs_on_and_is_billed(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=20, tokens_per_s=100.0))
    client.responses.delete(client.responses.create(model="m", input="hello", background=True).id)
    provider.wait(billed=1)
    assert provider.invoice()["calls"][0]["output_tokens"] == 20


@pytest.mark.parametrize(
    ("script", "cap", "status", "billed"),
    [
        (Script(), 16, "incomplete", 16),
        (Script(fault="over_cap"), 16, "completed", 40),
        (Script(fault="cut", fault_after_tokens=10, run_ahead_tokens=5), None, "failed", 15),
        (Script(fault="never_ends"), None, "in_progress", 40),
        (Script(fault="slow", fault_after_s=0.01), None, "completed", 40),
    ],
    ids=["capped", "over cap", "cut", "never ends", "slow"],
)
def test_caps_and_faults_work_in_the_background(
    provider: ScriptedProvider, plain: Plain, script: Script, cap: int | None, status: str, billed: int
) -> None:
    provider.set("m", script)
    queued = plain.generate("responses", background=True, max_output_tokens=cap).json
    provider.wait(billed=1)
    got = plain.send("GET", f"/v1/responses/{queued['id']}").json
    assert (queued["status"], got["status"]) == ("queued", status)
    assert (got["error"] is not None) == (status == "failed")
    assert provider.invoice()["calls"][0]["output_tokens"] == billed


def test_one_that_never_ends_can_still_be_cancelled_and_is_billed_once(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(fault="never_ends"))
    answer = client.responses.create(model="m", input="hello", background=True)
    provider.wait(billed=1)
    assert client.responses.cancel(answer.id).status == "cancelled"
    assert client.responses.retrieve(answer.id).status == "cancelled"
    assert provider.invoice()["billed"] == 1


def test_a_refused_background_response_is_neither_kept_nor_billed(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(fault="status", fault_status=503))
    assert plain.generate("responses", background=True).status == 503
    assert provider.invoice()["billed"] == 0


def test_no_usage_holds_for_stored_responses(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(fault="no_usage"))
    answer = client.responses.create(model="m", input="hello", background=True)
    provider.wait(billed=1)
    got = client.responses.retrieve(answer.id)
    assert (got.status, got.usage) == ("completed", None)


def test_a_background_response_has_the_status_of_its_clock_until_it_ends() -> None:
    kept = Kept(_answer(1, is_background=True), Generation(100.0, 1.0, 10.0, 40, 40), 0, ())
    assert [kept.status(now_s) for now_s in (100.0, 100.9, 101.0, 104.9)] == ["queued"] * 2 + ["in_progress"] * 2
    statuses = {}
    for ended in get_args(Ended):
        kept.ended = ended
        statuses[ended] = kept.status(100.0)
    assert (statuses.pop("complete"), statuses.pop("length")) == ("completed", "incomplete")
    assert statuses.pop("cancelled") == "cancelled"
    assert set(statuses.values()) == {"failed"}


def _answer(number: int, *, is_background: bool = False) -> Answer:
    ask = Ask("responses", "m", False, None, "", 1, True, 0, is_stored=True, is_background=is_background)
    return plan(ask, Script(), f"resp_{number}", 0)


def test_what_is_kept_is_bounded_in_number_and_size() -> None:
    kept, clock = KeptResponses(Invoice(), responses_max=3, bytes_max=100), Generation(0, 0, None, 40, 40)
    for number in range(5):
        kept.begin(_answer(number), clock, 10)
    kept.begin(_answer(5), clock, 85)
    assert [_is_kept(kept, number) for number in range(6)] == [False, False, False, False, True, True]
    kept.forget("resp_5")
    kept.begin(_answer(6), clock, 90)
    assert _is_kept(kept, 4)


def _is_kept(kept: KeptResponses, number: int) -> bool:
    try:
        kept.find(f"resp_{number}")
    except Problem:
        return False
    return True
