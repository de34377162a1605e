"""The faces of a ledger that has a queue, for those who do the ledger's work in their own thread.

Owns what happens at once and what goes to the queue's thread. Whatever is asked here happens behind all that was queued
before it, so a caller sees what everybody in this process has written, also what nobody waited for.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import TypeVar

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Extension, Granted, HoldRow, Note, Refused, Reservation
from bursar.errors import StoreUnavailable
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore, twice

__all__ = ["InlineStore", "JoinedStore"]

T = TypeVar("T")

INLINE_MAX = 16
"""How many operations of others an event loop does before its own."""
BURST_NS = 500_000
"""Holds that come sooner one after the other are handed to the thread, which makes many in one transaction."""
AHEAD_MAX = 7
"""Behind so few closes that nobody waits for, a hold need not queue: every eighth one writes them all."""
BUSY_LOOKS = 4
"""After so many looks of the thread in a row, each with a hold since the one before (some 40 ms), a program holds again
and again."""
PATIENCE = 5
"""So many looks what such a program leaves in the queue may stay there: by then it writes that itself, with a hold."""
LOOK_NS = 9_000_000
"""How far apart these looks are at the least."""
SCARCE = 15
"""After a hold that found no ample room the next ones are not tried that way: a failed try is a transaction more."""
CHECKPOINT_COMMITS = 256
"""After so many transactions, some six megabytes of log, it is written back."""


class JoinedStore(DirectStore):
    """For a thread that may wait for the file: every verb is done before it first suspends."""

    def __init__(self, queue: InlineStore) -> None:
        super().__init__(queue.ledger)
        self._queue = queue

    async def reserve(self, asked: Reservation) -> Granted | Refused:
        return self._queue.reserve_now(asked)

    async def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        return self._queue.now(partial(self._ledger.extend, asked, at_least, at_most, attempts))

    async def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        return self._queue.now(partial(self._ledger.close, hold_id, verb, at_ns, charge, note))

    async def beat(self, process: str, at_ns: int) -> None:
        self._queue.now(partial(self._ledger.beat, process, at_ns))

    async def lapse(self, process: str, at_ns: int) -> int:
        return self._queue.now(partial(self._ledger.lapse, process, at_ns))

    async def response(self, tenant: str, response_id: str) -> HoldRow | None:
        return await self.run(partial(self._ledger.response, tenant, response_id))

    async def run(self, work: Callable[[], T]) -> T:
        """Run any other work on the ledger."""
        self._queue.catch_up()
        try:
            return work()
        except BaseException:
            self._queue.ledger.abandon()
            raise


class InlineStore(ThreadedStore):
    """For an event loop: a hold is made in the loop itself where nobody else is at the ledger, else by the thread.

    To hand it over and back takes more of the loop's time than the hold does; but many at once share a transaction in
    the thread, which is cheaper still. The loop waits for nobody: what another thread or process has in use goes to the
    queue, and the log is written back into the file by the thread.
    """

    def __init__(
        self,
        ledger: SqliteLedger,
        *,
        is_inline: bool = True,
        is_ahead: bool = True,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.ledger = ledger
        self._is_inline = is_inline
        self._is_ahead = is_ahead
        """A hold with ample room does not wait for what makes more; False where every cost must be seen at once."""
        self._scarce = 0
        """So many holds are not tried that way."""
        self._asked: tuple[Reservation, Granted] | None = None
        """What was held last, since the thread looked."""
        self._busy = 0
        """At so many looks of the thread there was something held since the one before; nothing counts for two."""
        self._next_look_ns = 0
        self._now_ns = now_ns
        self._last_ns = -BURST_NS - 1
        """When a loop last asked for a hold."""
        self._commits = 0
        self._tidying = threading.Lock()
        super().__init__(ledger)

    async def reserve(self, asked: Reservation) -> Granted | Refused:
        granted = self._taken(asked)
        if granted is not None:
            return granted
        if self._is_inline:
            last_ns, self._last_ns = self._last_ns, self._now_ns()
            if self._last_ns - last_ns > BURST_NS:
                verdict = self._at_once(asked)
                if verdict is not None:
                    return verdict
        return await self.run(partial(self._ledger.reserve, asked))

    def reserve_now(self, asked: Reservation) -> Granted | Refused:
        """Hold in this thread: ahead of what is queued where there is ample room, else behind it."""
        granted = self._taken(asked)
        if granted is None and self._jobs:
            if self._worker == get_ident():
                raise twice()
            try:
                granted = self._hold_ahead(asked)
            except BaseException:
                self.ledger.abandon()
                raise
        return self.now(self._held_behind(asked)) if granted is None else granted

    def _taken(self, asked: Reservation) -> Granted | None:
        """Hold out of what is set aside, if anything is, ahead of what is queued; None elsewhere."""
        ledger = self.ledger
        # Of what is put into the queue meanwhile, by another thread, neither has to be the first.
        if not ledger.slices or self._pressing != self._pressed or len(self._jobs) > AHEAD_MAX:
            return None
        try:
            granted = ledger.take(asked)
        except BaseException:
            ledger.abandon()
            raise
        if granted is not None:
            self._asked = asked, granted
        return granted

    def _held_behind(self, asked: Reservation) -> Callable[[], Granted | Refused]:
        """Hold behind what is queued. Behind as many closes as may be, their program is a fast one: it sets aside
        something for its next calls as well."""
        if not self._is_ahead or len(self._jobs) <= AHEAD_MAX:
            return partial(self._ledger.reserve, asked)

        def held() -> Granted | Refused:
            verdict = self.ledger.reserve(asked)
            if isinstance(verdict, Granted):
                self.ledger.set_aside(asked, verdict.tokens)
                if not self._is_dozing:
                    self._wake()
            return verdict

        return held

    def _goes_ahead(self) -> bool:
        """Tell whether a hold may be tried ahead of what is queued: that is little, and only makes room."""
        if not self._is_ahead or self._pressing != self._pressed or not 0 < len(self._jobs) <= AHEAD_MAX:
            return False
        if self._scarce:
            self._scarce -= 1
            return False
        return True

    def _hold_ahead(self, asked: Reservation) -> Granted | None:
        """Hold ahead of what is queued; None, and nothing written, where there is no ample room.

        What is queued meanwhile was asked for by another thread, beside this: neither has to be the first.
        """
        with self._turn:
            # Here, where nobody takes from the queue.
            if not self._goes_ahead():
                return None
            try:
                self._worker = get_ident()
                granted = self.ledger.reserve_ahead(asked)
            finally:
                self._worker = 0
        if granted is None:
            self._scarce = SCARCE
        else:
            self._asked = asked, granted
        return granted

    def _at_once(self, asked: Reservation) -> Granted | Refused | None:
        """Hold in this thread, mostly behind what is queued; None where that would have to wait, or take long."""
        here = get_ident()
        if self._worker == here:
            raise twice()
        took: list[bool] = []
        try:
            # In one step with knowing it: an interrupt of the program between the two would leave it locked for good.
            took.extend(map(self._turn.acquire, (False,)))
            if not took[0] or len(self._jobs) > INLINE_MAX:
                return None
            if self._goes_ahead():
                if not self.ledger.seize(is_ahead=True):
                    return None
                try:
                    self._worker = here
                    granted = self.ledger.reserve_ahead(asked)
                finally:
                    self._worker = 0
                    self.ledger.let_loose()
                if granted is not None:
                    self._asked = asked, granted
                    return granted
                self._scarce = SCARCE
            return self._seized(asked)
        except BaseException:
            self.ledger.abandon()
            raise
        finally:
            if took and took[0]:
                self._turn.release()

    def _seized(self, asked: Reservation) -> Granted | Refused | None:
        """Hold behind what is queued, where nobody else is at the ledger; else None."""
        if not self.ledger.seize():
            return None
        try:
            return self._now(self._held_behind(asked))
        finally:
            self.ledger.let_loose()

    def rest(self) -> None:
        """Look after what is set aside, and write the log back into the file now and then: whoever commits the page too
        much would have to do it."""
        now_ns = self._now_ns()
        if now_ns >= self._next_look_ns:
            self._next_look_ns = now_ns + LOOK_NS
            # What the file cannot take now is done at the next look, or by whoever comes first.
            with contextlib.suppress(StoreUnavailable):
                self._look()
        if self.ledger.commits - self._commits < CHECKPOINT_COMMITS:
            return
        self._commits = self.ledger.commits
        with self._tidying:
            self.ledger.checkpoint()

    def _look(self) -> None:
        """Set something aside for a program that holds again and again, and nothing for one that does not."""
        asked, self._asked = self._asked, None
        if asked is None:
            # One call that takes longer is not the end of it yet.
            self._busy, self._looks = max(0, self._busy - BUSY_LOOKS // 2), 1
            self.ledger.end_slices()
            return
        self._busy = min(BUSY_LOOKS, self._busy + 1)
        self._looks = PATIENCE if self._busy >= BUSY_LOOKS else 1
        if self._busy >= BUSY_LOOKS and not self.ledger.is_sliced:
            reservation, granted = asked
            self.ledger.set_aside(reservation, granted.tokens)

    def sleep(self) -> bool:
        """Leave no view open and nothing set aside while nobody may come for long."""
        self.ledger.look_away()
        with contextlib.suppress(StoreUnavailable):
            self.ledger.end_slices()
        return not self.ledger.is_sliced

    def let_go(self) -> None:
        """Keep the ledger shut until `take_up`, while this process is copied."""
        self.catch_up()
        self._tidying.acquire()
        self.ledger.let_go()

    def take_up(self) -> None:
        """Open it again. Raises StoreUnavailable."""
        try:
            self.ledger.take_up()
        finally:
            self._tidying.release()
