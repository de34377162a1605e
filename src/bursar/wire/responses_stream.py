"""A response read as it streams, and ended early.

Owns what the events of `POST /v1/responses` say: text, calls, ends, usage. It must never rewrite one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.events import EventReader, write_event
from bursar.wire.refusals import openai_refusal
from bursar.wire.responses_answer import CALLS, frames_tokens, generated_bytes, read_response
from bursar.wire.responses_shown import Shown
from bursar.wire.strict_json import dump
from bursar.wire.text import text_bytes, visible_tokens

__all__ = ["ResponsesReader"]

_ITEMS_SEEN_MAX = 4_096
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesReader(EventReader):
    """Read one streamed response."""

    _text_mark = b'"delta":"'

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._asked_model = request.model
        self._shown = Shown(request.model)
        self._told: Answer | None = None
        self._response_id = ""
        self._model = ""
        self._counted: dict[int, int] = {}
        self._kinds: dict[int, object] = {}
        self._size = 0
        self.is_finished = False

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far."""
        return visible_tokens(self._pieces, self._bytes, frames_tokens(self._kinds.values()))

    @property
    def is_complete(self) -> bool:
        """The last event has passed."""
        return self.is_finished

    def answer(self) -> Answer:
        """Say what is known now; usage is told by the last event alone."""
        told = self._told
        return Answer(
            usage=told.usage if told else None,
            visible_tokens=self.visible_tokens,
            is_capped=told.is_capped if told else False,
            model=(told.model if told else "") or self._model,
            service_tier=told.service_tier if told else "",
            cost_reported=told.cost_reported if told else None,
            tool_calls=sum(kind in CALLS for kind in self._kinds.values()),
            response_id=(told.response_id if told else "") or self._response_id,
        )

    def cut(self, usage: Usage) -> bytes:
        """Close the open items, then end with `response.incomplete`, its reason `max_output_tokens`."""
        if self.is_finished:
            return b""
        self.is_finished = True
        try:
            return self._shown.end(usage)
        except RecursionError:
            return Shown(self._asked_model).end(usage)  # What was shown is too deep to be written again.

    def error(self, refusal: Refusal) -> bytes:
        """Write an `error` event: flat, as the API documents it, and nested, as it sends it and SDKs raise it."""
        error = json.loads(openai_refusal(refusal))["error"]
        event = {
            "type": "error",
            "sequence_number": self._shown.next_sequence(),
            "code": error["code"],
            "message": error["message"],
            "param": error["param"],
            "error": error,
        }
        return write_event(dump(event), "error")

    def _see(self, event: bytes) -> bool:
        """Look into each event: none is like the one before, since each has a number of its own."""
        self._size = len(event)
        return self._parse(event)

    def _mark(self, data: bytes) -> None:
        """This API sends nothing but objects; some routers add `[DONE]`."""

    def _read(self, value: dict[str, Any]) -> bool:
        kind = value.get("type")
        if not isinstance(kind, str):
            return True
        self._shown.see(kind, value, self._size)
        if kind.endswith(".delta"):
            self._read_delta(value)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._read_item(value.get("output_index"), value.get("item"))
        elif kind == "error":
            self.is_error = True
        elif isinstance(value.get("response"), Mapping):
            self._read_response(kind, value["response"])
        return True

    def _read_delta(self, value: Mapping[str, Any]) -> None:
        text, index = value.get("delta"), value.get("output_index")
        if type(text) is str:
            self._count(index, text_bytes(text))

    def _count(self, index: object, size_bytes: int) -> None:
        self._add_text(size_bytes)
        if type(index) is int and (index in self._counted or len(self._counted) < _ITEMS_SEEN_MAX):
            self._counted[index] = self._counted.get(index, 0) + size_bytes

    def _read_item(self, index: object, item: object) -> None:
        """Count what an item shows beyond its deltas: a name, or all of it where a server sends no deltas."""
        if not isinstance(item, Mapping):
            return
        if type(index) is int and (index in self._kinds or len(self._kinds) < _ITEMS_SEEN_MAX):
            self._kinds[index] = item.get("type")
        counted = self._counted.get(index, 0) if type(index) is int else 0
        self._count(index, max(0, generated_bytes(item) - counted))

    def _read_response(self, kind: str, response: Mapping[str, Any]) -> None:
        """Take what the response says of itself; one that failed without usage is an error and no normal end."""
        self._model = self._model or str(response.get("model") or "")
        response_id = response.get("id")
        if isinstance(response_id, str):
            self._response_id = response_id
        if kind not in _ENDS:
            return
        self._told = read_response({**response, "object": "response"})
        self.is_error = self.is_error or kind == "response.failed"
        self.is_finished = kind != "response.failed" or (self._told is not None and self._told.usage is not None)
