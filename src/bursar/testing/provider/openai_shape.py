"""The wire of OpenAI's chat completions: requests in, answers, chunks and errors out.

Owns that JSON, as the real API writes it. It must never decide what is generated or billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask, text_bytes
from bursar.testing.provider.openai_common import DONE, OpenAICommon, count_of, usage_of
from bursar.testing.provider.shape import Problem, compact, padded, required

__all__ = ["OpenAIShape"]

CAP_NAMES = ("max_completion_tokens", "max_tokens")
CHOICES_MAX = 128
SPLIT = '"@"'


class OpenAIShape(OpenAICommon):
    """Speak OpenAI's chat completions."""

    wire: Literal["openai"] = "openai"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as OpenAI would refuse it."""
        model = required(body, "model", str, Problem(400, "you must provide a model parameter"))
        missing = Problem(
            400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
        messages = required(body, "messages", list, missing)
        caps = {name: count_of(body, name) for name in CAP_NAMES if body.get(name) is not None}
        if len(caps) > 1:
            text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            raise Problem(400, text, param="max_tokens", code="invalid_parameter_combination")
        cap_name, cap_tokens = next(iter(caps.items()), (CAP_NAMES[0], None))
        options = body.get("stream_options")
        if options is not None and body.get("stream") is not True:
            text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise Problem(400, text, param="stream_options")
        return Ask(
            wire=self.wire,
            model=model,
            is_stream=body.get("stream") is True,
            cap_tokens=cap_tokens,
            cap_name=cap_name,
            choices=1 if body.get("n") is None else count_of(body, "n", most=CHOICES_MAX),
            wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
            prompt_bytes=text_bytes(messages, None, body.get("tools")),
        )

    def answer_id(self, unique: str) -> str:
        """Return an answer's id."""
        return f"chatcmpl-{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        message = _message(answer)
        finish = _finish_reason(answer)
        body: dict[str, Any] = {
            "id": answer.id,
            "object": "chat.completion",
            "created": answer.created_s,
            "model": answer.ask.model,
            "choices": [
                {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
                for index in range(answer.ask.choices)
            ],
            "usage": usage_of(answer, answer.stop_tokens),
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }
        if answer.script.fault == "no_usage":
            del body["usage"]
        return compact(body)

    def opening(self, answer: Answer) -> bytes:
        """Return the chunk that names the role, for every choice."""
        call = answer.script.tool_call
        delta: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        if call is not None:
            function = {"name": call.name, "arguments": ""}
            delta["content"] = None
            delta["tool_calls"] = [{"index": 0, "id": _tool_id(answer), "type": "function", "function": function}]
        return b"".join(_chunk(answer, index, delta) for index in range(answer.ask.choices))

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the content chunks [start, end) of every choice, choices in turn."""
        frames = [_content_frame(answer, index) for index in range(answer.ask.choices)]
        pieces = answer.events[start:end]
        if len(frames) == 1:
            before, after = frames[0]
            return before + (after + before).join(pieces) + after if pieces else b""
        return b"".join(before + piece + after for piece in pieces for before, after in frames)

    def closing(self, answer: Answer) -> bytes:
        """Return the chunks with the finish reason, the usage if asked for, and the end."""
        finish = _finish_reason(answer)
        last = b"".join(_chunk(answer, index, {}, finish) for index in range(answer.ask.choices))
        return last + self.usage(answer, answer.stop_tokens) + DONE

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return the chunk that reports usage, or nothing when the client did not ask for it."""
        if not answer.ask.wants_usage or answer.script.fault == "no_usage":
            return b""
        return _event({**_envelope(answer), "choices": [], "usage": usage_of(answer, tokens)})

    def broken(self, answer: Answer) -> bytes:
        """Return a chunk that stops in the middle of its JSON."""
        return b'data: {"id":"' + answer.id.encode() + b'","choices":[{"index":0,"delta":{"content":"\n\n'

    def long_line(self, size_bytes: int) -> bytes:
        """Return a chunk without content whose line has `size_bytes` bytes, padded as OpenAI pads its chunks."""
        before = b'data: {"id":"chatcmpl-long","object":"chat.completion.chunk","created":0,"model":"long",'
        return padded(before + b'"choices":[],"obfuscation":"', b'"}', size_bytes) + b"\n\n"


def _tool_id(answer: Answer) -> str:
    return "call_" + answer.id.removeprefix("chatcmpl-")


def _message(answer: Answer) -> dict[str, Any]:
    call = answer.script.tool_call
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if call is not None:
        function = {"name": call.name, "arguments": answer.text}
        message["content"] = None
        message["tool_calls"] = [{"id": _tool_id(answer), "type": "function", "function": function}]
    return message


def _finish_reason(answer: Answer) -> str:
    if answer.is_length:
        return "length"
    return "stop" if answer.script.tool_call is None else "tool_calls"


def _envelope(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created_s,
        "model": answer.ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + compact(data) + b"\n\n"


def _chunk(answer: Answer, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    data = {**_envelope(answer), "choices": [choice]}
    if answer.ask.wants_usage:
        data["usage"] = None
    return _event(data)


def _content_frame(answer: Answer, index: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the JSON string of a content chunk."""
    delta: dict[str, Any] = {"content": "@"}
    if answer.script.tool_call is not None:
        delta = {"tool_calls": [{"index": 0, "function": {"arguments": "@"}}]}
    before, _, after = _chunk(answer, index, delta).rpartition(SPLIT.encode())
    return before, after
