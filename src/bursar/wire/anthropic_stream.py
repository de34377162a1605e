"""A messages answer read, whole or as it streams, and ended early.

Owns what the events of `POST /v1/messages` say. It must never rewrite one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.events import EventReader, write_event
from bursar.wire.refusals import anthropic_refusal
from bursar.wire.strict_json import dump
from bursar.wire.text import json_bytes, strings_bytes, text_bytes, visible_tokens
from bursar.wire.usage import anthropic_input, anthropic_told, anthropic_usage

__all__ = ["MessagesReader", "read_message", "usage_object"]

_DELTA_TEXTS = ("text", "partial_json", "thinking", "content")
"""Where a delta shows what was generated; signatures and citations are not billed as output."""
_GENERATED_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "compaction"})
_FRAMED_BLOCKS = _GENERATED_BLOCKS - {"text"}
_NOT_GENERATED = frozenset({"type", "id", "signature", "citations", "caller", "cache_control", "encrypted_content"})
_OPEN_BLOCKS_MAX = 4_096
BLOCK_TOKENS = 60
"""What frames a tool call or thinking beside its text: 20 to 60 tokens were measured."""
_NAMES_MAX = 64
_TIER_NAMED = frozenset({"batch"})
"""Tiers that have rates of their own; `standard` and `priority` are billed at the ordinary ones."""


class MessagesReader(EventReader):
    """Read one streamed message."""

    _text_mark = b'"text":"'

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._usage: dict[str, Any] = {}
        self._is_usage_final = False
        self._has_start = False
        self._has_reason = False
        self._open: set[int] = set()
        self._model = ""
        self._tools = 0
        self._framed = 0
        self._is_capped = False
        self.is_finished = False

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far."""
        return visible_tokens(self._pieces, self._bytes, BLOCK_TOKENS * self._framed)

    @property
    def is_complete(self) -> bool:
        """`message_stop` has passed."""
        return self.is_finished

    def error(self, refusal: Refusal) -> bytes:
        """Write an error as this API does in a stream."""
        return write_event(anthropic_refusal(refusal), "error")

    def answer(self) -> Answer:
        """Say what is known now. Before `message_delta` the output is not told, only the input."""
        is_1h = self._request.has_cache_write_1h
        return Answer(
            usage=anthropic_usage(self._usage, is_1h_asked=is_1h) if self._is_usage_final else None,
            visible_tokens=self.visible_tokens,
            is_capped=self._is_capped,
            model=self._model,
            service_tier=tier_name(self._usage),
            tool_calls=self._tools,
            usage_input=anthropic_input(self._usage, is_1h_asked=is_1h),
        )

    def cut(self, usage: Usage) -> bytes:
        """Close the open blocks, then end with `max_tokens` and the usage, as the API ends a message at its cap."""
        if self.is_finished:
            return b""
        self.is_finished = True
        parts = []
        if not self._has_start:
            parts.append(_typed("message_start", message=self._empty_message(usage)))
        parts.extend(_typed("content_block_stop", index=index) for index in sorted(self._open))
        if not self._has_reason:
            delta = {"stop_reason": "max_tokens", "stop_sequence": None}
            parts.append(_typed("message_delta", delta=delta, usage=usage_object(usage)))
        parts.append(_typed("message_stop"))
        return b"".join(parts)

    def _empty_message(self, usage: Usage) -> dict[str, Any]:
        return {
            "id": "msg_cut",
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage_object(usage), "output_tokens": 0},
        }

    def _mark(self, data: bytes) -> None:
        """This API sends nothing but objects."""

    def _read(self, value: dict[str, Any]) -> bool:
        match value.get("type"):
            case "content_block_delta":
                self._read_delta(value.get("delta"))
            case "content_block_start":
                self._read_block(value.get("index"), value.get("content_block"))
            case "content_block_stop":
                self._close_block(value.get("index"))
            case "message_start":
                self._has_start = True
                message = value.get("message")
                if isinstance(message, Mapping):
                    self._model = str(message.get("model") or "")
                    self._merge_usage(message.get("usage"))
            case "message_delta":
                self._read_end(value)
            case "message_stop":
                self.is_finished = True
            case "error":
                self.is_error = True
            case _:
                pass
        return True

    def _read_delta(self, delta: object) -> None:
        if not isinstance(delta, dict):
            return
        size = 0
        for name in _DELTA_TEXTS:
            text = delta.get(name)
            if text and type(text) is str:
                size += text_bytes(text)
        self._add_text(size)
        self._is_plain = True

    def _read_block(self, index: object, block: object) -> None:
        if type(index) is int and len(self._open) < _OPEN_BLOCKS_MAX:
            self._open.add(index)
        if isinstance(block, Mapping):
            self._add_text(block_bytes(block))
            self._tools += block.get("type") == "tool_use"
            self._framed += _kind(block) in _FRAMED_BLOCKS

    def _close_block(self, index: object) -> None:
        if type(index) is int:
            self._open.discard(index)

    def _read_end(self, value: Mapping[str, Any]) -> None:
        delta = value.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, Mapping) else None
        if reason is not None:
            self._has_reason = True
            self._is_capped = reason == "max_tokens"
        usage = value.get("usage")
        if isinstance(usage, Mapping) and usage.get("output_tokens") is not None:
            self._is_usage_final = True
        self._merge_usage(usage)

    def _merge_usage(self, usage: object) -> None:
        """Take the newer counters; they are cumulative, and one that is not repeated stays as it was."""
        if isinstance(usage, Mapping) and len(usage) <= _NAMES_MAX:
            self._usage.update((name, count) for name, count in usage.items() if count is not None)


def read_message(body: Mapping[str, Any], *, is_1h_asked: bool) -> Answer | None:
    """Read a whole answer; None when it is no message."""
    blocks, usage = body.get("content"), body.get("usage")
    if body.get("type") != "message" and not (isinstance(blocks, list) and isinstance(usage, dict)):
        return None
    size = framed = tools = 0
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict):
            size += block_bytes(block)
            kind = _kind(block)
            framed += kind in _FRAMED_BLOCKS
            tools += kind == "tool_use"
    told, given = anthropic_told(usage, is_1h_asked=is_1h_asked)
    return Answer(
        usage=told,
        visible_tokens=visible_tokens(0, size, BLOCK_TOKENS * framed),
        is_capped=body.get("stop_reason") == "max_tokens",
        model=str(body.get("model") or ""),
        service_tier=tier_name(usage),
        tool_calls=tools,
        usage_input=given,
    )


def _kind(block: Mapping[str, Any]) -> str:
    kind = block.get("type")
    return kind if isinstance(kind, str) else ""


def block_bytes(block: Mapping[str, Any]) -> int:
    """Count the bytes that a content block shows of what the model wrote; results of server tools are none of it."""
    if _kind(block) not in _GENERATED_BLOCKS:
        return 0
    size = 0
    for name, value in block.items():
        if name == "input":
            size += json_bytes(value) if value else 0
        elif name not in _NOT_GENERATED:
            size += strings_bytes(value)
    return size


def tier_name(usage: object) -> str:
    """Name the tier as prices do: the ordinary one is empty."""
    if not isinstance(usage, dict):
        return ""
    tier = usage.get("service_tier")
    is_named = isinstance(tier, str) and tier in _TIER_NAMED
    return "fast" if usage.get("speed") == "fast" else str(tier) if is_named else ""


def usage_object(usage: Usage) -> dict[str, Any]:
    """Write usage as this API does."""
    return {
        "input_tokens": usage.input_tokens + usage.input_audio_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens + usage.cache_read_audio_tokens,
        "output_tokens": usage.output_total,
    }


def _typed(kind: str, **fields: object) -> bytes:
    return write_event(dump({"type": kind, **fields}), kind)
