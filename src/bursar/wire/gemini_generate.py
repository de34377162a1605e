"""The wire `gemini.generate`: `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`.

Owns how a cap is written, thinking included, and what the URL says: the model, and whether the answer streams. It must
never change anything else of a body.

Streams must be asked for with `alt=sse`. Without it the API sends one JSON array piece by piece, which no SDK asks for
and which cannot be ended early in a way that its readers take.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.adapter import Adapter
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.gemini_errors import gemini_refusal, is_gemini_error, named_maximum
from bursar.wire.gemini_fields import Fields
from bursar.wire.gemini_request import read_request
from bursar.wire.gemini_stream import GenerateReader, read_response
from bursar.wire.strict_json import dump_parsed

__all__ = ["GeminiGenerate", "split_action"]

_ACTION = re.compile(r"(?:models/)?([A-Za-z0-9][A-Za-z0-9._@-]{0,255}):([A-Za-z]{1,40})\Z")
_THINKING_LEAST = 512
"""No model with a thinking budget asks for more than this at least."""


def split_action(text: str) -> tuple[str, str] | None:
    """Split the end of a URL, `models/{model}:{verb}`, into model and verb; None when it is none."""
    match = _ACTION.match(text)
    return (match.group(1), match.group(2)) if match is not None else None


@dataclass(frozen=True, slots=True)
class GeminiGenerate(Adapter):
    """Generated content. One is made for every call, since its model and its kind of answer stand in the URL."""

    model: str
    is_stream: bool
    is_sse: bool = True
    """The URL asks for server-sent events (`alt=sse`)."""
    name: str = "gemini.generate"
    version: str = "v1beta"
    """The version of the API that the URL asks for; it goes on as it came."""

    def action(self, model: str) -> str:
        """Write the end of the URL that goes upstream, `alt=sse` included."""
        return f"models/{model}:streamGenerateContent?alt=sse" if self.is_stream else f"models/{model}:generateContent"

    def path(self, model: str) -> str:
        """Say where a request goes below the provider's base URL: the model stands in it."""
        return f"/{self.version}/{self.action(model)}"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        if self.is_stream and not self.is_sse:
            raise BadRequest("a stream must be asked for as server-sent events: add `?alt=sse` to the URL", param="alt")
        return read_request(self.name, self.model, self.parsed(raw), is_stream=self.is_stream)

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream, the cap and its place under the client's own names for them.

        A thinking budget that a new cap overtakes is lowered, or nothing would be left for the answer.
        """
        body = dict(request.body)
        top = Fields.of(body, "")
        named = top.name("model")
        if named is not None and isinstance(body[named], str):
            body[named] = body[named].rpartition("/")[0] + "/" + model if "/" in body[named] else model
        if cap is not None and cap != request.cap:
            config = top.inner("generationConfig")
            written = {**config.body, config.name("maxOutputTokens") or "maxOutputTokens": cap}
            body[top.name("generationConfig") or "generationConfig"] = _with_thinking_below(config, written, cap)
        return dump_parsed(body)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is none of this API."""
        return read_response(request, value)

    def reader(self, request: Request) -> GenerateReader:
        """Make the reader of one stream."""
        return GenerateReader(request)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_gemini_error(status, body)

    def named_maximum(self, status: int, body: bytes) -> int | None:
        """The model's output maximum, when an error names it."""
        return named_maximum(status, body)

    def named_room(self, status: int, body: bytes) -> int | None:
        """The input and the output of these models have limits of their own: no error names room."""
        return None

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return gemini_refusal(refusal)


def _with_thinking_below(config: Fields, written: dict[str, Any], cap: int) -> dict[str, Any]:
    """Lower `thinkingBudget` below the cap and leave the answer a quarter of it; small budgets stay."""
    thinking = config.inner("thinkingConfig")
    budget = thinking.get("thinkingBudget")
    if type(budget) is not int or budget < cap or budget <= _THINKING_LEAST:
        return written
    lowered = {thinking.name("thinkingBudget") or "": max(_THINKING_LEAST, cap - max(1, cap // 4))}
    return {**written, config.name("thinkingConfig") or "": {**thinking.body, **lowered}}
