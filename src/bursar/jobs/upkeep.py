"""Keep the ledger tidy while calls run: beat, presume what dead processes left open, retry kept closes.

Owns the loop and its outermost frame. It never decides about money: it only calls the store's verbs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.core.ledger import ProcessRow
from bursar.core.window import NS
from bursar.errors import StoreUnavailable
from bursar.processes import is_gone

__all__ = ["Upkeep"]

log = logging.getLogger("bursar.jobs")


class Beating(Protocol):
    """What upkeep needs of the store."""

    async def beat(self, process: str, at_ns: int) -> None: ...
    async def lapse(self, process: str, at_ns: int) -> int: ...
    async def processes(self) -> Sequence[ProcessRow]: ...


@dataclass(frozen=True, slots=True)
class Upkeep:
    """One process's upkeep: every `heartbeat_s`; other processes lapse after `lapse_s` without a beat, or at once when
    they ran on this machine and are gone."""

    store: Beating
    process: str
    clock: Callable[[], int]
    close_kept: Callable[[], Awaitable[int]]
    heartbeat_s: float
    lapse_s: float

    async def once(self) -> None:
        """Do one round."""
        now = self.clock()
        await self.store.beat(self.process, now)
        for row in await self.store.processes():
            is_late = row.beat_ns < now - int(self.lapse_s * NS)
            if row.id != self.process and (is_gone(row.id) or is_late):
                await self._lapse(row.id)
        await self.close_kept()

    async def _lapse(self, process: str) -> None:
        count = 0
        while lapsed := await self.store.lapse(process, self.clock()):
            count += lapsed
        if count:
            log.warning("process %s is gone: %d open holds are presumed", process, count)

    async def leave(self) -> None:
        """End this process's part in the ledger: what is still open is presumed."""
        await self._lapse(self.process)

    async def run(self, stopping: asyncio.Event) -> None:
        """Repeat until told to stop."""
        while not stopping.is_set():
            try:
                await self.once()
            except StoreUnavailable as error:
                log.error("upkeep: %s", error.message)
            except Exception:
                log.exception("upkeep failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.heartbeat_s):
                    await stopping.wait()
