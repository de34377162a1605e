"""The wire of Anthropic's messages: requests in, answers, events and errors out.

Owns that JSON, as the real API writes it. It must never decide what is generated or billed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask, text_bytes
from bursar.testing.provider.script import Script
from bursar.testing.provider.shape import Problem, compact, padded, required

__all__ = ["AnthropicShape"]

ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "There was an issue with the format or content of your request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


class AnthropicShape:
    """Speak Anthropic's messages."""

    wire: Literal["anthropic"] = "anthropic"

    def id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return the header that names the request."""
        return [(b"request-id", request_id.encode())]

    def has_key(self, headers: Mapping[str, str]) -> bool:
        """Say whether the request carries a key or a bearer token."""
        bearer = headers.get("authorization", "").removeprefix("Bearer").strip()
        return bool(headers.get("x-api-key") or bearer)

    def missing_key(self) -> Problem:
        """Return the refusal of a request without credentials."""
        return Problem(401, "x-api-key header is required")

    def scripted_error(self, status: int) -> Problem:
        """Return the error that Anthropic gives with `status`."""
        kind, message = ERRORS.get(status, ERRORS[500] if status >= 500 else ERRORS[400])
        return Problem(status, message, kind=kind)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return the body of an error answer."""
        kind = problem.kind or ERRORS.get(problem.status, ERRORS[400])[0]
        detail = {"type": kind, "message": problem.message}
        return compact({"type": "error", "error": detail, "request_id": request_id})

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as Anthropic would refuse it."""
        model = required(body, "model", str, Problem(400, "model: Field required"))
        messages = required(body, "messages", list, Problem(400, "messages: Field required"))
        if "max_tokens" not in body:
            raise Problem(400, "max_tokens: Field required")
        cap = body["max_tokens"]
        if not isinstance(cap, int) or isinstance(cap, bool):
            raise Problem(400, "max_tokens: Input should be a valid integer")
        if cap < 1:
            raise Problem(400, "max_tokens: Input should be greater than or equal to 1")
        _check_thinking(body.get("thinking"), cap)
        return Ask(
            wire=self.wire,
            model=model,
            is_stream=body.get("stream") is True,
            cap_tokens=cap,
            cap_name="max_tokens",
            choices=1,
            wants_usage=True,
            prompt_bytes=text_bytes(messages, body.get("system"), body.get("tools")),
        )

    def check_cap(self, ask: Ask, script: Script) -> None:
        """Raise Problem when the request's cap is above the model's maximum."""
        cap, most = ask.cap_tokens, script.max_output_tokens
        if most is None or cap is None or cap <= most:
            return
        limit = f"max_tokens: {cap} > {most}, which is the maximum allowed number of output tokens for {ask.model}"
        raise Problem(400, limit)

    def answer_id(self, unique: str) -> str:
        """Return an answer's id."""
        return f"msg_{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        body = _message(answer, _content(answer), _stop_reason(answer), answer.stop_tokens)
        if answer.script.fault == "no_usage":
            del body["usage"]
        return compact(body)

    def opening(self, answer: Answer) -> bytes:
        """Return message_start with the prompt's usage, the start of the content, and a ping."""
        message = _message(answer, [], None, min(1, answer.total_tokens))
        if answer.script.fault == "no_usage":
            del message["usage"]
        events = _event({"type": "message_start", "message": message})
        if answer.visible_tokens > 0:
            block = _empty_block(answer)
            events += _event({"type": "content_block_start", "index": 0, "content_block": block})
        return events + self.keep_alive()

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the content_block_delta events [start, end)."""
        is_text = answer.script.tool_call is None
        kind, member = ("text_delta", "text") if is_text else ("input_json_delta", "partial_json")
        before = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            + f'"delta":{{"type":"{kind}","{member}":'.encode()
        )
        after = b"}}\n\n"
        pieces = answer.events[start:end]
        return before + (after + before).join(pieces) + after if pieces else b""

    def closing(self, answer: Answer) -> bytes:
        """Return content_block_stop, message_delta with cumulative usage, and message_stop."""
        stop = _event({"type": "content_block_stop", "index": 0}) if answer.visible_tokens > 0 else b""
        delta = _message_delta(answer, _stop_reason(answer), answer.stop_tokens)
        return stop + delta + _event({"type": "message_stop"})

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return a message_delta that reports usage so far and stops nothing."""
        return _message_delta(answer, None, tokens)

    def broken(self, answer: Answer) -> bytes:
        """Return an event that stops in the middle of its JSON."""
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"ty\n\n'

    def long_line(self, size_bytes: int) -> bytes:
        """Return a ping whose data line has `size_bytes` bytes."""
        return b"event: ping\n" + padded(b'data: {"type":"ping","padding":"', b'"}', size_bytes) + b"\n\n"

    def keep_alive(self) -> bytes:
        """Return a ping."""
        return b'event: ping\ndata: {"type": "ping"}\n\n'

    def error_event(self, answer: Answer, request_id: str) -> bytes:
        """Return the error that ends a stream."""
        return b"event: error\ndata: " + self.error(self.scripted_error(529), request_id) + b"\n\n"


def _check_thinking(thinking: Any, cap: int) -> None:
    """Refuse a thinking budget that the cap leaves no room for, as Anthropic does."""
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise Problem(400, "thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        raise Problem(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if budget >= cap:
        raise Problem(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _tool_id(answer: Answer) -> str:
    return "toolu_" + answer.id.removeprefix("msg_")


def _empty_block(answer: Answer) -> dict[str, Any]:
    call = answer.script.tool_call
    if call is None:
        return {"type": "text", "text": ""}
    return {"type": "tool_use", "id": _tool_id(answer), "name": call.name, "input": {}}


def _content(answer: Answer) -> list[dict[str, Any]]:
    if answer.visible_tokens == 0:
        return []
    block = _empty_block(answer)
    if answer.script.tool_call is None:
        block["text"] = answer.text
    else:
        block["input"] = _arguments(answer.text)
    return [block]


def _arguments(text: str) -> dict[str, Any]:
    """Return a tool call's input; arguments that the cap cut are no JSON and become an empty object."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _stop_reason(answer: Answer) -> str:
    if answer.is_length:
        return "max_tokens"
    return "end_turn" if answer.script.tool_call is None else "tool_use"


def _message(answer: Answer, content: list[dict[str, Any]], stop_reason: str | None, tokens: int) -> dict[str, Any]:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.ask.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {**_usage(answer, tokens), "service_tier": "standard"},
    }


def _usage(answer: Answer, tokens: int) -> dict[str, Any]:
    units = answer.units(tokens)
    usage: dict[str, Any] = {
        "input_tokens": units.input,
        "cache_creation_input_tokens": units.cache_write,
        "cache_read_input_tokens": units.cache_read,
        "output_tokens": units.output,
    }
    if answer.script.reasoning_tokens > 0:
        usage["output_tokens_details"] = {"thinking_tokens": answer.reasoning_of(tokens)}
    return usage


def _message_delta(answer: Answer, stop_reason: str | None, tokens: int) -> bytes:
    data: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason, "stop_sequence": None},
        "usage": _usage(answer, tokens),
    }
    if answer.script.fault == "no_usage":
        del data["usage"]
    return _event(data)


def _event(data: dict[str, Any]) -> bytes:
    name: str = data["type"]
    return b"event: " + name.encode() + b"\ndata: " + compact(data) + b"\n\n"
