"""An asynchronous face for a blocking ledger: one writer thread, batches in one transaction each.

Owns the queue between event loop and ledger. The loop never waits on the file, a checkpoint or another process. An
operation is queued before its caller first suspends, so a caller that is cancelled has still been heard: what it asked
for happens, in the order in which it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, TypeVar

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Extension, Granted, HoldRow, Note, Refused, Reservation
from bursar.errors import BursarError, StoreUnavailable

__all__ = ["DirectStore", "ThreadedStore"]

T = TypeVar("T")

BATCH_MAX = 256
"""How many operations share one transaction at the most."""
QUEUE_MAX = 100_000
"""About how many operations may wait; beyond it the store counts as unavailable."""


class Ledger(Protocol):
    """The blocking verbs that a call needs."""

    def reserve(self, asked: Reservation) -> Granted | Refused: ...
    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension: ...
    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed: ...
    def beat(self, process: str, at_ns: int) -> None: ...
    def lapse(self, process: str, at_ns: int) -> int: ...
    def response(self, tenant: str, response_id: str) -> HoldRow | None: ...


class TransactionalLedger(Ledger, Protocol):
    """A ledger whose verbs can join one transaction.

    A verb that is refused after it has written raises StoreUnavailable out of it, so that no half of it is committed.
    """

    def transaction(self) -> AbstractContextManager[None]: ...

    def batch(self) -> AbstractContextManager[None]:
        """Be a transaction of many verbs that may fail as a whole where one of them alone would not."""
        ...


class DirectStore:
    """The asynchronous face of a ledger that never blocks (memory): every verb is done before it first suspends."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def reserve(self, asked: Reservation) -> Granted | Refused:
        return self._ledger.reserve(asked)

    async def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        return self._ledger.extend(asked, at_least, at_most, attempts)

    async def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        return self._ledger.close(hold_id, verb, at_ns, charge, note)

    async def beat(self, process: str, at_ns: int) -> None:
        self._ledger.beat(process, at_ns)

    async def lapse(self, process: str, at_ns: int) -> int:
        return self._ledger.lapse(process, at_ns)

    async def response(self, tenant: str, response_id: str) -> HoldRow | None:
        return self._ledger.response(tenant, response_id)

    async def run(self, read: Callable[[], T]) -> T:
        """Run any other work on the ledger."""
        return read()


class _Job:
    """One operation and the future that waits for it."""

    __slots__ = ("future", "loop", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


class ThreadedStore:
    """The asynchronous face of a blocking ledger. Use it from any number of event loops; `stop()` ends the thread."""

    def __init__(self, ledger: TransactionalLedger) -> None:
        self._ledger = ledger
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._is_stopping = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="bursar-ledger", daemon=True)
        self._thread.start()

    async def reserve(self, asked: Reservation) -> Granted | Refused:
        return await self.run(partial(self._ledger.reserve, asked))

    async def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        return await self.run(partial(self._ledger.extend, asked, at_least, at_most, attempts))

    async def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        return await self.run(partial(self._ledger.close, hold_id, verb, at_ns, charge, note))

    async def beat(self, process: str, at_ns: int) -> None:
        await self.run(partial(self._ledger.beat, process, at_ns))

    async def lapse(self, process: str, at_ns: int) -> int:
        return await self.run(partial(self._ledger.lapse, process, at_ns))

    async def response(self, tenant: str, response_id: str) -> HoldRow | None:
        return await self.run(partial(self._ledger.response, tenant, response_id))

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Queue work on the ledger; it happens even when nobody waits for it any more. Raises StoreUnavailable."""
        job = _Job(work)
        with self._gate:
            if self._is_stopping:
                raise StoreUnavailable("the ledger is closed")
            if self._jobs.qsize() >= QUEUE_MAX:
                raise StoreUnavailable(f"{QUEUE_MAX:,} operations are waiting for the ledger")
            self._jobs.put(job)
        return job.future

    def stop(self) -> None:
        """Finish what is queued and end the thread. Harmless when done before."""
        with self._gate:
            self._is_stopping = True
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            results = self._together(batch)
            for loop in {job.loop for job in batch}:
                mine = [(job.future, result) for job, result in zip(batch, results, strict=True) if job.loop is loop]
                # A loop that has been closed meanwhile has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_deliver, mine)

    def _next_batch(self) -> list[_Job]:
        """Take whatever is queued, waiting for the first; nothing when the store has stopped and all is done."""
        batch: list[_Job] = []
        while len(batch) < BATCH_MAX:
            try:
                job = self._jobs.get(block=not batch and not self._is_stopping)
            except queue.Empty:
                break
            if job is not None:
                batch.append(job)
        return batch

    def _together(self, batch: Sequence[_Job]) -> Sequence[Any]:
        """Run a batch in one transaction; when it fails, run each operation by itself, so that one that cannot be
        written takes no other down with it. A ledger that does not even begin a transaction is not asked again."""
        results: list[Any] = []
        is_begun = False
        try:
            with self._ledger.batch() if len(batch) > 1 else self._ledger.transaction():
                is_begun = True
                results = [_outcome(job.work) for job in batch]
        except Exception as error:  # noqa: BLE001 - the outermost frame of this thread: callers must hear of a bug
            if len(batch) == 1 or not is_begun:
                return [error] * len(batch)
            return self._one_by_one(batch)
        return results

    def _one_by_one(self, batch: Sequence[_Job]) -> Sequence[Any]:
        results: list[Any] = []
        for job in batch:
            is_begun = False
            try:
                with self._ledger.transaction():
                    is_begun = True
                    result = job.work()
            except Exception as error:  # noqa: BLE001 - as above
                if not is_begun:
                    return [*results, *([error] * (len(batch) - len(results)))]
                result = error
            results.append(result)
        return results


def _outcome(work: Callable[[], Any]) -> Any:
    """Run one operation inside a batch: its own refusal is a result, a failing file or a bug ends the batch."""
    try:
        return work()
    except StoreUnavailable:
        raise
    except BursarError as error:
        return error


def _deliver(results: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in results:
        if future.cancelled():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
