"""Waiting for a provider while time itself spends money.

Owns what happens before the first byte of a stream: reasoning is billed unseen, so the hold grows with the time that
the answer is awaited, and where it cannot grow the wait ends. It decides nothing about money; the account does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from bursar.errors import BursarError
from bursar.pipeline.account import Account
from bursar.pipeline.run_ends import RunEnds, Wait

__all__ = ["AsyncioPatience", "Patience", "PlainPatience"]

T = TypeVar("T")


class Patience(Protocol):
    """How the answer to a call is awaited."""

    def paid_for(
        self, account: Account, work: Coroutine[Any, Any, T], drop: Callable[[T], object]
    ) -> Awaitable[T | None]:
        """Do this work for as long as the account can pay for the time; None when it could not.

        What was done in the very moment in which the money ended, or this task was cancelled, is given to `drop`.
        """
        ...


class AsyncioPatience:
    """Await in asyncio's event loop, and end the wait when the money does."""

    def __init__(self) -> None:
        self._ends: RunEnds | None = None
        """Those of the loop that was here last; another loop makes its own."""

    def paid_for(
        self, account: Account, work: Coroutine[Any, Any, T], drop: Callable[[T], object]
    ) -> Awaitable[T | None]:
        if account.is_stream:
            return work if account.tick_s() is None else self._while_paid(account, work, drop)
        # All that a whole answer may cost is held before it is asked for: nothing but its run's end can be due.
        watch = account.own_watch
        if watch is None:
            return work
        if watch.wait is None:
            due_s = account.tick_s()
            if due_s is None:
                return work
            loop = asyncio.get_running_loop()
            if self._ends is None or self._ends.loop is not loop:
                self._ends = RunEnds(loop)
            watch.wait = self._ends.wait(due_s)
        return self._in_time(account, work, watch.wait)

    async def _in_time(self, account: Account, work: Coroutine[Any, Any, T], wait: Wait) -> T | None:
        """Wait until the run is over, without a task of its own for that: nearly every answer comes long before."""
        ends = wait.ends
        ends.enter(wait)
        is_asked = False
        try:
            return await work
        except asyncio.CancelledError:
            is_asked = wait.is_over
            if not is_asked or wait.task.uncancel() > wait.began:
                raise
        finally:
            ends.leave(wait)
            if wait.is_over and not is_asked:
                wait.task.uncancel()
        # The loop's clock is another: by that of the run there may be a moment left.
        account.watch.end(0, is_waking=False)
        await account.progress(0)
        return None

    async def _while_paid(
        self, account: Account, work: Coroutine[Any, Any, T], drop: Callable[[Any], object]
    ) -> T | None:
        task = asyncio.ensure_future(work)
        is_taken = False
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=account.tick_s())
                if not task.done() and await account.progress(0):
                    return None
            is_taken = True
            return task.result()
        finally:
            if not is_taken:
                await _give_up(task, drop)


class PlainPatience:
    """Wait for as long as it takes: a thread that blocks cannot be called back.

    No money is lost by it: a call that is not interruptible holds all that it may cost. A run's seconds end at the next
    thing that comes.
    """

    def paid_for(
        self, account: Account, work: Coroutine[Any, Any, T], drop: Callable[[T], object]
    ) -> Awaitable[T | None]:
        return work


async def _give_up(task: asyncio.Task[T], drop: Callable[[T], object]) -> None:
    task.cancel()
    await asyncio.wait({task})
    with contextlib.suppress(asyncio.CancelledError, BursarError):
        drop(task.result())
