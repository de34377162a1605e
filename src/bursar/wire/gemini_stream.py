"""A Gemini answer read, whole or as it streams, and ended early.

Owns what a `GenerateContentResponse` says: text, calls, ends, usage. It must never rewrite one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.events import EventReader, write_event
from bursar.wire.gemini_errors import gemini_refusal
from bursar.wire.gemini_usage import gemini_input, gemini_tier, gemini_usage, usage_object
from bursar.wire.sse import event_data
from bursar.wire.strict_json import dump
from bursar.wire.text import json_bytes, text_bytes, visible_tokens

__all__ = ["GenerateReader", "read_response"]

CALL_TOKENS = 12
"""What frames a call beside its name and arguments, as in other APIs; it is not told here."""
IMAGE_BYTES = 3 * 2_520
"""An image that a model draws unasked, as the bytes of text that its tokens (2,520 at most) are counted from."""
_CANDIDATES_SEEN_MAX = 64
_CAPPED = ("MAX_TOKENS", 2)
"""Reasons come by name, or by number to clients that ask for numbers."""
_HEAD = ("modelVersion", "responseId")
"""What every chunk repeats, the one that ends a cut stream included."""
_WORD_LENGTH_MAX = 512
_UNENDED = (None, "", "FINISH_REASON_UNSPECIFIED", 0)


class GenerateReader(EventReader):
    """Read one streamed answer. The API marks no end but a reason in each candidate; some models repeat it."""

    _text_mark = b'"text": "'

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._open: dict[int, bool] = {}
        self._head: dict[str, str] = {}
        self._usage: object = None
        self._is_usage_last = False
        self._had_open_chunk = False
        self._is_blocked = False
        self._is_cut = False
        self._is_capped = False
        self._tools = 0

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far."""
        return visible_tokens(self._pieces, self._bytes, CALL_TOKENS * self._tools)

    @property
    def is_finished(self) -> bool:
        """Every candidate has ended and usage was told with it, in a stream whose chunks do not all say so.

        Older models give a reason in every chunk: theirs end with their bytes.
        """
        has_all = len(self._open) >= self._request.choices and self._had_open_chunk
        return self._is_cut or (self.is_complete and self._is_usage_last and (has_all or self._is_blocked))

    @property
    def is_complete(self) -> bool:
        """Every candidate that was seen has ended (fewer may come than were asked for), or the prompt was blocked."""
        return self._is_cut or self._is_blocked or (bool(self._open) and not any(self._open.values()))

    def error(self, refusal: Refusal) -> bytes:
        """Write an error as an event: the SDKs raise it."""
        return write_event(gemini_refusal(refusal))

    def answer(self) -> Answer:
        """Say what is known now. Usage of a chunk before the end counts its input alone."""
        return Answer(
            usage=gemini_usage(self._usage) if self._is_usage_last else None,
            visible_tokens=self.visible_tokens,
            is_capped=self._is_capped,
            model=self._head.get("modelVersion", ""),
            service_tier=billed_tier(self._request, self._usage),
            tool_calls=self._tools,
            usage_input=gemini_input(self._usage),
        )

    def cut(self, usage: Usage) -> bytes:
        """Write the last chunk of an answer that reached its cap: a reason in every open candidate, and usage."""
        if self._is_cut or self.is_finished:
            return b""
        self._is_cut = True
        ended = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS"}
        indexes = sorted({*range(self._request.choices), *self._open})
        candidates = [{**ended, "index": index} for index in indexes if self._open.get(index, True)]
        head = {"modelVersion": self._request.model, **self._head}
        return write_event(dump({"candidates": candidates, "usageMetadata": usage_object(usage), **head}))

    def _parse(self, event: bytes) -> bool:
        """Errors in mid-stream come as bare JSON, without `data:`; an array of one holds the same."""
        if event_data(event):
            return super()._parse(event)
        bare = event.strip()
        if bare[:1] in (b"{", b"[") and b'"error"' in bare:
            try:
                value = json.loads(bare)
            except (ValueError, RecursionError):
                return True
            inner = value[0] if isinstance(value, list) and len(value) == 1 else value
            self.is_error = self.is_error or (isinstance(inner, dict) and bool(inner.get("error")))
        return True

    def _mark(self, data: bytes) -> None:
        """This API sends nothing but objects; whatever else it is was generated."""
        self._add_text(len(data))

    def _read(self, value: dict[str, Any]) -> bool:
        if value.get("error"):
            self.is_error = True
        self._head.update((name, value[name]) for name in _HEAD if _is_word(value.get(name)))
        size = self._bytes
        self._is_plain = True
        candidates = value.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                self._read_candidate(candidate)
        feedback = value.get("promptFeedback")
        if isinstance(feedback, Mapping) and feedback.get("blockReason"):
            self._is_blocked = True
        is_told = self._read_usage(value.get("usageMetadata"))
        self._had_open_chunk = self._had_open_chunk or (bool(candidates) and not self.is_complete)
        self._is_usage_last = self.is_complete and (is_told or (self._is_usage_last and self._bytes == size))
        if not self._is_plain:
            self._before = None  # What follows an end is looked into, however plain it was before.
        return True

    def _read_usage(self, usage: object) -> bool:
        """Take the newest usage; a chunk that only names its kind of traffic tells none."""
        if isinstance(usage, Mapping) and usage.get("promptTokenCount") is not None:
            self._usage = usage
            return True
        return False

    def _read_candidate(self, candidate: dict[str, Any]) -> None:
        index = candidate.get("index")
        if type(index) is not int:
            index = 0
        for part in _parts(candidate):
            self._add_text(part_bytes(part))
            is_call = bool(part.get("functionCall"))
            self._tools += is_call
            self._is_plain = self._is_plain and not is_call
        reason = candidate.get("finishReason")
        if reason not in _UNENDED:
            self._is_plain = False
            self._is_capped = self._is_capped or reason in _CAPPED
        if index in self._open or len(self._open) < _CANDIDATES_SEEN_MAX:
            self._open[index] = self._open.get(index, True) and reason in _UNENDED


def read_response(request: Request, body: Mapping[str, Any]) -> Answer | None:
    """Read a whole answer; None when it is none of this API."""
    candidates, usage = body.get("candidates"), body.get("usageMetadata")
    if not isinstance(candidates, list) and not isinstance(usage, Mapping):
        return None
    shown = [entry for entry in candidates if isinstance(entry, dict)] if isinstance(candidates, list) else []
    parts = [part for candidate in shown for part in _parts(candidate)]
    tools = sum(bool(part.get("functionCall")) for part in parts)
    return Answer(
        usage=gemini_usage(usage),
        visible_tokens=visible_tokens(0, sum(map(part_bytes, parts)), CALL_TOKENS * tools),
        is_capped=any(candidate.get("finishReason") in _CAPPED for candidate in shown),
        model=body["modelVersion"] if _is_word(body.get("modelVersion")) else "",
        service_tier=billed_tier(request, usage),
        tool_calls=tools,
        usage_input=gemini_input(usage),
    )


def _is_word(value: object) -> bool:
    """Can this be written again as it came?"""
    return type(value) is str and len(value) <= _WORD_LENGTH_MAX and value.isprintable()


def _parts(candidate: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    return (part for part in parts if isinstance(part, dict)) if isinstance(parts, list) else iter(())


def part_bytes(part: Mapping[str, Any]) -> int:
    """Count the bytes that a part shows of what the model wrote; signatures and results of tools are none of it."""
    size = 0
    text = part.get("text")
    if type(text) is str:
        size += text_bytes(text)
    for name in ("functionCall", "executableCode", "toolCall"):
        if part.get(name):
            size += json_bytes(part[name])
    return size + (IMAGE_BYTES if part.get("inlineData") else 0)


def billed_tier(request: Request, usage: object) -> str:
    """Name the tier that was billed; where the answer tells none, the dearer of those that the body allows."""
    return gemini_tier(usage) or ("priority" if "priority" in request.service_tiers else "")
