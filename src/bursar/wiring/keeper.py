"""The library's one thread: an event loop of its own, in which the gateway's jobs run as they are.

Owns that thread: the heartbeat of this process's part of the ledger, what is set meanwhile, the ends of answers that
nobody reads any more, and what could not be done at once. It must never let one job's failure end another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from bursar.errors import BursarError, StoreUnavailable
from bursar.jobs.upkeep import Upkeep
from bursar.wiring.control import LiveControl

__all__ = ["Keeper"]

log = logging.getLogger("bursar.library")

LEAVE_S = 5.0
"""How long the end of a program waits until what is open is settled."""
TEND_S = 0.1
"""How long a job that is not done yet waits for its next turn."""


class Keeper:
    """The one thread of the library: an event loop of its own, in which the gateway's jobs run as they are."""

    def __init__(self, upkeep: Upkeep, control: LiveControl) -> None:
        self._upkeep = upkeep
        self._control = control
        self._orphans: deque[Coroutine[Any, Any, None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._wake: asyncio.Event | None = None
        self._is_ready = threading.Event()
        self._is_over = False
        self._tended: dict[Callable[[], Coroutine[Any, Any, bool]], asyncio.Task[None]] = {}
        """What is tried again until it is done, and a last time at the end."""
        self._thread = threading.Thread(target=self._work, name="bursar-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._is_ready.wait()

    def adopt(self, ending: Coroutine[Any, Any, None]) -> None:
        # A deque's append and a write to the loop's pipe are all that a finalizer may do: it can run inside anything.
        self._orphans.append(ending)
        if self._is_over:
            self._forget()
        else:
            self._call(self._wake)

    def stop(self) -> None:
        self._call(self._stopping)
        self._thread.join(LEAVE_S)

    def tend(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended.
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._begin, job)

    def _begin(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        self._tended[job] = asyncio.create_task(self._repeat(job))

    async def _repeat(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        stopping = self._stopping
        assert stopping is not None, "it began in the loop"
        while not stopping.is_set():
            if await self._is_done(job):
                self._tended.pop(job, None)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TEND_S):
                    await stopping.wait()

    async def _is_done(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        try:
            return await job()
        except Exception:
            # The outermost frame of this job.
            log.exception("what was to be done later failed")
            return True

    def _call(self, event: asyncio.Event | None) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended.
            if self._loop is not None and event is not None:
                self._loop.call_soon_threadsafe(event.set)

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._keep())
        self._is_over = True
        self._forget()

    def _forget(self) -> None:
        """Leave what nobody is here to end: it is presumed already."""
        with contextlib.suppress(IndexError):
            while True:
                self._orphans.popleft().close()

    async def _keep(self) -> None:
        self._stopping, self._wake = asyncio.Event(), asyncio.Event()
        self._is_ready.set()
        jobs = [
            asyncio.create_task(self._upkeep.run(self._stopping)),
            asyncio.create_task(self._control.run(self._stopping)),
            asyncio.create_task(self._bury(self._stopping, self._wake)),
        ]
        await asyncio.gather(*jobs)
        await self._end_orphans()
        for job in list(self._tended):
            await self._tended[job]
            await self._is_done(job)
        with contextlib.suppress(StoreUnavailable):
            await self._upkeep.close_kept()
            await self._upkeep.leave()

    async def _bury(self, stopping: asyncio.Event, wake: asyncio.Event) -> None:
        """End what nobody reads any more, as soon as that is known."""
        stopped = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            waking = asyncio.create_task(wake.wait())
            await asyncio.wait({stopped, waking}, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            wake.clear()
            await self._end_orphans()

    async def _end_orphans(self) -> None:
        while self._orphans:
            try:
                await self._orphans.popleft()
            except BursarError as error:
                log.error("the end of an answer could not be recorded: %s", error.message)
            except Exception:
                # The outermost frame of this job.
                log.exception("the end of an answer failed")
