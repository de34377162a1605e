"""The wire `anthropic.messages`: `POST /v1/messages`.

Owns how a cap is written, thinking included. It must never change anything else of a body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bursar.wire.adapter import Adapter
from bursar.wire.anthropic_plain import read_plain
from bursar.wire.anthropic_request import THINKING_LEAST, read_request
from bursar.wire.anthropic_stream import MessagesReader, read_message
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.refusals import anthropic_refusal, is_anthropic_error
from bursar.wire.strict_json import dump_parsed, parse_unwalked, walked
from bursar.wire.written import write_with

__all__ = ["AnthropicMessages", "with_thinking_below"]


@dataclass(frozen=True, slots=True)
class AnthropicMessages(Adapter):
    """Messages."""

    name: str = "anthropic.messages"
    _path: ClassVar[str] = "/v1/messages"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        parsed = parse_unwalked(raw, self.body_bytes_max)
        return read_plain(self.name, parsed) or read_request(self.name, walked(parsed))

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; a thinking budget that the new cap overtakes is lowered below it."""
        fields: dict[str, Any] = {"model": model}
        if cap is not None and cap != request.cap:
            fields["max_tokens"] = cap
            return dump_parsed(with_thinking_below({**request.body, **fields}, cap))
        return write_with(request.body, fields)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is no message."""
        return read_message(value, is_1h_asked=request.has_cache_write_1h)

    def reader(self, request: Request) -> MessagesReader:
        """Make the reader of one stream."""
        return MessagesReader(request)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_anthropic_error(status, body)

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return anthropic_refusal(refusal)


def with_thinking_below(body: dict[str, Any], cap: int) -> dict[str, Any]:
    """Lower `budget_tokens` below the cap and leave the answer a quarter of it, or 1,024 tokens if that is more."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return body
    budget = thinking.get("budget_tokens")
    if type(budget) is not int or budget < cap:
        return body
    lowered = max(THINKING_LEAST, cap - max(THINKING_LEAST, cap // 4))
    return {**body, "thinking": {**thinking, "budget_tokens": lowered}}
