"""The wire `openai.responses`: `POST /v1/responses`, and `POST /v1/responses/compact`.

Owns how a cap is written. It must never change anything else of a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from bursar.errors import BadRequest
from bursar.wire.adapter import Adapter
from bursar.wire.base import Answer, Request
from bursar.wire.refusals import is_openai_error
from bursar.wire.responses_answer import has_output, read_response
from bursar.wire.responses_request import CAP_LEAST, CAP_NAME, read_plain, read_request
from bursar.wire.responses_stream import ResponsesReader
from bursar.wire.strict_json import parse_unwalked, walked
from bursar.wire.written import Canonical, write_capped, write_with

__all__ = ["OpenAICompact", "OpenAIResponses"]


@dataclass(frozen=True, slots=True)
class OpenAIResponses(Adapter):
    """Responses."""

    name: str = "openai.responses"
    _path: ClassVar[str] = "/responses"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        parsed = parse_unwalked(raw, self.body_bytes_max)
        return read_plain(self.name, parsed) or read_request(self.name, walked(parsed))

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; a cap of bursar's own is never below the least that the API takes."""
        body: Mapping[str, Any] = request.body
        fields: dict[str, Any] = {"model": model}
        if cap is not None and cap != request.cap:
            if type(body) is Canonical and model == request.model and CAP_NAME not in body:
                return write_capped(body, CAP_NAME, max(cap, CAP_LEAST))  # The usual call.
            fields[CAP_NAME] = max(cap, CAP_LEAST)
        return write_with(body, fields)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is no response object."""
        return read_response(value)

    def reader(self, request: Request) -> ResponsesReader:
        """Make the reader of one stream."""
        return ResponsesReader(request)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_openai_error(status, body) and not has_output(body)


@dataclass(frozen=True, slots=True)
class OpenAICompact(OpenAIResponses):
    """`POST /v1/responses/compact`: a conversation made shorter, whole, and without a cap of its own."""

    _path: ClassVar[str] = "/responses/compact"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        parsed = self.parsed_whole(raw)
        for name in ("stream", CAP_NAME):
            if parsed.body.get(name):
                raise BadRequest(f"`{name}` is no field of this API: leave it out", param=name)
        return replace(read_request(self.name, parsed), takes_cap=False)

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream: all that the model can write is held, since no cap can be sent."""
        return write_with(request.body, {"model": model})
