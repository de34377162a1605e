"""The waiting room: contended is not exhausted.

Owns the order in which calls of one process wait for money that is only in flight: first in, first out per line. A
newcomer never passes those who wait; other processes' money is noticed by looking again every POLL_S. Calls of several
threads and event loops may stand in the same queues.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bursar.core.admission import Line
from bursar.core.ledger import Granted, Refused
from bursar.pipeline.turns import AsyncioTurn, Turn

__all__ = ["Queues", "WaitingRoom"]

POLL_S = 0.05

Key = tuple[str, str, int, str]


class _Waiter:
    __slots__ = ("turn",)

    def __init__(self, turn: Turn) -> None:
        self.turn = turn


@dataclass(slots=True)
class Queues:
    """Who waits for which line. Safe from several threads; nothing here waits for anybody."""

    count: int = 0
    """How many calls wait now."""
    waiting: dict[Key, OrderedDict[_Waiter, None]] = field(default_factory=dict)
    _refusals: dict[Key, Refused] = field(default_factory=dict)
    """Why those in a queue wait: the last refusal, which one more than fit in is given as well."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def refusal(self, lines: Sequence[Line]) -> Refused | None:
        """Say why a newcomer has to wait behind others; None when nobody waits for these lines."""
        with self._lock:
            return next((self._refusals[key] for key in map(_key, lines) if key in self._refusals), None)

    def enter(self, most: int) -> bool:
        """Count one more that waits; False when there is no room."""
        with self._lock:
            has_room = self.count < most
            self.count += has_room
        return has_room

    def exit(self) -> None:
        """Count one less."""
        with self._lock:
            self.count -= 1

    def join(self, refused: Refused, waiter: _Waiter) -> Key:
        """Stand last in the queue of the line that refused."""
        place = _key(refused.line)
        with self._lock:
            self._refusals[place] = refused
            self.waiting.setdefault(place, OrderedDict())[waiter] = None
        return place

    def leave(self, place: Key, waiter: _Waiter) -> None:
        """Leave the queue and give the turn to the next."""
        with self._lock:
            waiting = self.waiting.get(place)
            if waiting is None or waiter not in waiting:
                return
            del waiting[waiter]
            if not waiting:
                del self.waiting[place], self._refusals[place]
                return
            following = next(iter(waiting))
        following.turn.give()

    def is_first(self, place: Key, waiter: _Waiter) -> bool:
        with self._lock:
            return next(iter(self.waiting[place])) is waiter

    def freed(self, lines: Sequence[Line]) -> None:
        """Give their turn to those who wait first for these lines."""
        if not self.waiting:
            return
        with self._lock:
            queues = [self.waiting[key] for key in map(_key, lines) if key in self.waiting]
            first = [next(iter(queue)) for queue in queues]
        for waiter in first:
            waiter.turn.give()


class WaitingRoom:
    """A way to wait in queues: by `turns`. At most `waiting_max` calls wait, each at most `wait_s` seconds.

    Rooms that share their queues keep one order between them, whichever way their calls wait.
    """

    def __init__(
        self,
        wait_s: float,
        waiting_max: int,
        turns: Callable[[], Turn] = AsyncioTurn,
        queues: Queues | None = None,
    ) -> None:
        self._wait_s = wait_s
        self._waiting_max = waiting_max
        self._turns = turns
        self._queues = queues or Queues()
        self.freed = self._queues.freed

    @property
    def count(self) -> int:
        """How many calls wait now."""
        return self._queues.count

    async def admit(
        self,
        lines: Sequence[Line],
        attempt: Callable[[], Awaitable[Granted | Refused]],
        is_gone: Callable[[], bool],
    ) -> Granted | Refused:
        queues = self._queues
        refused = queues.refusal(lines) if queues.waiting else None
        if refused is None:
            verdict = await attempt()
            if isinstance(verdict, Granted) or verdict.is_exhausted:
                return verdict
            refused = verdict
        if self._wait_s <= 0 or not self._queues.enter(self._waiting_max):
            return refused
        try:
            return await self._wait(refused, attempt, is_gone)
        finally:
            self._queues.exit()

    async def _wait(
        self, refused: Refused, attempt: Callable[[], Awaitable[Granted | Refused]], is_gone: Callable[[], bool]
    ) -> Granted | Refused:
        waiter = _Waiter(self._turns())
        ends = time.monotonic() + self._wait_s
        place = self._queues.join(refused, waiter)
        try:
            is_gone()  # The door begins to watch when it is first asked.
            while True:
                is_late = await self._turn(place, waiter, ends)
                verdict = await attempt()
                if isinstance(verdict, Granted) or verdict.is_exhausted or is_late or is_gone():
                    return verdict
                if _key(verdict.line) != place:
                    self._queues.leave(place, waiter)
                    place = self._queues.join(verdict, waiter)
        finally:
            self._queues.leave(place, waiter)

    async def _turn(self, place: Key, waiter: _Waiter, ends: float) -> bool:
        """Wait until this waiter is first and something may have changed; True when the time is over."""
        while True:
            waiter.turn.clear()
            left = ends - time.monotonic()
            is_first = self._queues.is_first(place, waiter)
            try:
                await waiter.turn.wait(min(left, POLL_S) if is_first else left)
            except TimeoutError:
                if time.monotonic() >= ends:
                    return True
            if self._queues.is_first(place, waiter):
                return False


def _key(line: Line) -> Key:
    return (line.identity, line.scope, line.starts_ns, line.unit)
