"""How budgets come into force while calls run: each counts what came before it, a little at a time.

Owns which of the budgets that are set have begun in this process. A budget is in force here only after the calls of its
window were counted; until then an earlier form of it stays in force. It must never hold up the ledger for one of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from bursar.core.budget import Budget, Unit
from bursar.core.window import NS
from bursar.pipeline.ports import Clock
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore

__all__ = ["Beginnings"]

log = logging.getLogger("bursar.control")

LimitName: TypeAlias = tuple[str, str, Unit]
"""One limit of a budget: tenant, identity, unit. A new one has to begin."""

PAUSE_S = 0.025
"""How long the ledger is left to others between two chunks: as long as a chunk takes."""
LATE_S = 60.0
"""How much longer than calls may wait until nothing without a budget can reach the ledger any more."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """Calls that may have come without budgets, to be counted at `due_ns` or later."""

    due_ns: int
    since_ns: int
    at_ns: int
    """Names the windows."""
    budgets: tuple[Budget, ...]
    is_last: bool


@dataclass(slots=True)
class Beginnings:
    """What is set, what of it has begun, and what is still to be counted."""

    ledger: SqliteLedger | MemoryLedger
    face: ThreadedStore | DirectStore
    clock: Clock
    wait_s: float
    """How long a call may wait between its first look at the budgets and its hold."""
    all: tuple[Budget, ...] = ()
    """What is set."""
    waiting: tuple[Budget, ...] = ()
    """What of it has not begun here."""
    _begun: set[LimitName] = field(default_factory=set)
    _rests: list[_Rest] = field(default_factory=list)
    _is_declared: bool = True
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self, budgets: tuple[Budget, ...]) -> None:
        """Begin everything before the first call is taken. Raises StoreUnavailable."""
        self.all, self._begun = budgets, _names(budgets)
        new = self.ledger.declare(budgets)
        at_ns = self.clock()
        place = self.ledger.begin(new, at_ns) if new else None
        while place is not None:
            # Other processes may be serving calls from the same file.
            time.sleep(PAUSE_S)
            place = self.ledger.begin(new, at_ns, place)
        self._expect_late(new, at_ns, at_ns - self._late_ns)

    def take(self, budgets: tuple[Budget, ...]) -> None:
        """Take what is set now; `in_force` and `run` follow it."""
        if budgets != self.all:
            self.all, self._is_declared = budgets, False
            # What was taken out counts nothing meanwhile, and begins anew when it comes back.
            self._begin_now(())

    def in_force(self, before: Iterable[Budget]) -> tuple[Budget, ...]:
        """Give what has begun, and of the rest what was in force under the same name before."""
        if not self.waiting:
            return self.all
        was = {(budget.tenant, budget.name): budget for budget in before}
        new = {(budget.tenant, budget.name): was.get((budget.tenant, budget.name)) for budget in self.waiting}
        found = (new.get((budget.tenant, budget.name), budget) for budget in self.all)
        return tuple(budget for budget in found if budget is not None)

    def _begin_now(self, new: Iterable[Budget]) -> None:
        self._begun = (self._begun | _names(new)) & _names(self.all)
        self.waiting = tuple(budget for budget in self.all if not _names([budget]) <= self._begun)

    async def run(self, put: Callable[[], None]) -> None:
        """Begin all that is set; `put` is called when `in_force` gives more than before. Raises StoreUnavailable.

        When it fails, or is cancelled, the next run goes on: what is counted stays counted, and is not counted twice.
        """
        async with self._lock:
            await self._declare()
            while new := self.waiting:
                await self._begin(new, put)
                await self._declare()
            while (rest := self._due()) is not None:
                await self._count(rest.budgets, rest.at_ns, (rest.since_ns, ""))
                if rest.is_last:
                    await self.face.run(partial(self.ledger.finish, rest.budgets))
                self._rests.remove(rest)

    async def _declare(self) -> None:
        while not self._is_declared:
            budgets = self.all
            await self.face.run(partial(self.ledger.declare, budgets))
            self._is_declared = budgets is self.all

    async def _begin(self, new: tuple[Budget, ...], put: Callable[[], None]) -> None:
        at_ns = self.clock()
        log.info("%d budgets begin: the calls of their windows are counted first", len(new))
        await self._count(new, at_ns, None)
        # Other things may have been set meanwhile: what is gone has not begun.
        self._begin_now(new)
        put()
        now_ns = self.clock()
        # Every process does this for itself, since until now it took calls in without these budgets.
        since_ns = at_ns - self._late_ns
        self._rests.append(_Rest(now_ns, since_ns, now_ns, new, is_last=False))
        self._expect_late(new, now_ns, since_ns)

    def _expect_late(self, new: tuple[Budget, ...], now_ns: int, since_ns: int) -> None:
        """Count once more when no call is left that looked at the budgets before these were among them."""
        if new:
            self._rests.append(_Rest(now_ns + self._late_ns, since_ns, now_ns, new, is_last=True))

    @property
    def _late_ns(self) -> int:
        return int((self.wait_s + LATE_S) * NS)

    def _due(self) -> _Rest | None:
        now_ns = self.clock()
        return next((rest for rest in self._rests if rest.due_ns <= now_ns), None)

    async def _count(self, budgets: Sequence[Budget], at_ns: int, after: tuple[int, str] | None) -> None:
        """Count chunk by chunk, each an operation of its own in the ledger's queue."""
        place = await self.face.run(partial(self.ledger.begin, budgets, at_ns, after))
        while place is not None:
            await asyncio.sleep(PAUSE_S)
            place = await self.face.run(partial(self.ledger.begin, budgets, at_ns, place))


def _names(budgets: Iterable[Budget]) -> set[LimitName]:
    return {
        (budget.tenant, identity, limit.unit)
        for budget in budgets
        for identity in (budget.identity,)
        for limit in budget.limits
    }
