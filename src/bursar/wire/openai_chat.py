"""The wire `openai.chat`: `POST /v1/chat/completions`, of OpenAI and the many servers that speak like it.

Owns how a cap and include_usage are written. It must never change anything else of a body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.openai_request import CAP_NAMES, read_request
from bursar.wire.openai_stream import ChatReader, read_completion
from bursar.wire.refusals import is_openai_error, named_maximum, named_room, openai_refusal
from bursar.wire.strict_json import BODY_BYTES_MAX, dump, parse

__all__ = ["OpenAIChat"]


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """Chat completions."""

    cap_parameter: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """How this server calls the cap when the client named none; vLLM, Ollama and others know `max_tokens`."""
    body_bytes_max: int = BODY_BYTES_MAX
    name: str = "openai.chat"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        return read_request(self.name, parse(raw, size_max=self.body_bytes_max), raw)

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; the cap stands under the client's own name for it."""
        body = dict(request.body)
        body["model"] = model
        if cap is not None:
            named = next((name for name in CAP_NAMES if body.get(name) is not None), self.cap_parameter)
            body[named] = cap
        if request.is_stream:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return dump(body)

    def read_whole(self, request: Request, body: bytes) -> Answer | None:
        """Read a whole answer; None when it is no chat completion."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return read_completion(value) if isinstance(value, dict) else None

    def reader(self, request: Request) -> ChatReader:
        """Make the reader of one stream."""
        return ChatReader(request)

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
