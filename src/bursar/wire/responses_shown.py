"""What a client has been shown of a streamed response so far, and the end that is written behind it.

Owns the output items as they grow, and the events that close them when a stream is cut. It must never keep more than
`KEPT_BYTES_MAX`, and never tell a client of output that it has not been shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.events import write_event
from bursar.wire.responses_answer import usage_object

__all__ = ["KEPT_BYTES_MAX", "Shown"]

KEPT_BYTES_MAX = 16 * 1024 * 1024
"""How much of a stream is kept; the longest answers of today have about one megabyte. What is more is not repeated."""
_INDEX_MAX = 4_096
_DELTAS = {
    "response.output_text.delta": ("content", "content_index", "output_text", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "summary_text", "text"),
}
"""Deltas that fill a part: the item's list, the index of the part in it, the part's type and its field."""
_FIELDS = {
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.code_interpreter_call_code.delta": "code",
}
"""Deltas that fill a field of the item itself."""
_PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
_TEXT_DONE = {
    "output_text": "response.output_text.done",
    "refusal": "response.refusal.done",
    "reasoning_text": "response.reasoning_text.done",
    "summary_text": "response.reasoning_summary_text.done",
}
_UNFINISHED = {"web_search_call": "failed", "image_generation_call": "failed", "apply_patch_call": "in_progress"}
"""The status of an unfinished item where its type knows no `incomplete`."""


@dataclass(slots=True)
class _Part:
    value: dict[str, Any]
    pieces: list[str] = field(default_factory=list)
    is_text_done: bool = False
    is_done: bool = False

    @property
    def name(self) -> str:
        return "refusal" if self.value.get("type") == "refusal" else "text"

    @property
    def text(self) -> str:
        return str(self.value.get(self.name) or "") + "".join(self.pieces)

    def whole(self) -> dict[str, Any]:
        return self.value if self.is_done else {**self.value, self.name: self.text}


@dataclass(slots=True)
class _Item:
    value: dict[str, Any]
    parts: dict[tuple[str, int], _Part] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)
    is_done: bool = False

    def whole(self) -> dict[str, Any]:
        """Give the item with what its deltas have shown; one that is still open has not been finished."""
        if self.is_done:
            return self.value
        made = {**self.value, "status": _UNFINISHED.get(str(self.value.get("type")), "incomplete")}
        for place in ("content", "summary"):
            parts = [part.whole() for (where, _), part in sorted(self.parts.items()) if where == place]
            if parts:
                made[place] = parts
        for name, pieces in self.fields.items():
            made[name] = str(self.value.get(name) or "") + "".join(pieces)
        return made


class Shown:
    """One streamed response, as its client has seen it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._response: dict[str, Any] = {}
        self._items: dict[int, _Item] = {}
        self._kept = 0
        self._sequence = -1

    def next_sequence(self) -> int:
        """Count one more event."""
        self._sequence += 1
        return self._sequence

    def see(self, kind: str, value: Mapping[str, Any], size_bytes: int) -> None:
        """Take one event of this many bytes."""
        sequence = value.get("sequence_number")
        if type(sequence) is int and sequence > self._sequence:
            self._sequence = sequence
        if self._kept + size_bytes > KEPT_BYTES_MAX:
            return
        if kind.endswith(".delta"):
            self._see_delta(kind, value)
        elif isinstance(value.get("response"), dict):
            self._response = value["response"]
        elif kind == "response.output_item.added":
            self._see_item(value, size_bytes, is_done=False)
        elif kind == "response.output_item.done":
            self._see_item(value, size_bytes, is_done=True)
        else:
            self._see_part(kind, value, size_bytes)

    def _see_delta(self, kind: str, value: Mapping[str, Any]) -> None:
        item, text = self._item(value), value.get("delta")
        if item is None or item.is_done or type(text) is not str:
            return
        if kind in _FIELDS:
            item.fields.setdefault(_FIELDS[kind], []).append(text)
        elif kind in _DELTAS:
            place, index_name, part_kind, name = _DELTAS[kind]
            at = (place, _index(value.get(index_name)))
            if at not in item.parts:
                if len(item.parts) >= _INDEX_MAX:
                    return
                item.parts[at] = _Part({"type": part_kind, name: ""})
            item.parts[at].pieces.append(text)
        else:
            return
        self._kept += len(text)

    def _see_item(self, value: Mapping[str, Any], size_bytes: int, *, is_done: bool) -> None:
        index, item = _index(value.get("output_index")), value.get("item")
        if isinstance(item, dict) and (index in self._items or len(self._items) < _INDEX_MAX):
            self._items[index] = _Item(item, is_done=is_done)
            self._kept += size_bytes

    def _see_part(self, kind: str, value: Mapping[str, Any], size_bytes: int) -> None:
        item = self._item(value)
        if item is None or item.is_done:
            return
        stem, _, verb = kind.rpartition(".")
        content = value.get("part")
        if stem in _PARTS and isinstance(content, dict):
            at = (_PARTS[stem], _part_index(value))
            if at in item.parts or len(item.parts) < _INDEX_MAX:
                item.parts[at] = _Part(content, is_done=verb == "done")
                self._kept += size_bytes
        elif verb == "done":
            self._see_text_done(f"{stem}.delta", item, value)

    def _see_text_done(self, delta: str, item: _Item, value: Mapping[str, Any]) -> None:
        """Take the whole text that ends a run of deltas, in their place."""
        name = _FIELDS.get(delta, "")
        if type(value.get(name)) is str:
            item.fields[name] = [value[name]]
            item.value = {**item.value, name: ""}
        elif delta in _DELTAS:
            place, _, _, name = _DELTAS[delta]
            part = item.parts.get((place, _part_index(value)))
            if part is not None and type(value.get(name)) is str:
                part.value, part.pieces, part.is_text_done = {**part.value, name: value[name]}, [], True

    def _item(self, value: Mapping[str, Any]) -> _Item | None:
        return self._items.get(_index(value.get("output_index")))

    def end(self, usage: Usage) -> bytes:
        """Close what is open and end the response as the API ends one that reached its cap."""
        events = []
        if not self._response:
            self._response = self._empty()
            events.append(self._event("response.created", response=self._response))
        for index, item in sorted(self._items.items()):
            if not item.is_done:
                events.extend(self._close(index, item))
        ended = {
            **self._response,
            "status": "incomplete",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [item.whole() for _, item in sorted(self._items.items())],
            "usage": usage_object(usage),
        }
        events.append(self._event("response.incomplete", response=ended))
        return b"".join(events)

    def _close(self, index: int, item: _Item) -> Iterator[bytes]:
        place = {"item_id": str(item.value.get("id") or ""), "output_index": index}
        for (where, at), part in sorted(item.parts.items()):
            if part.is_done:
                continue
            is_summary = where == "summary"
            spot = {**place, "summary_index" if is_summary else "content_index": at}
            kind = _TEXT_DONE.get(str(part.value.get("type")))
            if kind is not None and not part.is_text_done:
                shown: dict[str, object] = {part.name: part.text}
                if kind == "response.output_text.done":
                    shown["logprobs"] = []
                yield self._event(kind, **spot, **shown)
            if is_summary:
                yield self._event(
                    "response.reasoning_summary_part.done", **spot, part=part.whole(), status="incomplete"
                )
            else:
                yield self._event("response.content_part.done", **spot, part=part.whole())
        yield self._event("response.output_item.done", output_index=index, item=item.whole())

    def _event(self, kind: str, **fields: object) -> bytes:
        value = {"type": kind, "sequence_number": self.next_sequence(), **fields}
        # Escaped, since a provider may split a surrogate pair between two deltas.
        return write_event(json.dumps(value, separators=(",", ":")).encode("ascii"), kind)

    def _empty(self) -> dict[str, Any]:
        return {
            "id": "resp_cut",
            "object": "response",
            "created_at": 0,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": None,
        }


def _index(value: object) -> int:
    return value if type(value) is int else 0


def _part_index(value: Mapping[str, Any]) -> int:
    return _index(value.get("summary_index" if "summary_index" in value else "content_index"))
