"""The memory of runs that the loop rules need: what was seen of each, and what was spent since.

Owns that memory and its limits. Of a conversation only what is new is read: where a request continues one that was
seen, the items beyond it; else its latest ones. It keeps digests and sums, never a text.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from bursar.core.charge import Amounts
from bursar.core.loops import LOOPS, LoopSettings
from bursar.core.money import Nano
from bursar.guards.loops.digest import Sketch, digest, is_alike, sketch
from bursar.guards.loops.rules import TURNS_MAX, Finding, Rule, find
from bursar.guards.loops.turns import Turn, turns_of
from bursar.wire.acts import Asked, Part, Returned, Said, items_of, parts_of
from bursar.wire.base import CallMark, Request

__all__ = ["EndedCall", "Loops", "RunLoops", "Seen"]

T = TypeVar("T")

RUNS_MAX = 2_000
"""Runs that are remembered, the latest ones. One takes 25 kB as a rule, and 400 kB at the most."""
THREADS_MAX = 4
"""Conversations of a run that are remembered, sub-agents' included; of another one the latest items are read anew."""
ITEMS_MAX = 160
"""Items that are read of a conversation that was not seen before, from its end."""
LETTERS_MAX = 2_000_000
"""After so many letters nothing older is read."""
OBSERVED_MAX = 1_024
"""Observations that a run remembers having made."""
CALLS_MAX = 64
"""Calls of a run whose answers a later request may continue (`previous_response_id`)."""
ANCHOR_ITEMS = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request shows of its run."""

    step: int
    findings: tuple[Finding, ...]
    is_repeat: bool = False
    """The request is an earlier one, sent again: what that one showed is not found a second time."""
    count: int = 0
    """How many of the run's requests showed a loop, this one included, since a person let it go on."""


class EndedCall(Protocol):
    """What is asked of the record of a call that ended."""

    @property
    def id(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def amounts(self) -> Amounts: ...
    @property
    def response_id(self) -> str: ...
    @property
    def asked(self) -> tuple[CallMark, ...]: ...


@dataclass(frozen=True, slots=True)
class _Thread:
    """One conversation as it was last seen."""

    count: int = 0
    anchor: int = 0
    turns: tuple[Turn, ...] = ()


class _Shown:
    """The items of one request: each is read once, and only if somebody asks for it."""

    __slots__ = ("_anchors", "_read", "_request", "items")

    def __init__(self, request: Request, items: Sequence[Any]) -> None:
        self.items = items
        self._request = request
        self._read: dict[int, list[Part]] = {}
        self._anchors: dict[int, int] = {}

    @property
    def has_tools(self) -> bool:
        return bool(self._request.body.get("tools"))

    def parts(self, start: int, end: int) -> list[Part]:
        """Read the items from one place to another."""
        found: list[Part] = []
        for at in range(start, end):
            if at not in self._read:
                self._read[at] = parts_of(self._request.wire, (self.items[at],))
            found += self._read[at]
        return found

    def anchor(self, count: int) -> int:
        """Give a digest of the beginning, and of where it stood after so many items, ids of calls included."""
        if count not in self._anchors:
            ends = [*self.parts(0, 1), *self.parts(max(1, count - ANCHOR_ITEMS), count)]
            marks = [part.id if isinstance(part, Asked | Returned) else "" for part in ends]
            self._anchors[count] = digest(self._request.shape_key, *marks, *[_letters(part) for part in ends])
        return self._anchors[count]


class RunLoops:
    """One run."""

    __slots__ = ("_calls", "_continued", "_observed", "_openings", "_settings", "_stale_nano", "_stale_steps", "_step",
                 "_threads", "_trips")  # fmt: skip

    def __init__(self, settings: LoopSettings = LOOPS) -> None:
        self._settings = settings
        self._step = 0
        self._threads: deque[_Thread] = deque(maxlen=THREADS_MAX)
        self._calls: dict[str, _Thread] = {}
        self._continued: dict[str, tuple[_Thread, tuple[CallMark, ...]]] = {}
        self._observed: dict[int, None] = {}
        self._openings: deque[Sketch] = deque(maxlen=settings.openings or 1)
        self._stale_nano: Nano = 0
        self._stale_steps = 0
        self._trips = 0

    def look(self, call_id: str, request: Request) -> Seen:
        """Take the request of a further step, before it is sent, and say which loops it shows."""
        seen = self._look(call_id, request)
        self._trips += bool(seen.findings)
        return replace(seen, count=self._trips)

    def pardon(self) -> None:
        """Begin to count anew: the run waits for a person, and what it did until then is theirs to judge."""
        self._trips = self._stale_steps = 0
        self._stale_nano = 0
        self._openings.clear()

    def _look(self, call_id: str, request: Request) -> Seen:
        self._step += 1
        items = items_of(request)
        if not items:
            return Seen(self._step, ())
        if request.previous_id:
            base, asked = self._continued.get(request.previous_id, (_Thread(), ()))
            new = turns_of(_tail(request.wire, items), asked)
            return self._take(call_id, base, new, _Thread(), is_news=False)
        shown = _Shown(request, items)
        found = self._found(shown)
        known = found or _Thread()
        parts = shown.parts(known.count, len(items)) if found else _tail(request.wire, items)
        new = turns_of(parts)
        is_opening = not new and not known.turns
        is_news = is_opening and self._opens(shown)
        if found and found.count == len(items) and not is_opening:
            _put(self._calls, call_id, found)
            return Seen(self._step, self._stale(is_news=False), is_repeat=True)
        return self._take(call_id, known, new, _Thread(len(items), shown.anchor(len(items))), is_news=is_news)

    def ended(self, record: EndedCall) -> None:
        """Take what a call came to, and under which name it can be continued."""
        self._stale_nano += record.amounts.cost_nano
        thread = self._calls.pop(record.id, None)
        if thread is not None and record.response_id:
            _put(self._continued, record.response_id, (thread, record.asked))

    def _found(self, shown: _Shown) -> _Thread | None:
        """Find the conversation that these items continue: its last items stand where they stood."""
        for thread in reversed(self._threads):
            if 0 < thread.count <= len(shown.items) and shown.anchor(thread.count) == thread.anchor:
                self._threads.remove(thread)
                self._threads.append(thread)
                return thread
        return None

    def _take(self, call_id: str, known: _Thread, new: Sequence[Turn], place: _Thread, *, is_news: bool) -> Seen:
        """Add turns to a conversation, which is then at `place`."""
        is_news |= self._learn(new)
        turns = (*known.turns, *new)[-TURNS_MAX:]
        findings = find(turns, self._step, self._settings) if new else ()
        thread = _Thread(place.count, place.anchor, turns)
        _put(self._calls, call_id, thread)
        if place.count:
            if known in self._threads:
                self._threads.remove(known)
            self._threads.append(thread)
        return Seen(self._step, (*findings, *self._begun_again(), *self._stale(is_news=is_news)))

    def _learn(self, new: Sequence[Turn]) -> bool:
        """Remember what was observed; True when something of it is new."""
        is_news = False
        for observed in (each for turn in new for each in turn.news):
            is_news |= observed not in self._observed
            self._observed.pop(observed, None)
            self._observed[observed] = None
        while len(self._observed) > OBSERVED_MAX:
            del self._observed[next(iter(self._observed))]
        if is_news:
            self._openings.clear()
        return is_news

    def _opens(self, shown: _Shown) -> bool:
        """Remember how a conversation began; True when none began nearly so since anything new was seen."""
        first = shown.parts(0, min(ANCHOR_ITEMS, len(shown.items)))
        words = sketch("\n".join([_letters(part) for part in first]))
        is_new = not any(is_alike(words, other, self._settings.alike_per_mille) for other in self._openings)
        if is_new:
            self._openings.clear()
        if shown.has_tools:
            self._openings.append(words)
        return is_new

    def _begun_again(self) -> tuple[Finding, ...]:
        threshold = self._settings.openings
        count = len(self._openings)
        return (Finding(Rule.OPENINGS, self._step, count),) if threshold and count >= threshold else ()

    def _stale(self, *, is_news: bool) -> tuple[Finding, ...]:
        """Count a step that brought nothing new; a loop when such steps have cost enough."""
        self._stale_steps = 0 if is_news else self._stale_steps + 1
        if is_news:
            self._stale_nano = 0
        settings = self._settings
        is_loop = 0 < settings.stale_nano <= self._stale_nano and self._stale_steps >= settings.stale_steps
        if not is_loop:
            return ()
        return (Finding(Rule.STALE, self._step, self._stale_steps, spent_nano=self._stale_nano),)


class Loops:
    """All runs of a process. Safe to use from several threads; an observer of calls that ended."""

    def __init__(self, settings: LoopSettings = LOOPS, runs_max: int = RUNS_MAX) -> None:
        self._settings = settings
        self._runs_max = runs_max
        self._runs: dict[tuple[str, str], RunLoops] = {}
        self._lock = threading.RLock()

    def look(self, tenant: str, run: str, call_id: str, request: Request) -> Seen:
        """Take the request of a run's further step, before it is sent."""
        key = (tenant, run)
        with self._lock:
            watched = self._runs.pop(key, None) or RunLoops(self._settings)
            self._runs[key] = watched
            if len(self._runs) > self._runs_max:
                del self._runs[next(iter(self._runs))]
            return watched.look(call_id, request)

    def pardon(self, tenant: str, run: str) -> None:
        """Begin to count anew in a run that was parked or stopped."""
        with self._lock:
            watched = self._runs.get((tenant, run))
            if watched is not None:
                watched.pardon()

    def call_ended(self, record: EndedCall) -> None:
        """Take what a call of a run came to."""
        run = record.labels.get("run")
        with self._lock:
            watched = self._runs.get((record.tenant, run)) if run else None
            if watched is not None:
                watched.ended(record)


def _tail(wire: str, items: Sequence[Any]) -> list[Part]:
    """Read the latest items: as many turns as are kept, up to the limits."""
    read: list[list[Part]] = []
    letters = turns = 0
    is_answered = False
    for item in reversed(items[-ITEMS_MAX:]):
        parts = parts_of(wire, (item,))
        read.append(parts)
        letters += sum(len(_letters(part)) for part in parts)
        is_model = bool(parts) and all(_is_of_model(part) for part in parts)
        turns += is_model and is_answered
        is_answered = not is_model and (is_answered or bool(parts))
        if turns > TURNS_MAX or letters > LETTERS_MAX:
            break
    return [part for parts in reversed(read) for part in parts]


def _is_of_model(part: Part) -> bool:
    return isinstance(part, Asked) or (isinstance(part, Said) and part.is_model)


def _letters(part: Part) -> str:
    return part.name + part.arguments if isinstance(part, Asked) else part.text


def _put(table: dict[str, T], name: str, value: T) -> None:
    table[name] = value
    if len(table) > CALLS_MAX:
        del table[next(iter(table))]
