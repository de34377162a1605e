"""Streams pass byte for byte, are counted from above, and tell their last cumulative usage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.errors import TooLarge
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Answer, Refusal, Request, StreamReader
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.sse import EVENT_BYTES_MAX

OPENAI, ANTHROPIC = OpenAIChat(), AnthropicMessages()
DONE = b"data: [DONE]\n\n"
TOLD = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chat_request(**fields: Any) -> Request:
    return OPENAI.parse(json.dumps({"model": "m", "messages": [], "stream": True, **fields}).encode())


def messages_request(**fields: Any) -> Request:
    body = {"model": "m", "messages": [], "max_tokens": 99, "stream": True, **fields}
    return ANTHROPIC.parse(json.dumps(body).encode())


def chunk(delta: dict[str, Any] | None, *, reason: str | None = None, index: int = 0, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}]
    value = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": choices, **more}
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def typed(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def run(reader: StreamReader, raw: bytes, size: int = 0) -> bytes:
    step = size or max(1, len(raw))
    return b"".join(reader.feed(raw[at : at + step]) for at in range(0, len(raw), step)) + reader.rest()


def answer_of(reader: StreamReader, raw: bytes) -> Answer:
    run(reader, raw)
    return reader.answer()


# --- chat ----------------------------------------------------------------------------------------------------------


def test_the_usage_chunk_that_the_client_did_not_ask_for_is_kept_back() -> None:
    text, end = chunk({"role": "assistant", "content": "hi"}, usage=None), chunk({}, reason="stop", usage=None)
    raw = text + end + chunk(None, usage=TOLD) + DONE
    for size in (0, 1, 7, 97):
        reader = OPENAI.reader(chat_request())
        assert run(reader, raw, size) == text + end + DONE
        assert reader.answer().usage == Usage(input_tokens=5, output_tokens=3)
        assert reader.is_finished
        asked = OPENAI.reader(chat_request(stream_options={"include_usage": True}))
        assert run(asked, raw, size) == raw


def test_only_a_usage_chunk_without_choices_is_kept_back() -> None:
    azure = chunk(None, prompt_filter_results=[{"prompt_index": 0}])
    last = chunk({"content": "x"}, reason="stop", usage=TOLD)
    nothing = chunk(None, usage=None)
    raw = azure + nothing + last + DONE
    reader = OPENAI.reader(chat_request())
    assert run(reader, raw) == raw
    assert reader.answer().usage == Usage(input_tokens=5, output_tokens=3)


def test_usage_that_is_repeated_is_cumulative_and_the_last_one_counts() -> None:
    raw = b"".join(
        chunk({"content": "x"}, usage={"prompt_tokens": 5, "completion_tokens": at, "total_tokens": 5 + at})
        for at in (1, 2, 3)
    )
    assert answer_of(OPENAI.reader(chat_request()), raw).usage == Usage(input_tokens=5, output_tokens=3)


def test_usage_inside_a_choice_or_beside_it_is_found() -> None:
    value = {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": TOLD}]}
    moonshot = b"data: " + json.dumps(value).encode() + b"\n\n"
    groq = chunk({}, reason="stop", x_groq={"id": "r", "usage": TOLD})
    for raw in (moonshot, groq):
        assert answer_of(OPENAI.reader(chat_request()), raw).usage == Usage(input_tokens=5, output_tokens=3)


def test_a_stream_without_usage_is_counted_from_its_deltas() -> None:
    raw = b"".join(chunk({"content": "é" * 9}) for _ in range(10)) + chunk({}, reason="stop") + DONE
    reader = OPENAI.reader(chat_request())
    answer = answer_of(reader, raw)
    assert answer.usage is None
    assert answer.visible_tokens == reader.visible_tokens == 60
    raw = b"".join(chunk({"content": "a"}) for _ in range(10))
    assert answer_of(OPENAI.reader(chat_request()), raw).visible_tokens == 10


@pytest.mark.parametrize(
    ("delta", "size_bytes"),
    [
        ({"content": "abc"}, 3),
        ({"content": ""}, 0),
        ({"content": None, "role": "assistant"}, 0),
        ({"reasoning_content": "abcdef"}, 6),
        ({"reasoning": "abcdef", "reasoning_details": [{"text": "abcdef"}]}, 6),
        ({"refusal": "no"}, 2),
        ({"function_call": {"name": "f", "arguments": "{}"}}, 3),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "abc"}]}]}, 3),
        ({"audio": {"id": "a", "data": "QUJD", "transcript": "abc", "expires_at": 5}}, 3),
        ({"content": 'a\\n"b'}, 5),
    ],
)
def test_all_generated_text_counts(delta: dict[str, Any], size_bytes: int) -> None:
    raw = chunk(delta) * 3
    tools = 12 if "function_call" in delta else 0
    assert (
        answer_of(OPENAI.reader(chat_request()), raw).visible_tokens
        == max(3 if size_bytes else 0, -(-3 * size_bytes // 3)) + tools
    )


def test_choices_and_tool_calls_are_summed() -> None:
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "find", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"a":1}'}}
    raw = (
        chunk({"content": "abc"})
        + chunk({"content": "abcdef"}, index=1)
        + chunk({"tool_calls": [call]})
        + chunk({"tool_calls": [more]})
        + chunk({"tool_calls": [{**call, "index": 1}]}, index=1)
    )
    answer = answer_of(OPENAI.reader(chat_request(n=2)), raw)
    assert answer.tool_calls == 2
    assert answer.visible_tokens == -(-(3 + 6 + 4 + 7 + 4) // 3) + 2 * 12


def test_what_the_answer_says_of_itself() -> None:
    raw = chunk({"content": "x"}, service_tier="priority") + chunk({}, reason="length") + DONE
    answer = answer_of(OPENAI.reader(chat_request()), raw)
    assert (answer.model, answer.service_tier, answer.is_capped) == ("m-1", "priority", True)
    raw = chunk({"content": "x"}, service_tier="default") + chunk({}, reason="stop", usage={**TOLD, "cost": 0.25})
    answer = answer_of(OPENAI.reader(chat_request()), raw)
    assert (answer.service_tier, answer.is_capped, answer.cost_reported) == ("", False, 250_000_000)


def test_a_chat_stream_ends_with_done_or_with_usage_after_every_choice() -> None:
    def finished_after(*events: bytes, **fields: Any) -> list[bool]:
        reader = OPENAI.reader(chat_request(**fields))
        states = []
        for event in events:
            reader.feed(event)
            states.append(reader.is_finished)
        reader.rest()
        return [*states, reader.is_finished]

    usage, end = chunk(None, usage=TOLD), chunk({}, reason="stop")
    assert finished_after(end, usage, chunk({}, reason="stop", index=1), n=2) == [False, False, True, True]
    assert finished_after(end, b"data: [DONE]") == [False, False, True]
    assert finished_after(usage, end) == [False, True, True]


def test_a_chat_stream_is_complete_when_every_choice_has_ended() -> None:
    reader = OPENAI.reader(chat_request())
    states = [reader.is_complete]
    for event in (chunk({"content": "x"}), chunk({}, reason="stop")):
        reader.feed(event)
        states.append(reader.is_complete)
    assert states == [False, False, True]


def test_an_error_is_written_as_the_api_does_in_a_stream() -> None:
    refusal = Refusal(502, "upstream_failed", "the provider broke off")
    for reader in (OPENAI.reader(chat_request()), ANTHROPIC.reader(messages_request())):
        raw = reader.error(refusal)
        reader.feed(raw)
        assert reader.is_error
        assert b"the provider broke off" in raw


def test_an_error_in_a_stream_is_seen() -> None:
    raw = chunk({"content": "x"}) + b'data: {"error":{"message":"overloaded","code":502}}\n\n'
    reader = OPENAI.reader(chat_request())
    assert run(reader, raw) == raw
    assert reader.is_error


def test_events_of_the_same_form_are_counted_as_if_each_were_parsed() -> None:
    texts = ["one", "", "two ", 'quo"te', "back\\slash", "é€😀", "new\nline", "three", "four"]
    padded = [chunk({"content": text}, obfuscation="x" * at) for at, text in enumerate(texts)]
    plain = [chunk({"content": text}) for text in texts]
    size = sum(len(text.encode()) for text in texts)
    for events in (padded, plain):
        reader = OPENAI.reader(chat_request())
        assert run(reader, b"".join(events)) == b"".join(events)
        assert reader.visible_tokens == max(8, -(-size // 3))


def test_an_event_that_differs_behind_its_text_is_not_taken_for_the_one_before() -> None:
    plain = chunk({"content": "abc"}, usage=None)
    reader = OPENAI.reader(chat_request())
    run(reader, plain * 3 + chunk({"content": "abc"}, reason="length", usage=None))
    assert reader.answer().is_capped
    reader = OPENAI.reader(chat_request())
    run(reader, plain * 3 + chunk({"content": "abc"}, usage=TOLD) + plain)
    assert reader.answer().usage is not None
    reader = OPENAI.reader(chat_request())
    run(reader, plain * 3 + chunk({"content": "abc"}, usage=None, error={"message": "x"}))
    assert reader.is_error


@pytest.mark.parametrize(
    "junk", [b"data: {broken\n\n", b'data: {"a":"\xff"}\n\n', b"data: {" + b'"a":{' * 5_000 + b"\n\n"]
)
def test_what_cannot_be_read_passes_and_counts_as_text(junk: bytes) -> None:
    for reader in (OPENAI.reader(chat_request()), ANTHROPIC.reader(messages_request())):
        assert run(reader, junk) == junk
        assert reader.visible_tokens >= 1
        assert reader.answer().usage is None


@pytest.mark.parametrize(
    "value",
    [
        {"choices": {}},
        {"choices": [5]},
        {"choices": [{"delta": 5}]},
        {"choices": [{"index": "x", "delta": {"content": "a"}}]},
        {"choices": [{"delta": {"tool_calls": [5, {"index": None}]}}]},
        {"usage": 5},
        {"usage": []},
        {"model": 5},
        {"service_tier": {}},
        {"x_groq": 5},
        {"type": "message_start"},
        {"type": "message_start", "message": 5},
        {"type": "message_delta", "usage": 5, "delta": 5},
        {"type": "content_block_start", "index": "x", "content_block": 5},
        {"type": "content_block_delta", "delta": {"text": 5}},
        {"type": "content_block_stop"},
        {"type": 5},
        {},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": -5}},
    ],
)
def test_odd_objects_never_raise(value: dict[str, Any]) -> None:
    raw = b"data: " + json.dumps(value).encode() + b"\n\n"
    for reader in (OPENAI.reader(chat_request()), ANTHROPIC.reader(messages_request())):
        assert run(reader, raw) == raw
        assert reader.answer().usage is None
        reader.cut(Usage())


def test_comments_and_other_line_ends_pass() -> None:
    raw = b": OPENROUTER PROCESSING\n\n" + chunk({"content": "abc"}).replace(b"\n", b"\r\n") + b"data: [DONE]\r\n\r\n"
    for size in (0, 1, 3):
        reader = OPENAI.reader(chat_request())
        assert run(reader, raw, size) == raw
        assert reader.is_finished
        assert reader.visible_tokens == 1


def test_a_line_that_never_ends_is_too_large() -> None:
    reader = OPENAI.reader(chat_request())
    reader.feed(b"x" * EVENT_BYTES_MAX)
    with pytest.raises(TooLarge):
        reader.feed(b"x")


# --- messages ------------------------------------------------------------------------------------------------------

START = typed(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 4,
            "output_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 3},
            "service_tier": "standard",
        },
    },
)
TEXT = typed("content_block_start", index=0, content_block={"type": "text", "text": ""})
WORD = typed("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
STOP = typed("content_block_stop", index=0)
END = typed("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 15})
LAST = typed("message_stop")


def test_message_usage_is_cumulative_and_merged_from_both_ends() -> None:
    raw = START + TEXT + WORD * 3 + STOP + END + LAST
    for size in (0, 1, 97):
        reader = ANTHROPIC.reader(messages_request())
        assert run(reader, raw, size) == raw
        assert reader.is_finished
        answer = reader.answer()
        assert answer.usage == Usage(input_tokens=25, cache_write_tokens=1, cache_write_1h_tokens=3, output_tokens=15)
        assert (answer.model, answer.service_tier, answer.is_capped, answer.visible_tokens) == (
            "claude-1",
            "",
            False,
            5,
        )


def test_the_input_side_may_be_updated_at_the_end() -> None:
    usage = {
        "input_tokens": 30,
        "cache_read_input_tokens": 7,
        "output_tokens": 15,
        "server_tool_use": {"web_search_requests": 2},
    }
    end = typed("message_delta", delta={"stop_reason": "max_tokens"}, usage=usage)
    answer = answer_of(ANTHROPIC.reader(messages_request()), START + end)
    assert answer.is_capped
    assert answer.usage == Usage(
        input_tokens=30,
        cache_read_tokens=7,
        cache_write_tokens=1,
        cache_write_1h_tokens=3,
        output_tokens=15,
        web_searches=2,
    )


def test_a_message_cut_short_tells_its_input_only() -> None:
    answer = answer_of(ANTHROPIC.reader(messages_request()), START + TEXT + WORD * 6)
    assert answer.usage is None
    assert answer.usage_input == Usage(input_tokens=25, cache_write_tokens=1, cache_write_1h_tokens=3)
    assert answer.visible_tokens == 10
    assert answer_of(ANTHROPIC.reader(messages_request()), b"").usage_input is None


def test_thinking_and_tool_calls_count_and_signatures_do_not() -> None:
    raw = (
        typed("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
        + typed("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "abcdef"})
        + typed("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "x" * 900})
        + typed(
            "content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "abc", "input": {}}
        )
        + typed("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a":'})
        + typed(
            "content_block_start",
            index=2,
            content_block={"type": "web_search_tool_result", "content": [{"url": "u" * 900}]},
        )
    )
    answer = answer_of(ANTHROPIC.reader(messages_request()), raw)
    assert answer.visible_tokens == -(-(6 + 3 + 5) // 3) + 2 * 60
    assert answer.tool_calls == 1


def test_errors_and_pings() -> None:
    raw = START + typed("ping") + typed("error", error={"type": "overloaded_error", "message": "Overloaded"})
    reader = ANTHROPIC.reader(messages_request())
    assert run(reader, raw) == raw
    assert reader.is_error
    assert not reader.is_finished


SAMPLES = [START, TEXT, WORD, STOP, END, LAST, DONE, b": c\n\n", b"data: {\n\n", chunk(None, usage=TOLD)]
SAMPLES += [chunk({"content": "a\nb"}), chunk({"content": "ab"}), chunk({}, reason="stop")]


@given(st.lists(st.sampled_from(SAMPLES), max_size=12), st.lists(st.integers(1, 60), max_size=60))
def test_any_split_of_any_stream_gives_the_same_answer(events: list[bytes], sizes: list[int]) -> None:
    raw = b"".join(events)
    for make in (lambda: OPENAI.reader(chat_request()), lambda: ANTHROPIC.reader(messages_request())):
        whole, pieces = make(), make()
        passed = run(whole, raw)
        at, got = 0, b""
        for size in sizes:
            got += pieces.feed(raw[at : at + size])
            at += size
        got += pieces.feed(raw[at:]) + pieces.rest()
        assert got == passed
        assert pieces.answer() == whole.answer()
        assert (pieces.is_finished, pieces.is_error) == (whole.is_finished, whole.is_error)
