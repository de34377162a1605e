"""The wire `openai.chat`: `POST /v1/chat/completions`, of OpenAI and the many servers that speak like it.

Owns how a cap and include_usage are written. It must never change anything else of a body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bursar.wire.adapter import Adapter
from bursar.wire.base import Answer, Request
from bursar.wire.openai_request import CAP_NAMES, read_request
from bursar.wire.openai_stream import ChatReader, read_completion
from bursar.wire.strict_json import dump_parsed

__all__ = ["OpenAIChat"]


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
        return read_request(self.name, self.parsed_whole(raw))

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; the cap stands under the client's own name for it."""
        body = dict(request.body)
        body["model"] = model
        if self.cap_parameter == "max_tokens":
            body.pop("max_completion_tokens", None)
            if cap is not None or request.cap is not None:
                body["max_tokens"] = request.cap if cap is None else cap
        elif cap is not None:
            named = next((name for name in CAP_NAMES if body.get(name) is not None), self.cap_parameter)
            body[named] = cap
        if not self.takes_stream_options:
            body.pop("stream_options", None)
        elif request.is_stream:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return dump_parsed(body)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is no chat completion."""
        return read_completion(value)

    def reader(self, request: Request) -> ChatReader:
        """Make the reader of one stream."""
        return ChatReader(request)
