"""The wire `bedrock.invoke` for Amazon's text embeddings: their own body, which bills its input alone.

Owns that one body of InvokeModel beside Anthropic's. It must never be used for a model that generates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

from bursar.core.bedrock_names import bare_id
from bursar.core.usage import COUNT_MAX, Usage
from bursar.errors import BadRequest
from bursar.wire.adapter import Adapter
from bursar.wire.anatomy import shape_key
from bursar.wire.base import Anatomy, Answer, Refusal, Request
from bursar.wire.bedrock_common import Asked, Kept, bedrock_refusal, check_model, is_bedrock_error, service_tiers
from bursar.wire.text import strings_bytes, text_bytes

__all__ = ["TitanEmbed", "is_titan_embed"]


def is_titan_embed(model: str) -> bool:
    """Is this, by its name, one of Amazon's models of text embeddings?"""
    return bare_id(model).startswith("amazon.titan-embed-text")


@dataclass(frozen=True, slots=True)
class TitanEmbed(Adapter):
    """Titan Text Embeddings."""

    asked: Asked
    name: str = "bedrock.invoke"

    def path(self, model: str) -> str:
        """Say where a request goes below the provider's base URL."""
        return f"/model/{quote(model, safe='')}/invoke"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        check_model(self.asked)
        if self.asked.is_stream:
            raise BadRequest("embeddings do not stream: use InvokeModel", param="modelId")
        body = self.parsed(raw)
        text = body.get("inputText")
        if type(text) is not str:
            raise BadRequest("`inputText` must be a string", param="inputText")
        other = sum(strings_bytes(value) for name, value in body.items() if name not in ("inputText", "embeddingTypes"))
        return Request(
            wire=self.name,
            model=self.asked.model,
            body=Kept(body, raw),
            is_stream=False,
            wants_usage=True,
            cap=None,
            anatomy=Anatomy(system=other, user=text_bytes(text)),
            shape_key=shape_key(),
            service_tiers=service_tiers(self.asked.service_tier, self.asked.latency),
            has_output=False,
            takes_comments=False,
        )

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Give the body as it came: there is no output, and so no cap, whatever is held."""
        assert isinstance(request.body, Kept)
        return request.body.raw

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is none of this API."""
        count = value.get("inputTextTokenCount")
        if count is None and not ("embedding" in value or "embeddingsByType" in value):
            return None
        is_told = type(count) is int and 0 <= count <= COUNT_MAX
        return Answer(usage=Usage(input_tokens=int(count or 0)) if is_told else None, visible_tokens=0)

    def reader(self, request: Request) -> NoReturn:
        """Embeddings do not stream, and `parse` refuses what asks for it."""
        raise NotImplementedError("embeddings do not stream")

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error?"""
        return is_bedrock_error(status, body)

    def named_maximum(self, status: int, body: bytes) -> int | None:
        """There is no output to have a maximum."""
        return None

    def named_room(self, status: int, body: bytes) -> int | None:
        """There is no output to have room for."""
        return None

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return bedrock_refusal(refusal)
