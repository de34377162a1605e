"""The wire `bedrock.invoke`: `POST /model/{modelId}/invoke` and `/invoke-with-response-stream`.

Owns what wraps an Anthropic message there: no model and no `stream` in the body, answers in event-stream messages. The
bodies of other makers' models are refused, but for embeddings (`bedrock_embed.py`): each has a shape of its own, and
Converse says the same for all of them.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from bursar.core.bedrock_names import bare_id
from bursar.core.usage import Usage
from bursar.errors import BadRequest
from bursar.wire.adapter import Adapter
from bursar.wire.anthropic_messages import with_thinking_below
from bursar.wire.anthropic_request import read_request
from bursar.wire.anthropic_stream import MessagesReader, read_message
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.bedrock_common import (
    Asked,
    Kept,
    bedrock_refusal,
    check_model,
    event_frame,
    is_bedrock_error,
    service_tiers,
    tier_name,
    unchanged,
)
from bursar.wire.bedrock_request import is_claude
from bursar.wire.bedrock_stream import FrameReader
from bursar.wire.sse import EventSplitter, event_data
from bursar.wire.strict_json import Parsed, dump_parsed

__all__ = ["BedrockInvoke", "InvokeReader", "chunk_frame"]

_IN_URL = ("model", "stream")


@dataclass(frozen=True, slots=True)
class BedrockInvoke(Adapter):
    """Anthropic's messages by InvokeModel. One is made for every call, since the URL and headers say much of it."""

    asked: Asked
    name: str = "bedrock.invoke"

    def path(self, model: str) -> str:
        """Say where a request goes below the provider's base URL: the model stands in it."""
        return f"/model/{quote(model, safe='')}/invoke{'-with-response-stream' if self.asked.is_stream else ''}"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        check_model(self.asked)
        body = self.parsed(raw)
        _check_maker(self.asked.model, body)
        for name in _IN_URL:
            if name in body:
                raise BadRequest(f"`{name}` stands in the URL of this API, not in the body", param=name)
        request = read_request(self.name, Parsed({**body, "model": self.asked.model}, raw, is_canonical=False))
        sent = {name: value for name, value in request.body.items() if name != "model"}
        return replace(
            request,
            body=Kept(sent, raw),
            is_stream=self.asked.is_stream,
            service_tiers=service_tiers(self.asked.service_tier, self.asked.latency),
            takes_comments=False,
        )

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; a thinking budget that the new cap overtakes is lowered below it."""
        raw = unchanged(request, cap)
        if raw is not None:
            return raw
        body = dict(request.body)
        if cap is not None and cap != request.cap:
            body["max_tokens"] = cap
            body = with_thinking_below(body, cap)
        return dump_parsed(body)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is no message."""
        answer = read_message(value, is_1h_asked=request.has_cache_write_1h)
        return None if answer is None else _at_tier(answer, request)

    def reader(self, request: Request) -> InvokeReader:
        """Make the reader of one stream."""
        return InvokeReader(request)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this the provider's own error, before any output?"""
        return is_bedrock_error(status, body)

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body."""
        return bedrock_refusal(refusal)


def _check_maker(model: str, body: dict[str, Any]) -> None:
    """Refuse a body that is not Anthropic's: by the model's name, or where that is hidden by the body's own word."""
    is_hidden = not bare_id(model)
    if is_claude(model) or (is_hidden and "anthropic_version" in body):
        return
    raise BadRequest(
        "only the bodies of Anthropic's models can be bounded in InvokeModel: use Converse for this one",
        param="modelId",
    )


def _at_tier(answer: Answer, request: Request) -> Answer:
    """Name the tier that was asked for, the dearer one where two may be billed: this answer does not tell it."""
    return replace(answer, service_tier=tier_name(request.service_tiers, None, None))


class InvokeReader(FrameReader):
    """Read one streamed message: each event is Anthropic's own, wrapped in a chunk."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._inner = MessagesReader(request)
        self._lost_bytes = 0

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far."""
        return self._inner.visible_tokens + self._lost_bytes

    @property
    def is_finished(self) -> bool:
        """`message_stop` has passed."""
        return self._inner.is_finished

    @property
    def is_complete(self) -> bool:
        """`message_stop` has passed."""
        return self._inner.is_complete

    def answer(self) -> Answer:
        """Say what is known now."""
        return _at_tier(replace(self._inner.answer(), visible_tokens=self.visible_tokens), self._request)

    def cut(self, usage: Usage) -> bytes:
        """End with `max_tokens` and the usage, as the API ends a message at its cap."""
        events = EventSplitter().feed(self._inner.cut(usage))
        return b"".join(chunk_frame(event_data(event)) for event in events)

    def _read(self, kind: str, value: dict[str, Any]) -> None:
        data = value.get("bytes")
        if kind != "chunk" or type(data) is not str:
            return
        inner = binascii.a2b_base64(data.encode(), strict_mode=True)  # Raises ValueError: then it counts as unread.
        if inner[:1] != b"{":
            raise ValueError("an event is an object")
        self._inner.feed(b"data: " + inner.replace(b"\n", b" ") + b"\n\n")
        self.is_error = self.is_error or self._inner.is_error

    def _unread(self, size_bytes: int) -> None:
        self._lost_bytes += size_bytes


def chunk_frame(data: bytes) -> bytes:
    """Wrap one of Anthropic's events as InvokeModel streams it."""
    return event_frame("chunk", {"bytes": binascii.b2a_base64(data, newline=False).decode()})
