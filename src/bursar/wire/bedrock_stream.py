"""A Converse answer read, whole or as it streams, and ended early.

Owns what the events of `POST /model/{modelId}/converse-stream` say, and the passing on of whole messages. It must never
rewrite one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.bedrock_common import (
    bedrock_input,
    bedrock_usage,
    error_frame,
    event_frame,
    tier_name,
    usage_object,
)
from bursar.wire.event_stream import FrameSplitter, Message, read_frame
from bursar.wire.strict_json import loads
from bursar.wire.text import json_bytes, text_bytes, visible_tokens

__all__ = ["ConverseReader", "FrameReader", "read_answer"]

BLOCK_TOKENS = 60
"""What frames a tool call or reasoning beside its text: see `wire/anthropic_stream.py`."""
_OPEN_BLOCKS_MAX = 4_096
_FRAMED = ("toolUse", "reasoningContent")
_NOT_GENERATED = frozenset({"toolUseId", "signature", "citations", "type"})


class FrameReader(ABC):
    """Feed bytes, see messages; a subclass says what they mean."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._splitter = FrameSplitter()
        self.is_error = False

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes as they came; return those of whole messages. Raises UpstreamFailed for a damaged one."""
        messages = self._splitter.feed(chunk)
        for data in messages:
            self._see(read_frame(data))
        return messages[0] if len(messages) == 1 else b"".join(messages)

    def rest(self) -> bytes:
        """Give what is held back at the end: half a message, of which nothing is known."""
        return self._splitter.take_rest()

    def error(self, refusal: Refusal) -> bytes:
        """Write an error as this API does in a stream."""
        return error_frame(refusal)

    def _see(self, message: Message) -> None:
        if message.is_error:
            self.is_error = True
            return
        try:
            value = loads(message.payload)
            if isinstance(value, dict):
                self._read(message.kind, value)
        except (ValueError, RecursionError):
            self._unread(len(message.payload))

    @abstractmethod
    def _read(self, kind: str, value: dict[str, Any]) -> None:
        """Take one event."""

    @abstractmethod
    def _unread(self, size_bytes: int) -> None:
        """Count what could not be read: whatever it showed was generated."""


class ConverseReader(FrameReader):
    """Read one streamed answer."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._pieces = 0
        self._bytes = 0
        self._framed = 0
        self._tools = 0
        self._reasoning: set[int] = set()
        self._open: set[int] = set()
        self._has_start = False
        self._reason: str | None = None
        self._told: dict[str, Any] = {}
        self.is_finished = False

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far."""
        return visible_tokens(self._pieces, self._bytes, BLOCK_TOKENS * self._framed)

    @property
    def is_complete(self) -> bool:
        """`messageStop` has passed; `metadata` with the usage follows it."""
        return self._reason is not None

    def answer(self) -> Answer:
        """Say what is known now. Usage comes with the very last event alone."""
        usage = self._told.get("usage")
        is_1h = self._request.has_cache_write_1h
        return Answer(
            usage=bedrock_usage(usage, is_1h_asked=is_1h),
            visible_tokens=self.visible_tokens,
            is_capped=self._reason == "max_tokens",
            service_tier=_tier(self._request, self._told),
            tool_calls=self._tools,
            usage_input=bedrock_input(usage, is_1h_asked=is_1h),
        )

    def cut(self, usage: Usage) -> bytes:
        """Close the open blocks, then end with `max_tokens` and the usage, as the API ends a message at its cap."""
        if self.is_finished:
            return b""
        self.is_finished = True
        parts = [] if self._has_start else [event_frame("messageStart", {"role": "assistant"})]
        parts.extend(event_frame("contentBlockStop", {"contentBlockIndex": index}) for index in sorted(self._open))
        if self._reason is None:
            parts.append(event_frame("messageStop", {"stopReason": "max_tokens"}))
        parts.append(event_frame("metadata", {"usage": usage_object(usage), "metrics": {"latencyMs": 0}}))
        return b"".join(parts)

    def _unread(self, size_bytes: int) -> None:
        self._add(size_bytes)

    def _add(self, size_bytes: int) -> None:
        if size_bytes:
            self._pieces += 1
            self._bytes += size_bytes

    def _read(self, kind: str, value: dict[str, Any]) -> None:
        index = value.get("contentBlockIndex")
        match kind:
            case "contentBlockDelta":
                self._read_delta(index, value.get("delta"))
            case "contentBlockStart":
                self._begin(index)
                if isinstance(value.get("start"), Mapping) and "toolUse" in value["start"]:
                    self._add(_shown(value["start"]))
                    self._tools += 1
                    self._framed += 1
            case "contentBlockStop" if type(index) is int:
                self._open.discard(index)
            case "messageStart":
                self._has_start = True
            case "messageStop":
                self._reason = str(value.get("stopReason"))
            case "metadata":
                self._told = value
                self.is_finished = self._reason is not None
            case _:
                pass

    def _begin(self, index: object) -> None:
        if type(index) is int and len(self._open) < _OPEN_BLOCKS_MAX:
            self._open.add(index)

    def _read_delta(self, index: object, delta: object) -> None:
        if not isinstance(delta, Mapping):
            return
        self._begin(index)  # A block of text has no start of its own.
        self._add(_shown(delta))
        if "reasoningContent" in delta and type(index) is int and index not in self._reasoning:
            if len(self._reasoning) < _OPEN_BLOCKS_MAX:
                self._reasoning.add(index)
            self._framed += 1


def _shown(block: Mapping[str, Any]) -> int:
    """Count the bytes that a block, or a piece of one, shows of what the model wrote."""
    size = 0
    for name, value in block.items():
        if name in _NOT_GENERATED:
            continue
        if type(value) is str:
            size += text_bytes(value)
        elif name == "input":
            size += json_bytes(value)
        elif isinstance(value, Mapping):
            size += _shown(value)
        elif type(value) is list:
            size += sum(_shown(inner) for inner in value if isinstance(inner, Mapping))
    return size


def _tier(request: Request, told: Mapping[str, Any]) -> str:
    tier, performance = told.get("serviceTier"), told.get("performanceConfig")
    return tier_name(
        request.service_tiers,
        tier.get("type") if isinstance(tier, Mapping) else None,
        performance.get("latency") if isinstance(performance, Mapping) else None,
    )


def read_answer(request: Request, body: Mapping[str, Any]) -> Answer | None:
    """Read a whole answer; None when it is none of this API."""
    output, usage = body.get("output"), body.get("usage")
    if not isinstance(output, Mapping) or not isinstance(usage, Mapping):
        return None
    message = output.get("message")
    content = message.get("content") if isinstance(message, Mapping) else None
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    framed = sum(any(name in block for name in _FRAMED) for block in blocks)
    is_1h = request.has_cache_write_1h
    return Answer(
        usage=bedrock_usage(usage, is_1h_asked=is_1h),
        visible_tokens=visible_tokens(0, sum(map(_shown, blocks)), BLOCK_TOKENS * framed),
        is_capped=body.get("stopReason") == "max_tokens",
        service_tier=_tier(request, body),
        tool_calls=sum("toolUse" in block for block in blocks),
        usage_input=bedrock_input(usage, is_1h_asked=is_1h),
    )
