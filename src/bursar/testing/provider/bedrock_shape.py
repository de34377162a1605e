"""The wire of Bedrock's Converse: requests in, answers, event-stream messages and errors out.

Owns that JSON and its frames, as the real API writes them. It must never decide what is generated or billed. The model
and the kind of answer stand in the URL: the routes put them into the request as `model` and `stream`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask, text_bytes
from bursar.testing.provider.script import Script
from bursar.testing.provider.shape import Problem, compact, required
from bursar.wire.event_stream import frame

__all__ = ["BedrockErrors", "ConverseShape", "event"]

ERRORS: dict[int, tuple[str, str]] = {
    400: ("ValidationException", "The request is not valid."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    404: ("ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier."),
    408: ("ModelTimeoutException", "Model has timed out in processing the request."),
    413: ("ValidationException", "Input is too long for requested model."),
    424: ("ModelErrorException", "The system encountered an unexpected error during processing."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The system encountered an unexpected error during processing."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}
PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"
"""Every event ends in some of these, so that its size does not tell what is in it."""


class BedrockErrors:
    """What both of Bedrock's wires do alike."""

    wire: Literal["bedrock"] = "bedrock"

    def id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return the header that names the request."""
        return [(b"x-amzn-requestid", request_id.encode())]

    def has_key(self, headers: Mapping[str, str]) -> bool:
        """Say whether the request is signed, or carries a bearer token."""
        return headers.get("authorization", "").startswith(("AWS4-HMAC-SHA256 Credential=", "Bearer "))

    def missing_key(self) -> Problem:
        """Return the refusal of a request without credentials."""
        return Problem(403, "Missing Authentication Token", kind="MissingAuthenticationTokenException")

    def scripted_error(self, status: int) -> Problem:
        """Return the error that AWS gives with `status`."""
        kind, message = ERRORS.get(status, ERRORS[500] if status >= 500 else ERRORS[400])
        return Problem(status, message, kind=kind)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return the body of an error answer."""
        kind = problem.kind or ERRORS.get(problem.status, ERRORS[400])[0]
        return compact({"__type": kind, "message": problem.message})

    def check_cap(self, ask: Ask, script: Script) -> None:
        """Raise Problem when the request's cap is above the model's maximum."""
        cap, most = ask.cap_tokens, script.max_output_tokens
        if most is not None and cap is not None and cap > most:
            text = (
                f"The maximum tokens you requested exceeds the model limit of {most}. Try again with a maximum tokens"
            )
            raise Problem(400, f"{text} value that is lower than {most}.")

    def error_event(self, answer: Answer, request_id: str) -> bytes:
        """Return the exception that ends a stream."""
        headers = {":exception-type": "modelStreamErrorException", ":content-type": "application/json"}
        told = compact({"message": "The model ended in an error.", "originalStatusCode": 500})
        return frame({**headers, ":message-type": "exception"}, told)


class ConverseShape(BedrockErrors):
    """Speak Bedrock's Converse."""

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as Bedrock would refuse it."""
        messages = required(body, "messages", list, Problem(400, "A conversation must start with a user message."))
        for message in messages:
            if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
                raise Problem(400, "The role of a message must be user or assistant.")
        tools = body.get("toolConfig")
        return Ask(
            wire=self.wire,
            model=body["model"],
            is_stream=body.get("stream") is True,
            cap_tokens=_cap(body.get("inferenceConfig")),
            cap_name="maxTokens",
            choices=1,
            wants_usage=True,
            prompt_bytes=text_bytes(messages, body.get("system"), tools.get("tools") if tools else None),
        )

    def answer_id(self, unique: str) -> str:
        """Return an answer's id; the API itself has none but the request's."""
        return f"bedrock-{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        body: dict[str, Any] = {
            "metrics": {"latencyMs": 1},
            "output": {"message": {"content": _content(answer), "role": "assistant"}},
            "stopReason": _stop_reason(answer),
            "usage": _usage(answer, answer.stop_tokens),
        }
        if answer.script.fault == "no_usage":
            del body["usage"]
        return compact(body)

    def opening(self, answer: Answer) -> bytes:
        """Return messageStart, and the start of a tool's call; a block of text has no start of its own."""
        call = answer.script.tool_call
        head = event("messageStart", {"role": "assistant"})
        if call is None or answer.visible_tokens == 0:
            return head
        start = {"toolUse": {"name": call.name, "toolUseId": _tool_id(answer)}}
        return head + event("contentBlockStart", {"contentBlockIndex": 0, "start": start})

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the contentBlockDelta events [start, end)."""
        is_text = answer.script.tool_call is None
        deltas = []
        for piece in answer.events[start:end]:
            text = json.loads(piece)
            delta = {"text": text} if is_text else {"toolUse": {"input": text}}
            deltas.append(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}))
        return b"".join(deltas)

    def closing(self, answer: Answer) -> bytes:
        """Return contentBlockStop, messageStop, and metadata with the usage."""
        stop = event("contentBlockStop", {"contentBlockIndex": 0}) if answer.visible_tokens > 0 else b""
        ends = event("messageStop", {"stopReason": _stop_reason(answer)})
        told = b"" if answer.script.fault == "no_usage" else self.usage(answer, answer.stop_tokens)
        return stop + ends + told

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return metadata that reports usage so far."""
        return event("metadata", {"metrics": {"latencyMs": 1}, "usage": _usage(answer, tokens)})

    def broken(self, answer: Answer) -> bytes:
        """Return a message whose payload stops in the middle of its JSON."""
        return _framed("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"te')

    def long_line(self, size_bytes: int) -> bytes:
        """Return an event without text of about `size_bytes` bytes."""
        return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ""}, "p": "x" * size_bytes})

    def keep_alive(self) -> bytes:
        """Return a delta without text: this API has no comments."""
        return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ""}})


def event(kind: str, value: Mapping[str, Any]) -> bytes:
    """Return one event as a message, padded as the real API pads it."""
    return _framed(kind, compact({**value, "p": value.get("p", PADDING[: 1 + len(str(value)) % len(PADDING)])}))


def _framed(kind: str, payload: bytes) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, payload)


def _cap(config: Any) -> int | None:
    cap = config.get("maxTokens") if isinstance(config, dict) else None
    if cap is None:
        return None
    if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
        raise Problem(400, "Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: must be at least 1")
    return cap


def _tool_id(answer: Answer) -> str:
    return "tooluse_" + answer.id.removeprefix("bedrock-")


def _content(answer: Answer) -> list[dict[str, Any]]:
    call = answer.script.tool_call
    if answer.visible_tokens == 0:
        return []
    if call is None:
        return [{"text": answer.text}]
    try:
        arguments = json.loads(answer.text)
    except ValueError:  # Arguments that the cap has cut off.
        arguments = {}
    return [{"toolUse": {"input": arguments, "name": call.name, "toolUseId": _tool_id(answer)}}]


def _stop_reason(answer: Answer) -> str:
    if answer.is_length:
        return "max_tokens"
    return "end_turn" if answer.script.tool_call is None else "tool_use"


def _usage(answer: Answer, tokens: int) -> dict[str, Any]:
    units = answer.units(tokens)
    told = {
        "inputTokens": units.input,
        "outputTokens": units.output,
        "totalTokens": units.input + units.output + units.cache_read + units.cache_write,
    }
    if units.cache_read or units.cache_write:
        told |= {"cacheReadInputTokens": units.cache_read, "cacheWriteInputTokens": units.cache_write}
    return told
