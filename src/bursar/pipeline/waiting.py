"""The waiting room: contended is not exhausted.

Owns the order in which calls of one process wait for money that is only in flight: first in, first out per line. A
newcomer never passes those who wait; other processes' money is noticed by looking again every POLL_S.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from bursar.core.admission import Line
from bursar.core.ledger import Granted, Refused

__all__ = ["WaitingRoom"]

POLL_S = 0.05

Key = tuple[str, str, int, str]


class _Waiter:
    __slots__ = ("turn",)

    def __init__(self) -> None:
        self.turn = asyncio.Event()


class WaitingRoom:
    """Queues of one event loop. At most `waiting_max` calls wait, each at most `wait_s` seconds."""

    def __init__(self, wait_s: float, waiting_max: int) -> None:
        self._wait_s = wait_s
        self._waiting_max = waiting_max
        self._queues: dict[Key, OrderedDict[_Waiter, None]] = {}
        self._refusals: dict[Key, Refused] = {}
        """Why those in a queue wait: the last refusal, which one more than fit in is given as well."""
        self._count = 0

    @property
    def count(self) -> int:
        """How many calls wait now."""
        return self._count

    async def admit(
        self,
        lines: Sequence[Line],
        attempt: Callable[[], Awaitable[Granted | Refused]],
        is_gone: Callable[[], bool],
    ) -> Granted | Refused:
        keys = [_key(line) for line in lines]
        place = next((key for key in keys if key in self._queues), None)
        if place is None:
            verdict = await attempt()
            if isinstance(verdict, Granted) or verdict.is_exhausted:
                return verdict
            refused = verdict
        else:
            refused = self._refusals[place]
        if self._count >= self._waiting_max or self._wait_s <= 0:
            return refused
        self._count += 1
        try:
            return await self._wait(refused, attempt, is_gone)
        finally:
            self._count -= 1

    async def _wait(
        self, refused: Refused, attempt: Callable[[], Awaitable[Granted | Refused]], is_gone: Callable[[], bool]
    ) -> Granted | Refused:
        waiter = _Waiter()
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._wait_s
        place = self._join(refused, waiter)
        is_gone()  # The door begins to watch when it is first asked.
        try:
            while True:
                is_late = await self._turn(place, waiter, ends)
                verdict = await attempt()
                if isinstance(verdict, Granted) or verdict.is_exhausted or is_late or is_gone():
                    return verdict
                if _key(verdict.line) != place:
                    self._leave(place, waiter)
                    place = self._join(verdict, waiter)
        finally:
            self._leave(place, waiter)

    async def _turn(self, place: Key, waiter: _Waiter, ends: float) -> bool:
        """Wait until this waiter is first and something may have changed; True when the time is over."""
        loop = asyncio.get_running_loop()
        while True:
            waiter.turn.clear()
            left = ends - loop.time()
            is_first = next(iter(self._queues[place])) is waiter
            try:
                async with asyncio.timeout(min(left, POLL_S) if is_first else left):
                    await waiter.turn.wait()
            except TimeoutError:
                if loop.time() >= ends:
                    return True
            if next(iter(self._queues[place])) is waiter:
                return False

    def _join(self, refused: Refused, waiter: _Waiter) -> Key:
        """Stand last in the queue of the line that refused."""
        place = _key(refused.line)
        self._refusals[place] = refused
        self._queues.setdefault(place, OrderedDict())[waiter] = None
        return place

    def _leave(self, place: Key, waiter: _Waiter) -> None:
        """Leave the queue and give the turn to the next."""
        waiting = self._queues.get(place)
        if waiting is None or waiter not in waiting:
            return
        del waiting[waiter]
        if waiting:
            next(iter(waiting)).turn.set()
        else:
            del self._queues[place], self._refusals[place]

    def freed(self, lines: Sequence[Line]) -> None:
        for line in lines:
            waiting = self._queues.get(_key(line))
            if waiting:
                next(iter(waiting)).turn.set()


def _key(line: Line) -> Key:
    return (line.identity, line.scope, line.starts_ns, line.unit)
