"""Reads of a ledger beside the gateway that writes it: a few threads, each with a connection of its own.

Owns the threads and their limit. A long report keeps neither the event loop nor the writer waiting, and nothing here
can write. A ledger in memory has no second connection: its own lock keeps reads apart from writes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from bursar.config.settings import Settings, StoreKind
from bursar.errors import StoreUnavailable
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.wiring.ledger import open_ledger

__all__ = ["Readable", "Readers"]

T = TypeVar("T")
Readable: TypeAlias = SqliteLedger | MemoryLedger

READERS_MAX = 4
READS_MAX = 64
"""How many reads may wait or run at once; one more is refused, so that reports cannot take all memory."""


class Readers:
    """Runs reads off the event loop. `ledger` is the gateway's own, which only a ledger in memory lends."""

    def __init__(self, settings: Settings, ledger: Callable[[], Readable]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._threads = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="bursar-read")
        self._local = threading.local()
        self._opened: list[SqliteLedger] = []
        self._common: Readable | None = None
        self._gate = threading.Lock()
        self._running = 0

    async def run(self, read: Callable[[Readable], T]) -> T:
        """Run one read. Raises StoreUnavailable when too many wait, or the ledger cannot be opened."""
        if self._running >= READS_MAX:
            raise StoreUnavailable(f"{READS_MAX} reports are being made already: try again shortly")
        self._running += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, self._read, read)
        except BaseException:
            self._running -= 1
            raise
        # Counted until its thread is done, also when nobody waits for it any more.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._running -= 1
        if not future.cancelled():
            future.exception()

    def _read(self, read: Callable[[Readable], T]) -> T:
        return read(self._own())

    def _own(self) -> Readable:
        """Give this thread's connection, opened with its first read."""
        found: Readable | None = getattr(self._local, "ledger", None)
        if found is None:
            found = self._local.ledger = self._open()
        return found

    def shared(self) -> Readable:
        """Give the one connection that all threads may share, one read at a time: for what is looked at again and
        again. Raises StoreUnavailable."""
        with self._gate:
            if self._common is None:
                self._common = self._open()
            return self._common

    def _open(self) -> Readable:
        """Open one more connection that cannot write."""
        if self._settings.store.kind is StoreKind.MEMORY:
            return self._ledger()
        ledger = open_ledger(self._settings)
        assert isinstance(ledger, SqliteLedger)
        ledger.db.execute("PRAGMA query_only = ON")
        self._opened.append(ledger)
        return ledger

    def close(self) -> None:
        """Wait for the reads that run, and let go of the file."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for ledger in self._opened:
            ledger.close_store()
        self._opened.clear()
