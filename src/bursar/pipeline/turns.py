"""How a caller waits for its turn: in an event loop, or by blocking its thread.

Owns the port under the waiting room. A turn may be given from any thread, whoever waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

__all__ = ["AsyncioTurn", "ThreadTurn", "Turn"]


class Turn(Protocol):
    """One waiter's turn."""

    def give(self) -> None:
        """Wake the waiter, now or when it waits next."""
        ...

    def clear(self) -> None:
        """Take back what was given."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Wait until the turn is given. Raises TimeoutError when the time is over."""
        ...


class AsyncioTurn:
    """A turn of a task in the event loop that makes it."""

    __slots__ = ("_event", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def give(self) -> None:
        if self._loop is asyncio._get_running_loop():
            self._event.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            await self._event.wait()


class ThreadTurn:
    """A turn of a thread, which blocks until it comes."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def give(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        if not self._event.wait(timeout_s):
            raise TimeoutError
