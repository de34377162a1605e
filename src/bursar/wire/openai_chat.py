"""The wire `openai.chat`: `POST /v1/chat/completions`, of OpenAI and the many servers that speak like it.

Owns how a cap and include_usage are written. It must never change anything else of a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bursar.wire.adapter import Adapter
from bursar.wire.base import Answer, Request
from bursar.wire.openai_request import read_plain, read_request
from bursar.wire.openai_stream import ChatReader, read_completion
from bursar.wire.strict_json import parse_unwalked, walked
from bursar.wire.written import Canonical, write_capped, write_with

__all__ = ["OpenAIChat"]

_WRITTEN = frozenset({"max_completion_tokens", "max_tokens", "stream_options"})
"""The fields that may be written beside the model."""
_ASKS_USAGE = ',"stream_options":{"include_usage":true}'


@dataclass(frozen=True, slots=True)
class OpenAIChat(Adapter):
    """Chat completions."""

    cap_parameter: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """How this server calls the cap when the client named none; some know `max_tokens` and refuse the other name."""
    takes_stream_options: bool = True
    """It knows `stream_options`; a server that refuses it tells the usage of a stream unasked."""
    name: str = "openai.chat"
    _path: ClassVar[str] = "/chat/completions"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        parsed = parse_unwalked(raw, self.body_bytes_max)
        return read_plain(self.name, parsed) or read_request(self.name, walked(parsed))

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; the cap stands under the client's own name for it."""
        body: Mapping[str, Any] = request.body
        if type(body) is Canonical and cap is not None and model == request.model and _WRITTEN.isdisjoint(body):
            # The usual call: nothing but the cap is added, and for a stream that its usage be told.
            more = _ASKS_USAGE if request.is_stream and self.takes_stream_options else ""
            return write_capped(body, self.cap_parameter, cap, more)
        fields: dict[str, Any] = {"model": model}
        if self.cap_parameter == "max_tokens":
            body = _without(body, "max_completion_tokens")
            if cap is not None or request.cap is not None:
                fields["max_tokens"] = request.cap if cap is None else cap
        elif cap is not None:
            fields[_cap_name(body)] = cap
        if not self.takes_stream_options:
            body = _without(body, "stream_options")
        elif request.is_stream:
            options = body.get("stream_options")
            if not isinstance(options, dict):
                fields["stream_options"] = {"include_usage": True}
            elif options.get("include_usage") is not True:
                fields["stream_options"] = {**options, "include_usage": True}
        return write_with(body, fields)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is no chat completion."""
        return read_completion(value)

    def reader(self, request: Request) -> ChatReader:
        """Make the reader of one stream."""
        return ChatReader(request)


def _cap_name(body: Mapping[str, Any]) -> str:
    """Name the cap as the client does; the newer name where it has none."""
    is_older = body.get("max_completion_tokens") is None and body.get("max_tokens") is not None
    return "max_tokens" if is_older else "max_completion_tokens"


def _without(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {key: value for key, value in body.items() if key != name} if name in body else body
