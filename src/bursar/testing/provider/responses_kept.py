"""Stored responses: what is kept of each, what continues from it, and those that run in the background.

Owns their memory, bounded, and the end of a background response on the invoice. It must never send bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bursar.testing.provider.answer import Answer, Ask
from bursar.testing.provider.delivery import OnEnd, natural_end
from bursar.testing.provider.generation import Generation
from bursar.testing.provider.invoice import Ended, Invoice
from bursar.testing.provider.responses_object import Status, input_items, output_items, status_of
from bursar.testing.provider.shape import Problem

__all__ = ["BYTES_MAX", "RESPONSES_MAX", "Kept", "KeptResponses"]

RESPONSES_MAX = 2_000
BYTES_MAX = 64 * 1024 * 1024
"""Bytes of the requests that are kept; older responses are forgotten first."""
GONE: tuple[Ended, ...] = ("disconnect", "cut", "reset", "error")
"""Ends after which a response that ran before its client is forgotten: it never became whole."""


@dataclass(slots=True)
class Kept:
    """One stored response. `ended` is None while it runs; `earlier` are the items of the responses it continues."""

    answer: Answer
    generation: Generation
    size_bytes: int
    earlier: tuple[dict[str, Any], ...]
    ended: Ended | None = None
    timer: asyncio.TimerHandle | None = None

    def status(self, now_s: float) -> Status:
        """Return the status at `now_s`."""
        if self.ended is not None and (self.ended == "cancelled" or not self.is_held):
            return status_of(self.ended)
        is_waiting = self.answer.ask.is_background and now_s < self.generation.first_byte_at_s
        return "queued" if is_waiting else "in_progress"

    @property
    def is_held(self) -> bool:
        """Whether it never says that it has ended, although it is billed when it has."""
        return self.answer.script.fault == "never_ends" and self.answer.ask.is_background

    @property
    def items(self) -> tuple[dict[str, Any], ...]:
        """All items that went into this response, oldest first."""
        return (*self.earlier, *input_items(self.answer))

    @property
    def tokens(self) -> int:
        """What a continuation adds to its prompt: this one's input and output."""
        units = self.answer.units(self.answer.stop_tokens)
        return units.input + units.cache_read + units.cache_write + units.output


class KeptResponses:
    """The stored responses of one provider. Used by one event loop only."""

    def __init__(self, invoice: Invoice, responses_max: int = RESPONSES_MAX, bytes_max: int = BYTES_MAX) -> None:
        """Begin with none; background responses end on `invoice`. Keep so many, whose requests have so many bytes."""
        self._invoice = invoice
        self._responses_max = responses_max
        self._bytes_max = bytes_max
        self._kept: dict[str, Kept] = {}
        self._size_bytes = 0

    def find(self, response_id: str) -> Kept:
        """Return a stored response. Raises Problem when there is none."""
        kept = self._kept.get(response_id)
        if kept is None:
            raise Problem(404, f"Response with id '{response_id}' not found.")
        return kept

    def with_prior(self, ask: Ask) -> Ask:
        """Return the request with the size of what it continues. Raises Problem when that is unknown or still runs."""
        if not ask.previous_id:
            return ask
        kept, name = self._kept.get(ask.previous_id), "previous_response_id"
        if kept is None:
            text = f"Previous response with id '{ask.previous_id}' not found."
            raise Problem(400, text, param=name, code="previous_response_not_found")
        if kept.ended not in ("complete", "length"):
            text = f"Previous response with id '{ask.previous_id}' has not completed."
            raise Problem(400, text, param=name, code="invalid_value")
        return replace(ask, prior_tokens=kept.tokens)

    def begin(self, answer: Answer, generation: Generation, size_bytes: int) -> OnEnd | None:
        """Keep a response from its start, if it is to be stored, and return what must be told of its end."""
        if not answer.ask.is_stored:
            return None
        before = self._kept.get(answer.ask.previous_id)
        earlier = () if before is None else (*before.items, *output_items(before.answer))
        kept = Kept(answer, generation, size_bytes, earlier)
        self._kept[answer.id] = kept
        self._size_bytes += size_bytes
        while len(self._kept) > self._responses_max or self._size_bytes > self._bytes_max:
            self._size_bytes -= self._kept.pop(next(iter(self._kept))).size_bytes
        return lambda _tokens, ended: self._note_end(kept, ended)

    def _note_end(self, kept: Kept, ended: Ended) -> None:
        kept.ended = ended
        if ended in GONE and not kept.answer.ask.is_background:
            self.forget(kept.answer.id)

    def forget(self, response_id: str) -> None:
        """Drop a stored response, if it is there; one that runs in the background runs on, and is billed."""
        kept = self._kept.pop(response_id, None)
        if kept is not None:
            self._size_bytes -= kept.size_bytes

    def run(self, answer: Answer) -> None:
        """Let a response that is kept and open on the invoice run in the background, to its end."""
        kept = self._kept.get(answer.id)
        assert kept is not None
        loop = asyncio.get_running_loop()
        kept.timer = loop.call_at(kept.generation.ends_at_s, self._end, kept, lambda: natural_end(answer))

    def cancel(self, response_id: str, now_s: float) -> Kept:
        """Stop a background response: what was generated is billed. One that has ended stays as it is."""
        kept = self.find(response_id)
        if not kept.answer.ask.is_background:
            raise Problem(400, "Cannot cancel a synchronous response.")
        if kept.ended is None and kept.timer is not None:
            kept.timer.cancel()
            self._end(kept, lambda: (kept.generation.generated(now_s), "cancelled"))
        elif kept.is_held:
            kept.ended = "cancelled"
        return kept

    def _end(self, kept: Kept, end: Callable[[], tuple[int, Ended]]) -> None:
        tokens, kept.ended = end()
        kept.timer = None
        self._invoice.end(kept.answer.id, kept.answer.units(tokens), kept.ended, 200)
