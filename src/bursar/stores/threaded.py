"""An asynchronous face for a blocking ledger: one writer thread, batches in one transaction each.

Owns the queue before a ledger, and its order: what was asked first happens first, whoever does it. An event loop never
waits on the file, a checkpoint or another process. An operation is queued before its caller first suspends, so a caller
that is cancelled has still been heard. A thread that may wait does its work itself, behind what is queued and in one
transaction with it (`now`); what nobody waits for is done behind its caller's back (`later`).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from threading import get_ident
from typing import Any, Protocol, TypeVar

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Extension, Granted, HoldRow, Note, Refused, Reservation
from bursar.errors import StoreUnavailable
from bursar.stores.job import Failed, Job, outcome, tell_all

__all__ = ["DirectStore", "ThreadedStore", "twice"]

T = TypeVar("T")

BATCH_MAX = 256
"""How many operations share one transaction at the most."""
DOZE_S = 0.01
"""How long what nobody waits for stays in the queue, up to twice that, for the next one who asks the ledger."""
QUIET_MAX = 20
"""After so many looks that found nothing, the thread waits until it is woken."""
AWAKE_S = 1.0
"""After so long the thread comes again where it could not do what it has to do before it sleeps."""
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

    def abandon(self) -> None:
        """Undo what this thread was kept from ending by an interrupt. Only from outside of all transactions."""
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


class ThreadedStore:
    """The asynchronous face of a blocking ledger. Use it from any number of event loops; `stop()` ends the thread."""

    def __init__(self, ledger: TransactionalLedger) -> None:
        self._ledger = ledger
        self._jobs: deque[Job] = deque()
        self._pressing = self._pressed = 0
        """How many jobs that do more than make room were put into the queue, and how many of these have left it."""
        self._signal: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_signalled = False
        self._has_waiting = False
        """Somebody waits for what is queued, so that the thread must not."""
        self._is_dozing = False
        """The thread looks at the queue by itself, again and again."""
        self._looks = 1
        """So often it may find the same there before it does that."""
        self._turn = threading.RLock()
        """Held by whoever takes jobs from the queue, until they are done: so nobody overtakes them."""
        self._worker = 0
        """The thread that is at the ledger now; it must not be there twice, as from a signal's handler."""
        self._is_stopping = False
        self._gate = threading.RLock()
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
        job = Job(work)
        future = job.awaited()
        self._put(job)
        self._has_waiting = True
        self._wake()
        return future

    def later(self, work: Callable[[], object], failed: Failed, *, is_freeing: bool = False) -> None:
        """Queue work for which nobody waits; `failed` hears, outside any transaction, why it could not be done.

        What is freeing only makes room, so that a few holds may go ahead of it. Raises StoreUnavailable when nothing
        can be queued.
        """
        self._put(Job(work, failed, is_freeing=is_freeing))
        if not self._is_dozing:
            self._wake()

    def now(self, work: Callable[[], T]) -> T:
        """Do a verb of the ledger in this thread, behind all that is queued and in one transaction with it."""
        if self._worker == get_ident():
            raise twice()
        try:
            return self._now(work)
        except BaseException:
            self._ledger.abandon()
            raise

    def _now(self, work: Callable[[], T]) -> T:
        here = get_ident()
        with self._turn:
            try:
                self._worker = here
                if not self._jobs:
                    return work()
                while len(self._jobs) > BATCH_MAX:
                    self._done(self._first())
                batch = self._first()
                for job in batch:
                    if job.loop is not None:
                        return self._with_care(batch, work)
                return self._behind(batch, work)
            finally:
                self._worker = 0

    def _behind(self, batch: list[Job], work: Callable[[], T]) -> T:
        """Do the first of the queue, for which nobody waits, and this: mostly the closes of calls, and the next hold.

        Whatever goes wrong undoes it all, and then each is done with care.
        """
        is_begun = False
        try:
            with self._ledger.batch():
                is_begun = True
                for job in batch:
                    job.work()
                result = work()
        except Exception as error:
            if is_begun:
                return self._with_care(batch, work)
            self._tell(batch, [error] * len(batch))
            raise
        self._pop(batch)
        return result

    def _with_care(self, batch: list[Job], work: Callable[[], T]) -> T:
        """Do the first of the queue and this, and let everybody have his own result or error."""
        result = self._done(batch, Job(work))
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return] # what `work` gave

    def catch_up(self) -> None:
        """Do in this thread what is queued."""
        here = get_ident()
        if self._worker == here:
            raise twice()
        try:
            with self._turn:
                try:
                    self._worker = here
                    while self._jobs:
                        self._done(self._first())
                finally:
                    self._worker = 0
        except BaseException:
            self._ledger.abandon()
            raise

    def stop(self) -> None:
        """Finish what is queued and end the thread. Harmless when done before."""
        with self._gate:
            self._is_stopping = True
        self._signal.put(None)
        self._thread.join()

    def _put(self, job: Job) -> None:
        with self._gate:
            if self._is_stopping:
                raise StoreUnavailable("the ledger is closed")
            if len(self._jobs) >= QUEUE_MAX:
                raise StoreUnavailable(f"{QUEUE_MAX:,} operations are waiting for the ledger")
            if not job.is_freeing:
                self._pressing += 1
            self._jobs.append(job)

    def _pop(self, batch: Sequence[Job]) -> None:
        """Take the first of the queue out of it; by whoever holds the turn."""
        for job in batch:
            self._jobs.popleft()
            if not job.is_freeing:
                self._pressed += 1

    def _wake(self) -> None:
        if not self._is_signalled:
            self._is_signalled = True
            self._signal.put(None)

    def _work(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                self._signal.get(timeout=None if self.sleep() else AWAKE_S)
            # Before the queue is looked at: whatever is put in from here on signals again.
            self._is_signalled = False
            self._is_dozing = True
            self._doze()
            self._is_dozing = False
            # What came after the last look, and found it dozing, has woken nobody.
            self.catch_up()
            if self._is_stopping and not self._jobs:
                self.sleep()
                return
            self.rest()

    def _doze(self) -> None:
        """Do at once what somebody waits for; the rest only when nobody has done it for a while.

        Whoever asks the ledger next does it in the same transaction. A thread that does it meanwhile takes the
        interpreter from the program, back and forth at each statement: that cost a call twice what the work does.
        """
        head: Job | None = None
        looks = 0
        # Where somebody waited, there may be nothing else to look for.
        quiet = QUIET_MAX if self._has_waiting else 0
        while True:
            if self._has_waiting or self._is_stopping:
                self._has_waiting = False
                self.catch_up()
            was, head = head, self._head()
            looks = looks + 1 if head is not None and head is was else 0
            if looks >= self._looks:
                self.catch_up()
            quiet = quiet + 1 if head is None else 0
            if quiet > QUIET_MAX or self._is_stopping:
                return
            self.rest()
            with contextlib.suppress(queue.Empty):
                self._signal.get(timeout=DOZE_S)
                self._is_signalled = False

    def _head(self) -> Job | None:
        try:
            return self._jobs[0]
        except IndexError:
            return None

    def rest(self) -> None:
        """Do, in the thread, what has time until nothing is queued."""

    def sleep(self) -> bool:
        """Do, in the thread, what has to be done before it waits for more; False where that cannot be done now."""
        return True

    def _first(self) -> list[Job]:
        """Give what is queued, up to one batch. It stays in the queue until it is done."""
        jobs = self._jobs
        return [jobs[number] for number in range(min(len(jobs), BATCH_MAX))]

    def _done(self, batch: list[Job], own: Job | None = None) -> Any:
        """Do the first of the queue and tell everybody; gives the result, or the error, of the caller's own job."""
        results = self._together(batch if own is None else [*batch, own])
        self._tell(batch, results)
        return None if own is None else results[-1]

    def _tell(self, batch: list[Job], results: Sequence[Any]) -> None:
        """Tell those who wait for the first of the queue, and take it out.

        An interrupt is no reason to forget what others asked for, or to let them wait: a verb done twice does no harm.
        """
        try:
            tell_all(batch, results)
        except BaseException:
            tell_all(batch, results)
            raise
        finally:
            self._pop(batch)

    def _together(self, batch: Sequence[Job]) -> Sequence[Any]:
        """Run a batch in one transaction; when it fails, run each operation by itself, so that one that cannot be
        written takes no other down with it. A ledger that does not even begin a transaction is not asked again."""
        results: list[Any] = []
        is_begun = False
        try:
            with self._ledger.batch() if len(batch) > 1 else self._ledger.transaction():
                is_begun = True
                results = [outcome(job.work) for job in batch]
        except Exception as error:  # noqa: BLE001 - the outermost frame of this thread: callers must hear of a bug
            if len(batch) == 1 or not is_begun:
                return [error] * len(batch)
            return self._one_by_one(batch)
        return results

    def _one_by_one(self, batch: Sequence[Job]) -> Sequence[Any]:
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


def twice() -> StoreUnavailable:
    """Say that a thread is at the ledger already: what it does there is half done."""
    return StoreUnavailable("the ledger cannot be asked by what has interrupted it: a signal's handler")
