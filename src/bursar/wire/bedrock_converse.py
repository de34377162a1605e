"""The wire `bedrock.converse`: `POST /model/{modelId}/converse` and `/converse-stream`.

Owns how a cap is written, thinking included. It must never change anything else of a body, nor a byte of one into
which nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from bursar.wire.adapter import Adapter
from bursar.wire.anthropic_messages import with_thinking_below
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.bedrock_common import Asked, Kept, bedrock_refusal, is_bedrock_error, unchanged
from bursar.wire.bedrock_request import read_request
from bursar.wire.bedrock_stream import ConverseReader, read_answer
from bursar.wire.strict_json import dump_parsed

__all__ = ["BedrockConverse"]

_EXTRA = "additionalModelRequestFields"


@dataclass(frozen=True, slots=True)
class BedrockConverse(Adapter):
    """Converse. One is made for every call, since its model and its kind of answer stand in the URL."""

    asked: Asked
    name: str = "bedrock.converse"

    def path(self, model: str) -> str:
        """Say where a request goes below the provider's base URL: the model stands in it."""
        return f"/model/{quote(model, safe='')}/converse{'-stream' if self.asked.is_stream else ''}"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        request = read_request(self.name, self.asked, self.parsed(raw))
        return replace(request, body=Kept(request.body, raw))

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; a thinking budget that the new cap overtakes is lowered below it."""
        raw = unchanged(request, cap)
        if raw is not None:
            return raw
        body = dict(request.body)
        if cap is not None and cap != request.cap:
            body["inferenceConfig"] = {**(body.get("inferenceConfig") or {}), "maxTokens": cap}
            if body.get(_EXTRA):
                body[_EXTRA] = with_thinking_below(body[_EXTRA], cap)
        return dump_parsed(body)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is none of this API."""
        return read_answer(request, value)

    def reader(self, request: Request) -> ConverseReader:
        """Make the reader of one stream."""
        return ConverseReader(request)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_bedrock_error(status, body)

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return bedrock_refusal(refusal)
