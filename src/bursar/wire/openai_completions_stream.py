"""A text completion read, whole or as it streams, and ended early.

Owns what is other than in a chat answer: text stands in the choice itself, an echo repeats the prompt, which was not
generated, and a count of 0 may be left out. It must never rewrite a chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Request
from bursar.wire.events import write_event
from bursar.wire.openai_stream import ChatReader, tier_name, usage_object
from bursar.wire.strict_json import dump
from bursar.wire.text import text_bytes, visible_tokens
from bursar.wire.usage import openai_cost, openai_usage

__all__ = ["CompletionsReader", "completions_usage", "read_text_completion"]

_CHOICES_SEEN_MAX = 2_048


class CompletionsReader(ChatReader):
    """Read one streamed text completion."""

    _text_mark = b'"text":"'

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        prompts, shown = _shown(request)
        self._open = dict.fromkeys(range(prompts * shown), True)
        self._echo_left = _echo_bytes(request)

    def answer(self) -> Answer:
        """Say what is known now."""
        return replace(super().answer(), usage=completions_usage(self._usage))

    def cut(self, usage: Usage) -> bytes:
        """End every open choice with `length`, then usage if the client wants it, then `[DONE]`."""
        if self._is_done:
            return b""
        self._is_done = True
        seen = {name: value for name, value in self._head.items() if type(value) is int or _is_word(value)}
        head = {"id": "cmpl-cut", "object": "text_completion", "created": 0, "model": self._request.model, **seen}
        ended = {"text": "", "logprobs": None, "finish_reason": "length"}
        chunks = [
            write_event(dump({**head, "choices": [{"index": index, **ended}]}))
            for index, is_open in self._open.items()
            if is_open
        ]
        if self._request.wants_usage:
            chunks.append(write_event(dump({**head, "choices": [], "usage": usage_object(usage)})))
        chunks.append(write_event(b"[DONE]"))
        return b"".join(chunks)

    def _add_text(self, size_bytes: int) -> None:
        echoed = min(size_bytes, self._echo_left)
        self._echo_left -= echoed
        super()._add_text(size_bytes - echoed)

    def _read_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        text = choice.get("text")
        self._add_text(text_bytes(text) if type(text) is str else 0)
        reason = choice.get("finish_reason")
        if reason is not None:
            self._is_plain = False
            self._is_capped = self._is_capped or reason == "length"
        if index in self._open or len(self._open) < _CHOICES_SEEN_MAX:
            self._open[index] = reason is None and self._open.get(index, True)


def read_text_completion(request: Request, body: Mapping[str, Any]) -> Answer | None:
    """Read a whole answer; None when it is no text completion."""
    choices, usage = body.get("choices"), body.get("usage")
    if not isinstance(choices, list) and not isinstance(usage, Mapping):
        return None
    shown = [choice for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []
    size = sum(text_bytes(choice["text"]) for choice in shown if type(choice.get("text")) is str)
    model = body.get("model")
    return Answer(
        usage=completions_usage(usage),
        visible_tokens=visible_tokens(0, max(0, size - _echo_bytes(request))),
        is_capped=any(choice.get("finish_reason") == "length" for choice in shown),
        model=model if isinstance(model, str) else "",
        service_tier=tier_name(body.get("service_tier")),
        cost_reported=openai_cost(usage),
    )


def completions_usage(raw: object) -> Usage | None:
    """Split usage as chat does; where nothing was generated the API leaves `completion_tokens` out."""
    if isinstance(raw, Mapping) and raw.get("completion_tokens") is None:
        total = raw.get("total_tokens")
        if total is not None and total == raw.get("prompt_tokens"):
            raw = {**raw, "completion_tokens": 0}
    return openai_usage(raw)


def _is_word(value: object) -> bool:
    """Can this be written again as it came?"""
    return type(value) is str and value.isprintable()


def _shown(request: Request) -> tuple[int, int]:
    """Count the prompts, and the answers that are shown for each: `n` of them, however many `best_of` made."""
    each = max(request.body.get("n") or 1, request.body.get("best_of") or 1)
    return request.choices // each, request.body.get("n") or 1


def _echo_bytes(request: Request) -> int:
    """Say how much of what is shown repeats the prompt: once for every answer shown."""
    return request.anatomy.user * _shown(request)[1] if request.body.get("echo") else 0
