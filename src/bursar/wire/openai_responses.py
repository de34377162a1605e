"""The wire `openai.responses`: `POST /v1/responses`.

Owns how a cap is written. It must never change anything else of a body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.refusals import is_openai_error, named_maximum, named_room, openai_refusal
from bursar.wire.responses_answer import has_output, read_response
from bursar.wire.responses_request import CAP_LEAST, CAP_NAME, read_request
from bursar.wire.responses_stream import ResponsesReader
from bursar.wire.strict_json import BODY_BYTES_MAX, dump, parse

__all__ = ["OpenAIResponses"]


@dataclass(frozen=True, slots=True)
class OpenAIResponses:
    """Responses."""

    body_bytes_max: int = BODY_BYTES_MAX
    name: str = "openai.responses"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        return read_request(self.name, parse(raw, size_max=self.body_bytes_max), raw)

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; a cap of bursar's own is never below the least that the API takes."""
        body = dict(request.body)
        body["model"] = model
        if cap is not None and cap != request.cap:
            body[CAP_NAME] = max(cap, CAP_LEAST)
        return dump(body)

    def read_whole(self, request: Request, body: bytes) -> Answer | None:
        """Read a whole answer; None when it is no response object."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return read_response(value) if isinstance(value, dict) else None

    def reader(self, request: Request) -> ResponsesReader:
        """Make the reader of one stream."""
        return ResponsesReader(request)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_openai_error(status, body) and not has_output(body)

    def named_maximum(self, status: int, body: bytes) -> int | None:
        """The model's output maximum, when an error names it."""
        return named_maximum(status, body)

    def named_room(self, status: int, body: bytes) -> int | None:
        """The output that this call has room for, when an error names it."""
        return named_room(status, body)

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return openai_refusal(refusal)
