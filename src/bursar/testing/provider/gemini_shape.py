"""The wire of Gemini's generated content: requests in, answers, chunks and errors out.

Owns that JSON, as the real API writes it. It must never decide what is generated or billed. The model and the kind of
answer stand in the URL: the routes put them into the request as `model` and `stream`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask, text_bytes
from bursar.testing.provider.script import Script
from bursar.testing.provider.shape import Problem

__all__ = ["GeminiShape", "arguments_of", "field_of", "pretty", "prompt_bytes_of"]

CHOICES_MAX = 8
ROLES = (None, "user", "model", "function")
ERRORS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "The model is not found, or is not supported for generateContent."),
    413: ("INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    429: ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: ("INTERNAL", "An internal error has occurred. Please retry."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "The request timed out. Please try again."),
}
LINE_END = b"\r\n"


class GeminiShape:
    """Speak Gemini's generated content."""

    wire: Literal["gemini"] = "gemini"

    def id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return no id, since this API has none."""
        return [(b"vary", b"Origin, X-Origin, Referer")]

    def has_key(self, headers: Mapping[str, str]) -> bool:
        """Say whether the request carries a key or a bearer token."""
        bearer = headers.get("authorization", "").removeprefix("Bearer").strip()
        return bool(headers.get("x-goog-api-key") or bearer)

    def missing_key(self) -> Problem:
        """Return the refusal of a request without credentials."""
        text = (
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or"
            " other form of API identity to call this API."
        )
        return Problem(403, text)

    def scripted_error(self, status: int) -> Problem:
        """Return the error that Google gives with `status`."""
        kind, message = ERRORS.get(status, ERRORS[500] if status >= 500 else ERRORS[400])
        return Problem(status, message, kind=kind)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return the body of an error answer."""
        kind = problem.kind or ERRORS.get(problem.status, ERRORS[400])[0]
        return pretty({"error": {"code": problem.status, "message": problem.message, "status": kind}})

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as Google would refuse it."""
        is_stream = body.get("stream") is True
        if is_stream and body.get("alt") != "sse":
            raise Problem(400, "The scripted provider streams as server-sent events alone: ask with ?alt=sse.")
        contents = field_of(body, "contents")
        if not contents:
            raise Problem(400, "* GenerateContentRequest.contents: contents is not specified\n")
        for content in contents if isinstance(contents, list) else [contents]:
            if not isinstance(content, dict):
                raise Problem(400, "Invalid value at 'contents', expected an object.")
            if content.get("role") not in ROLES:
                raise Problem(400, "Please use a valid role: user, model.")
        config = field_of(body, "generationConfig") or {}
        if not isinstance(config, dict):
            raise Problem(400, "Invalid value at 'generation_config', expected an object.")
        return Ask(
            wire=self.wire,
            model=body["model"],
            is_stream=is_stream,
            cap_tokens=_count(config, "maxOutputTokens", None),
            cap_name="maxOutputTokens",
            choices=_count(config, "candidateCount", CHOICES_MAX) or 1,
            wants_usage=True,
            prompt_bytes=prompt_bytes_of(body),
        )

    def check_cap(self, ask: Ask, script: Script) -> None:
        """Raise Problem when the request's cap is above the model's maximum."""
        cap, most = ask.cap_tokens, script.max_output_tokens
        if most is not None and cap is not None and cap > most:
            raise _out_of_range("maxOutputTokens", cap, most)

    def answer_id(self, unique: str) -> str:
        """Return an answer's id."""
        return f"gem-{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        parts: list[dict[str, Any]] = [{"text": answer.text}] if answer.visible_tokens > 0 else []
        if answer.script.tool_call is not None:
            parts = _call_parts(answer)
        return pretty(_chunk(answer, parts, answer.stop_tokens, _finish_reason(answer)))

    def opening(self, answer: Answer) -> bytes:
        """Return nothing: a stream begins with its content."""
        return b""

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the content chunks [start, end), each with all candidates and usage so far.

        The call of a tool is never sent in pieces: it stands in the last chunk.
        """
        if answer.script.tool_call is not None:
            return b""
        before, _, after = _line({"text": "@"}).partition(b'"@"')
        pieces = enumerate(answer.events[start:end], start + 1)
        return b"".join(
            _event(answer, before + piece + after, answer.tokens_at_event(number), None) for number, piece in pieces
        )

    def closing(self, answer: Answer) -> bytes:
        """Return the last chunk: why it ends, the call of a tool, and the final usage."""
        parts = _call_parts(answer) if answer.script.tool_call is not None else [{"text": ""}]
        if answer.visible_tokens == 0:
            parts = []
        written = b",".join(_line(part) for part in parts)
        return _event(answer, written, answer.stop_tokens, _finish_reason(answer))

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return a chunk without text that reports usage so far, as every chunk of this API does."""
        return _event(answer, _line({"text": ""}), tokens, None)

    def broken(self, answer: Answer) -> bytes:
        """Return a chunk that stops in the middle of its JSON."""
        return b'data: {"candidates": [{"content": {"parts": [{"text": "' + LINE_END * 2

    def long_line(self, size_bytes: int) -> bytes:
        """Return a chunk without text whose line has `size_bytes` bytes: a signature, in base64, makes it long."""
        before = b'data: {"candidates": [{"content": {"parts": [{"text": "","thoughtSignature": "'
        after = b'"}],"role": "model"},"index": 0}]}'
        room = max(0, size_bytes - len(before) - len(after) - 1)
        signature = b"A" * (room - room % 4)
        return before + signature + after + b" " * (room % 4) + LINE_END * 2

    def keep_alive(self) -> bytes:
        """Return an empty line: this API sends no comments, and google-genai raises on one."""
        return LINE_END

    def error_event(self, answer: Answer, request_id: str) -> bytes:
        """Return the error that ends a stream, bare as this API sends it."""
        return self.error(self.scripted_error(503), request_id) + LINE_END * 2


def field_of(body: Mapping[str, Any], camel: str) -> Any:
    """Return a member in either of its spellings: this API reads both."""
    snake = "".join(f"_{each.lower()}" if each.isupper() else each for each in camel)
    return body.get(camel, body.get(snake))


def prompt_bytes_of(body: Mapping[str, Any]) -> int:
    """Return the bytes of a request's text: contents, system instruction and tools."""
    return text_bytes(field_of(body, "contents"), field_of(body, "systemInstruction"), body.get("tools"))


def pretty(value: Any) -> bytes:
    """Return JSON over several lines, as this API writes whole bodies."""
    return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass")


def arguments_of(text: str) -> dict[str, Any] | None:
    """Return a tool call's arguments; None for what a cap has cut off."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _count(config: Mapping[str, Any], name: str, most: int | None) -> int | None:
    value = field_of(config, name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Problem(400, f"Invalid value at 'generation_config.{name}' (TYPE_INT32), {json.dumps(value)}")
    if value < 1 or (most is not None and value > most):
        raise _out_of_range(name, value, most or 65_536)
    return value


def _out_of_range(name: str, value: int, most: int) -> Problem:
    text = (
        f"Unable to submit request because it has a {name} value of {value} but the supported range is from 1"
        f" (inclusive) to {most + 1} (exclusive). Update the value and try again."
    )
    return Problem(400, text)


def _finish_reason(answer: Answer) -> str:
    return "MAX_TOKENS" if answer.is_length else "STOP"


def _call_parts(answer: Answer) -> list[dict[str, Any]]:
    call, arguments = answer.script.tool_call, arguments_of(answer.text)
    if call is None or arguments is None:
        return []
    return [{"functionCall": {"name": call.name, "args": arguments}}]


def _usage(answer: Answer, tokens: int) -> dict[str, Any]:
    """Return the usage after `tokens` of each candidate; counters that are 0 are left out."""
    units = answer.units(tokens)
    prompt = units.input + units.cache_read + units.cache_write
    thoughts = answer.reasoning_of(tokens) * answer.ask.choices
    told: dict[str, Any] = {"promptTokenCount": prompt}
    if units.output > thoughts:
        told["candidatesTokenCount"] = units.output - thoughts
    told["totalTokenCount"] = prompt + units.output
    if units.cache_read > 0:
        told["cachedContentTokenCount"] = units.cache_read
    told["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    if units.cache_read > 0:
        told["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": units.cache_read}]
    if thoughts > 0:
        told["thoughtsTokenCount"] = thoughts
    return told


def _chunk(answer: Answer, parts: list[dict[str, Any]], tokens: int, finish: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    reason = {} if finish is None else {"finishReason": finish}
    chunk: dict[str, Any] = {
        "candidates": [{"content": content, **reason, "index": index} for index in range(answer.ask.choices)],
        "usageMetadata": _usage(answer, tokens),
        "modelVersion": answer.ask.model,
        "responseId": answer.id,
    }
    if answer.script.fault == "no_usage":
        del chunk["usageMetadata"]
    return chunk


def _line(value: Any) -> bytes:
    """Return JSON on one line, with this API's blanks."""
    return json.dumps(value, separators=(",", ": ")).encode("ascii")


def _event(answer: Answer, parts: bytes, tokens: int, finish: str | None) -> bytes:
    """Return a chunk as an event; `parts` are written already."""
    written = _line(_chunk(answer, [{"@": 0}] if parts else [], tokens, finish))
    return b"data: " + written.replace(b'{"@": 0}', parts) + LINE_END * 2
