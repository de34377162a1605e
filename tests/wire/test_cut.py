"""The real SDKs take a cut stream for an answer that reached its output cap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bursar.core.usage import Usage
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.openai_chat import OpenAIChat

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")

OPENAI, ANTHROPIC = OpenAIChat(), AnthropicMessages()
SPENT = Usage(input_tokens=11, cache_read_tokens=4, output_tokens=20, reasoning_tokens=3)
MESSAGES = [{"role": "user", "content": "hi"}]


def chunk(delta: dict[str, Any], index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
    value = {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 9,
        "model": "gpt-7",
        "system_fingerprint": "fp_1",
        "choices": [choice],
    }
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def call(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    if name is None:
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}


CHAT = {
    "nothing yet": b"",
    "a comment": b": waiting\n\n",
    "the role": chunk({"role": "assistant", "content": ""}),
    "text": chunk({"role": "assistant", "content": ""}) + chunk({"content": "Hel"}) + chunk({"content": "lo"}),
    "an incomplete event": chunk({"role": "assistant", "content": "Hello"}) + b'data: {"id":"chatc',
    "a tool call": chunk({"role": "assistant", "content": None})
    + chunk(call(0, "find", ""))
    + chunk(call(0, None, '{"q":"a')),
    "a second tool call": chunk(call(0, "find", "{}")) + chunk(call(1, "find", "")) + chunk(call(1, None, '{"q')),
}


def chat_client(body: bytes) -> Any:
    def answer(_: Any) -> Any:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    return openai.OpenAI(
        api_key="k", base_url="http://x/v1", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def cut_chat(seen: bytes, **fields: Any) -> bytes:
    body = {"model": "gpt-7", "messages": MESSAGES, "stream": True, **fields}
    reader = OPENAI.reader(OPENAI.parse(json.dumps(body).encode()))
    passed = reader.feed(seen) + reader.cut(SPENT)
    assert reader.is_finished
    assert reader.cut(SPENT) == b""
    return passed


@pytest.mark.parametrize("seen", CHAT.values(), ids=CHAT.keys())
@pytest.mark.parametrize("wants_usage", [True, False])
def test_openai_iterates_a_cut_stream(seen: bytes, wants_usage: bool) -> None:
    options = {"include_usage": True} if wants_usage else {}
    body = cut_chat(seen, stream_options=options)
    assert body.endswith(b"data: [DONE]\n\n")
    with chat_client(body) as client:
        chunks = list(client.chat.completions.create(model="gpt-7", messages=MESSAGES, stream=True))
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == ["length"]
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usages) == wants_usage
    if wants_usage:
        assert (usages[0].prompt_tokens, usages[0].completion_tokens, usages[0].total_tokens) == (15, 23, 38)
        assert usages[0].prompt_tokens_details.cached_tokens == 4
        assert usages[0].completion_tokens_details.reasoning_tokens == 3
        assert chunks[-1].choices == []


@pytest.mark.parametrize("seen", CHAT.values(), ids=CHAT.keys())
def test_openai_stream_helper_ends_a_cut_stream(seen: bytes) -> None:
    body = cut_chat(seen, stream_options={"include_usage": True})
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    with (
        chat_client(body) as client,
        client.chat.completions.stream(model="gpt-7", messages=MESSAGES, tools=[tool]) as stream,
    ):
        for _ in stream:
            pass
        # The helper itself raises this for every answer that ends at its cap, the provider's own included.
        with pytest.raises(openai.LengthFinishReasonError) as caught:
            stream.get_final_completion()
    assert caught.value.completion.choices[0].finish_reason == "length"
    assert caught.value.completion.usage.completion_tokens == 23


def test_every_open_choice_is_ended_and_an_ended_one_is_left_alone() -> None:
    seen = chunk({"content": "a"}) + chunk({"content": "b"}, 1) + chunk({}, 1, finish_reason="stop")
    with chat_client(cut_chat(seen, n=3)) as client:
        chunks = list(client.chat.completions.create(model="gpt-7", messages=MESSAGES, stream=True, n=3))
    reasons = {
        choice.index: choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason
    }
    assert reasons == {0: "length", 1: "stop", 2: "length"}


def test_the_added_chunk_looks_like_those_before_it() -> None:
    added = json.loads(cut_chat(CHAT["text"]).split(b"\n\n")[3].removeprefix(b"data: "))
    assert added == {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 9,
        "model": "gpt-7",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}],
    }


def test_after_done_nothing_is_added() -> None:
    assert cut_chat(CHAT["text"] + chunk({}, finish_reason="stop") + b"data: [DONE]\n\n").count(b"finish_reason") == 4


# --- messages ------------------------------------------------------------------------------------------------------


def typed(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


START = typed(
    "message_start",
    message={
        "id": "msg_7",
        "type": "message",
        "role": "assistant",
        "model": "claude-7",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1},
    },
)


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any], is_open: bool = False) -> bytes:
    raw = typed("content_block_start", index=index, content_block=content)
    raw += b"".join(typed("content_block_delta", index=index, delta=delta) for delta in deltas)
    return raw if is_open else raw + typed("content_block_stop", index=index)


TEXT = ({"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"})
THINKING = ({"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "hm"})
TOOL = (
    {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}},
    {"type": "input_json_delta", "partial_json": '{"q": "a'},
)
SEEN = {
    "nothing yet": (b"", []),
    "a ping": (typed("ping"), []),
    "the start": (START, []),
    "text": (START + block(0, *TEXT, is_open=True), ["text"]),
    "between blocks": (START + block(0, *TEXT), ["text"]),
    "thinking": (START + block(0, *THINKING, is_open=True), ["thinking"]),
    "a tool call": (START + block(0, *THINKING) + block(1, *TOOL, is_open=True), ["thinking", "tool_use"]),
    "a tool call without input": (START + block(0, TOOL[0], is_open=True), ["tool_use"]),
    "an incomplete event": (START + block(0, *TEXT, is_open=True) + b"event: content_blo", ["text"]),
}


def messages_client(body: bytes) -> Any:
    def answer(_: Any) -> Any:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    return anthropic.Anthropic(
        api_key="k", base_url="http://x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def cut_message(seen: bytes) -> bytes:
    body = {"model": "claude-7", "max_tokens": 99, "messages": MESSAGES, "stream": True}
    reader = ANTHROPIC.reader(ANTHROPIC.parse(json.dumps(body).encode()))
    passed = reader.feed(seen) + reader.cut(SPENT)
    assert reader.is_finished
    assert reader.cut(SPENT) == b""
    return passed


@pytest.mark.parametrize(("seen", "kinds"), SEEN.values(), ids=SEEN.keys())
def test_anthropic_iterates_a_cut_stream(seen: bytes, kinds: list[str]) -> None:
    with messages_client(cut_message(seen)) as client:
        events = list(client.messages.create(model="claude-7", max_tokens=99, messages=MESSAGES, stream=True))
    names = [event.type for event in events if event.type != "ping"]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("content_block_start") == names.count("content_block_stop") == len(kinds)
    assert events[-2].delta.stop_reason == "max_tokens"
    assert events[-2].usage.output_tokens == 23


def final_messages(body: bytes) -> Iterator[Any]:
    with (
        messages_client(body) as client,
        client.messages.stream(model="claude-7", max_tokens=99, messages=MESSAGES) as stream,
    ):
        yield stream.get_final_message()
    with (
        messages_client(body) as client,
        client.beta.messages.stream(model="claude-7", max_tokens=99, messages=MESSAGES) as stream,
    ):
        yield stream.get_final_message()


@pytest.mark.parametrize(("seen", "kinds"), SEEN.values(), ids=SEEN.keys())
def test_anthropic_stream_helpers_end_a_cut_stream(seen: bytes, kinds: list[str]) -> None:
    for message in final_messages(cut_message(seen)):
        assert message.stop_reason == "max_tokens"
        assert message.usage.output_tokens == 23
        assert message.usage.cache_read_input_tokens == 4
        assert [part.type for part in message.content] == kinds


def test_a_message_that_has_ended_already_is_only_closed() -> None:
    end = typed("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5})
    body = cut_message(START + block(0, *TEXT) + end)
    assert body.count(b"event: message_delta") == 1
    assert body.endswith(typed("message_stop").replace(b'": "', b'":"'))
    assert cut_message(START + end + typed("message_stop")).endswith(typed("message_stop"))
