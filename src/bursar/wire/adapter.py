"""What the adapters of all wires do alike.

Owns the reading of a whole answer's JSON, and the defaults of those APIs that write errors as OpenAI does. A wire's own
file keeps what is its own: how a body is read, and how a cap is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.refusals import is_openai_error, named_maximum, named_room, openai_refusal
from bursar.wire.strict_json import BODY_BYTES_MAX, Parsed, loads, parse, parse_whole

__all__ = ["Adapter", "loaded"]


def loaded(body: bytes) -> dict[str, Any] | None:
    """Parse an answer; None when it is no JSON object."""
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A wire whose errors look like OpenAI's. See `wire/base.py: Wire` for the contract."""

    body_bytes_max: int = field(default=BODY_BYTES_MAX, kw_only=True)

    _path: ClassVar[str] = ""

    def path(self, model: str) -> str:
        """Say where a request goes below the provider's base URL."""
        return self._path

    def parsed_whole(self, raw: bytes) -> Parsed:
        """Parse a request's body strictly, and say what is known of its bytes. Raises BadRequest."""
        return parse_whole(raw, size_max=self.body_bytes_max)

    def parsed(self, raw: bytes) -> dict[str, Any]:
        """Parse a request's body strictly. Raises BadRequest."""
        return parse(raw, size_max=self.body_bytes_max)

    def read_whole(self, request: Request, body: bytes) -> Answer | None:
        """Read a whole answer; None when it is not JSON of this API's shape."""
        try:
            value = loads(body)
        except (ValueError, RecursionError):
            return None
        try:
            return self.read(request, value) if type(value) is dict else None
        except RecursionError:
            return None  # It could just be parsed, and no further call can be made so deep.

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is none of this API."""
        raise NotImplementedError

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_openai_error(status, body)

    def named_maximum(self, status: int, body: bytes) -> int | None:
        """The model's output maximum, when an error names it."""
        return named_maximum(status, body)

    def named_room(self, status: int, body: bytes) -> int | None:
        """The output that this call has room for, when an error names it."""
        return named_room(status, body)

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return openai_refusal(refusal)
