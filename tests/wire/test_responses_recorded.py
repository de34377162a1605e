"""Real recorded traffic of the responses API: requests parse, usage equals what the SDK reads, streams pass."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bursar.core.usage import Usage
from bursar.errors import BadRequest
from bursar.wire.base import Answer, Request
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.sse import EventSplitter, event_data

TRAFFIC = Path(__file__).parents[2].parent / "shared" / "recorded" / "traffic.jsonl.gz"
WIRE = OpenAIResponses()
REFUSED = {"max_tool_calls": 1}
"""Requests that are refused on purpose, by parameter: one web search without a bound."""

pytestmark = pytest.mark.skipif(not TRAFFIC.exists(), reason="the recorded traffic is not beside this repository")


def rows() -> list[dict[str, Any]]:
    if not TRAFFIC.exists():
        return []
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["wire"] == "openai.responses"]


ROWS = rows()


def parsed(row: dict[str, Any]) -> Request:
    return WIRE.parse(json.dumps(row["request"]).encode())


def answered(*, is_stream: bool) -> list[tuple[Request, bytes]]:
    found = []
    for row in ROWS:
        if row["status"] == 200 and row["stream"] is is_stream:
            try:
                found.append((parsed(row), row["body"].encode("utf-8", "surrogatepass")))
            except BadRequest:
                continue
    return found


def test_every_request_parses_but_those_refused_on_purpose() -> None:
    assert len(ROWS) == 98
    refused: dict[str | None, int] = {}
    for row in ROWS:
        try:
            request = parsed(row)
        except BadRequest as error:
            refused[error.param] = refused.get(error.param, 0) + 1
            continue
        assert request.model == row["request"]["model"]
        assert request.anatomy.user > 0
        assert request.dropped == ()
        assert json.loads(WIRE.encode(request, model=request.model, cap=request.cap)) == row["request"]
        capped = json.loads(WIRE.encode(request, model=request.model, cap=77))
        assert capped == {**row["request"], "max_output_tokens": 77}
    assert refused == REFUSED


def assert_told(answer: Answer | None, response: dict[str, Any]) -> None:
    usage = pytest.importorskip("openai.types.responses").ResponseUsage.model_construct(**response["usage"])
    assert answer is not None and answer.usage is not None
    assert answer.usage.input_total == usage.input_tokens
    assert answer.usage.output_total == usage.output_tokens
    assert answer.usage.cache_read_tokens == usage.input_tokens_details.cached_tokens
    assert answer.usage.reasoning_tokens == usage.output_tokens_details.reasoning_tokens
    assert (answer.model, answer.response_id) == (response["model"], response["id"])
    assert answer.tool_calls == sum(item["type"] == "function_call" for item in response["output"])
    assert not answer.is_capped
    assert answer.visible_tokens >= usage.output_tokens - answer.usage.reasoning_tokens


def test_whole_answers_have_the_usage_that_the_sdk_reads() -> None:
    whole = answered(is_stream=False)
    assert len(whole) == 55
    for request, body in whole:
        assert_told(WIRE.read_whole(request, body), json.loads(body))


@pytest.mark.parametrize("size", [0, 97, 1])
def test_streams_pass_byte_for_byte_and_tell_their_last_usage(size: int) -> None:
    streams = answered(is_stream=True)
    assert len(streams) == 41
    for request, body in streams:
        reader = WIRE.reader(request)
        step = size or len(body)
        passed = b"".join(reader.feed(body[at : at + step]) for at in range(0, len(body), step)) + reader.rest()
        assert passed == body
        assert reader.is_finished and reader.is_complete and not reader.is_error
        last = json.loads(event_data(EventSplitter().feed(body)[-1]))
        assert_told(reader.answer(), last["response"])


def test_what_a_cut_stream_repeats_is_what_it_has_shown() -> None:
    for request, body in answered(is_stream=True):
        events = EventSplitter().feed(body)
        reader = WIRE.reader(request)
        reader.feed(b"".join(events[:-1]))
        answer = reader.answer()
        assert answer.usage is None
        last = json.loads(event_data(EventSplitter().feed(reader.cut(Usage()))[-1]))["response"]
        assert last["output"] == json.loads(event_data(events[-1]))["response"]["output"]
        assert (last["id"], last["status"]) == (answer.response_id, "incomplete")


def test_the_error_is_the_providers_own() -> None:
    errors = [row for row in ROWS if row["status"] != 200]
    assert len(errors) == 1
    body = errors[0]["body"].encode()
    assert WIRE.is_provider_error(errors[0]["status"], body)
    assert WIRE.named_maximum(errors[0]["status"], body) is None
