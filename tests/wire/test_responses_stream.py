"""Response streams pass byte for byte, are counted from above, and tell their usage at the end; whole ones alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.wire.acts import marks_of
from bursar.wire.base import Answer, Refusal, StreamReader
from bursar.wire.openai_responses import OpenAIResponses

WIRE = OpenAIResponses()
REQUEST = WIRE.parse(b'{"model":"m","input":"hi","stream":true}')
TOLD = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 10},
    "total_tokens": 80,
}
USAGE = Usage(
    input_tokens=25, cache_read_tokens=20, cache_write_tokens=5, output_tokens=20, reasoning_tokens=10
)  # fmt: skip
MESSAGE = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
CALL = {"id": "fc_1", "type": "function_call", "status": "in_progress", "name": "find", "call_id": "c", "arguments": ""}
PART = {"type": "output_text", "text": "", "annotations": []}


def typed(kind: str, **fields: Any) -> bytes:
    value = {"type": kind, "sequence_number": 1, "output_index": 0, **fields}
    return f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def life(kind: str, **fields: Any) -> bytes:
    response = {"id": "resp_1", "object": "response", "model": "m-1", "status": kind, "output": [], **fields}
    return typed(f"response.{kind}", response=response)


def text(delta: str) -> bytes:
    return typed("response.output_text.delta", item_id="msg_1", content_index=0, delta=delta, obfuscation="xyz")


def added(item: dict[str, Any], index: int = 0) -> bytes:
    return typed("response.output_item.added", item=item, output_index=index)


def run(reader: StreamReader, raw: bytes, size: int = 0) -> bytes:
    step = size or max(1, len(raw))
    return b"".join(reader.feed(raw[at : at + step]) for at in range(0, len(raw), step)) + reader.rest()


def answer_of(raw: bytes) -> Answer:
    reader = WIRE.reader(REQUEST)
    assert run(reader, raw) == raw
    return reader.answer()


WHOLE = (
    life("created")
    + life("in_progress")
    + added(MESSAGE)
    + typed("response.content_part.added", item_id="msg_1", content_index=0, part=PART)
    + text("Grüße ")
    + text("an alle")
    + typed("response.output_text.done", item_id="msg_1", content_index=0, text="Grüße an alle")
    + typed("response.output_item.done", item={**MESSAGE, "content": [{**PART, "text": "Grüße an alle"}]})
    + life("completed", usage=TOLD, service_tier="priority")
)


@given(st.lists(st.integers(1, 400), max_size=30))
def test_however_the_bytes_are_split_the_same_is_passed_and_told(sizes: list[int]) -> None:
    reader, passed, rest = WIRE.reader(REQUEST), b"", WHOLE
    for size in sizes:
        passed += reader.feed(rest[:size])
        rest = rest[size:]
    passed += reader.feed(rest) + reader.rest()
    assert passed == WHOLE
    assert reader.is_finished and reader.is_complete and not reader.is_error
    assert reader.answer() == Answer(
        usage=USAGE, visible_tokens=12 + 5, model="m-1", service_tier="priority", response_id="resp_1"
    )


@pytest.mark.parametrize(
    ("kind", "size_bytes"),
    [
        ("response.output_text.delta", 3),
        ("response.refusal.delta", 3),
        ("response.reasoning_text.delta", 3),
        ("response.reasoning_summary_text.delta", 3),
        ("response.function_call_arguments.delta", 3),
        ("response.custom_tool_call_input.delta", 3),
        ("response.mcp_call_arguments.delta", 3),
        ("response.something_new.delta", 3),
        ("response.output_text.annotation.added", 0),
    ],
)
def test_all_generated_text_counts(kind: str, size_bytes: int) -> None:
    raw = typed(kind, delta="abc") * 3
    assert answer_of(raw).visible_tokens == (3 if size_bytes else 0)


def test_items_count_their_frames_and_what_no_delta_has_shown() -> None:
    deltas = typed("response.function_call_arguments.delta", delta='{"a":') + typed(
        "response.function_call_arguments.delta", delta="1}"
    )
    done = typed("response.output_item.done", item={**CALL, "arguments": '{"a":1}'})
    answer = answer_of(added(CALL) + deltas + done)
    assert answer.tool_calls == 1
    assert answer.visible_tokens == 24 + -(-(len("find") + 7) // 3)
    assert answer_of(added(CALL) + done).visible_tokens == answer.visible_tokens
    reasoning = {"id": "rs", "type": "reasoning", "summary": [], "encrypted_content": "x" * 999}
    assert answer_of(added(reasoning)).visible_tokens == 64
    search = {"id": "ws", "type": "web_search_call", "action": {"type": "search", "query": "abc", "sources": ["xyz"]}}
    assert answer_of(added(search)).visible_tokens == 24 + 1


def test_a_capped_stream_is_told_as_such() -> None:
    raw = WHOLE.replace(b"response.completed", b"response.incomplete")
    raw = raw.replace(
        b'"status": "completed"', b'"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}'
    )
    answer = answer_of(raw)
    assert answer.is_capped
    assert answer.usage == USAGE
    raw = raw.replace(b"max_output_tokens", b"content_filter")
    assert not answer_of(raw).is_capped


def test_a_failure_is_an_error_and_an_end_only_where_it_tells_its_usage() -> None:
    error = {"code": "server_error", "message": "x"}
    for usage, is_finished in ((None, False), (TOLD, True)):
        reader = WIRE.reader(REQUEST)
        run(reader, life("created") + added(MESSAGE) + text("abc") + life("failed", error=error, usage=usage))
        assert reader.is_error
        assert reader.is_finished is is_finished
        assert reader.answer().usage == (USAGE if usage else None)
        assert reader.visible_tokens == 12 + 1
    reader = WIRE.reader(REQUEST)
    run(reader, life("created") + typed("error", message="overloaded", code="x"))
    assert reader.is_error
    assert not reader.is_finished


def test_a_stream_that_breaks_off_is_not_complete() -> None:
    reader = WIRE.reader(REQUEST)
    run(reader, WHOLE[: WHOLE.rindex(b"event:")])
    assert not reader.is_finished
    assert not reader.is_complete
    assert reader.answer().usage is None
    assert reader.answer().visible_tokens == 12 + 5
    assert reader.answer().response_id == "resp_1"


@pytest.mark.parametrize(
    "event",
    [
        b"data: {}\n\n",
        b"data: []\n\n",
        b"data: [DONE]\n\n",
        b"data: {broken\n\n",
        b": ping\n\n",
        typed("response.output_text.delta", delta=5),
        typed("response.output_text.delta", delta="x", output_index="one", content_index={}),
        typed("response.output_item.added", item=5),
        typed("response.output_item.added", item={"type": ["message"]}, output_index=[]),
        typed("response.content_part.added", part=[]),
        typed("response.output_item.done", item={"type": {}}),
        typed("response.completed", response=5),
        typed("response.completed", response={"output": 5, "usage": 5, "model": 5, "id": 5, "incomplete_details": 5}),
        typed("response.completed", response={"output": [5, {"type": []}], "usage": {"input_tokens": -1}}),
        b'data: {"type":"response.output_text.delta","delta":"\\ud83d"}\n\n',
        b'data: {"type":5}\n\n',
    ],
)
def test_odd_events_pass_and_never_raise(event: bytes) -> None:
    reader = WIRE.reader(REQUEST)
    start = life("created") + added(MESSAGE)
    assert run(reader, start + event) == start + event
    reader.answer()
    reader.cut(Usage())


def test_an_error_is_written_flat_and_nested_with_the_next_number() -> None:
    reader = WIRE.reader(REQUEST)
    run(reader, life("created") + text("a"))
    written = reader.error(Refusal(502, "upstream_failed", "broke off"))
    assert written.startswith(b"event: error\ndata: ")
    value = json.loads(written.split(b"data: ")[1])
    assert (value["type"], value["sequence_number"], value["message"]) == ("error", 2, "broke off")
    assert value["error"] == {
        "message": "broke off",
        "type": "server_error",
        "param": None,
        "code": "upstream_failed",
    }


# --- whole ---------------------------------------------------------------------------------------------------------


def whole(**fields: Any) -> Answer | None:
    body = {"id": "resp_1", "object": "response", "status": "completed", "model": "m-1", "output": [], **fields}
    return WIRE.read_whole(REQUEST, json.dumps(body).encode())


def test_a_whole_answer_is_read() -> None:
    output = [{**MESSAGE, "content": [{**PART, "text": "é" * 30}]}, {**CALL, "arguments": "{}"}]
    asked = marks_of([{**CALL, "arguments": " { } "}])
    assert [mark.name for mark in asked] == [CALL["name"]]
    assert whole(output=output, usage=TOLD, service_tier="default") == Answer(
        usage=USAGE, visible_tokens=12 + 24 + 22, model="m-1", tool_calls=1, response_id="resp_1", asked=asked
    )
    capped = whole(status="incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=TOLD)
    assert capped is not None and capped.is_capped


def test_searches_are_counted_as_told_or_else_as_shown() -> None:
    search = {"type": "web_search_call", "action": {"type": "search", "query": "x"}}
    opened = {"type": "web_search_call", "action": {"type": "open_page", "url": "x"}}
    for fields, count in (
        ({"output": [search, opened, search]}, 2),
        ({"output": [search, search], "tool_usage": {"web_search": {"num_requests": 1}}}, 1),
        ({"output": [search], "tool_usage": {"web_search": {"num_requests": "1"}}}, 1),
        ({"output": []}, 0),
    ):
        answer = whole(usage=TOLD, **fields)
        assert answer is not None and answer.usage is not None
        assert answer.usage.web_searches == count


def test_a_failed_answer_tells_what_it_tells() -> None:
    error = {"code": "server_error", "message": "x"}
    answer = whole(status="failed", error=error, usage=None)
    assert answer == Answer(usage=None, visible_tokens=0, model="m-1", response_id="resp_1")
    answer = whole(status="failed", error=error, usage=TOLD)
    assert answer is not None and answer.usage == USAGE


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"{}", b'{"error":{"message":"x"}}', b"[" * 100_000])
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert WIRE.read_whole(REQUEST, body) is None


def test_errors_of_the_provider_are_known_and_their_maximum_is_read() -> None:
    error = (
        b'{"error":{"message":"Invalid \'max_output_tokens\': integer above maximum value. Expected a value <= 16384, '
    )
    error += b'but got 99999 instead.","type":"invalid_request_error","param":"max_output_tokens"}}'
    assert WIRE.is_provider_error(400, error)
    assert WIRE.named_maximum(400, error) == 16_384
    assert WIRE.named_room(400, error) is None
    assert not WIRE.is_provider_error(500, b'{"error":{"message":"x"},"output":[{"type":"message"}]}')
    assert not WIRE.is_provider_error(504, error)
    low = b"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 5 instead."
    assert WIRE.named_maximum(400, b'{"error":{"message":"' + low + b'"}}') is None


def test_a_refusal_has_the_shape_of_openai() -> None:
    refused = json.loads(WIRE.refusal(Refusal(402, "budget_exceeded", "spent")))
    assert refused == {
        "error": {"message": "spent", "type": "insufficient_quota", "param": None, "code": "budget_exceeded"}
    }
