"""What a wire must know: the narrow waist between delivering an answer and one provider's JSON.

Owns the `Shape` protocol, the refusal a shape raises, and the parsing that all wires share. It must never send bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

from bursar.testing.provider.answer import Answer, Ask, Wire
from bursar.testing.provider.script import Script

__all__ = ["Problem", "Shape", "WholeOnly", "compact", "padded", "required"]


class Problem(Exception):
    """A request that the provider refuses. `kind` is the error type on the wire; None takes the status's usual one."""

    def __init__(
        self, status: int, message: str, *, kind: str | None = None, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code


class Shape(Protocol):
    """One provider's wire. All methods are pure; bytes of streams are whole server-sent events."""

    @property
    def wire(self) -> Wire:
        """The wire's name in the invoice."""
        ...

    def id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that name the request."""
        ...

    def has_key(self, headers: Mapping[str, str]) -> bool:
        """Say whether the request carries credentials."""
        ...

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as the provider would refuse it."""
        ...

    def check_cap(self, ask: Ask, script: Script) -> None:
        """Raise Problem when the request's cap is above the model's maximum."""
        ...

    def answer_id(self, unique: str) -> str:
        """Return an answer's id in this wire's form."""
        ...

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        ...

    def opening(self, answer: Answer) -> bytes:
        """Return the events before the content."""
        ...

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the content events [start, end)."""
        ...

    def closing(self, answer: Answer) -> bytes:
        """Return the events after the content, to the end of the stream."""
        ...

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return an event that reports usage after `tokens` of each choice; nothing if the client asked for none."""
        ...

    def broken(self, answer: Answer) -> bytes:
        """Return an event whose data is not JSON."""
        ...

    def long_line(self, size_bytes: int) -> bytes:
        """Return a harmless event one line of which has `size_bytes` bytes."""
        ...

    def keep_alive(self) -> bytes:
        """Return an event that says nothing."""
        ...

    def error_event(self, answer: Answer, request_id: str) -> bytes:
        """Return the event that ends a stream with an error."""
        ...

    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return the body of an error answer."""
        ...

    def missing_key(self) -> Problem:
        """Return the refusal of a request without credentials."""
        ...

    def scripted_error(self, status: int) -> Problem:
        """Return the error that this provider gives with `status`."""
        ...


class WholeOnly:
    """The streaming half of a wire that never streams: its `ask` makes no request a stream, so nothing calls it."""

    def _never(self, *_args: object) -> NoReturn:
        raise NotImplementedError("this wire does not stream")

    opening = content = closing = usage = broken = long_line = keep_alive = error_event = _never


def compact(value: Any) -> bytes:
    """Return `value` as compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def padded(before: bytes, after: bytes, size_bytes: int) -> bytes:
    """Return `before` and `after` with as much padding between them as makes `size_bytes`, or none."""
    return before + b"x" * max(0, size_bytes - len(before) - len(after)) + after


def required(body: Mapping[str, Any], name: str, kind: type, problem: Problem) -> Any:
    """Return a member of the body, or raise `problem` when it is missing, empty or of another type."""
    value = body.get(name)
    if not isinstance(value, kind) or not value:
        raise problem
    return value
