"""An asynchronous face for a blocking ledger: one writer thread, batches in one transaction each.

Owns the queue before a ledger, and its order: what was asked first happens first, whoever does it. An event loop never
waits on the file, a checkpoint or another process. An operation is queued before its caller first suspends, so a caller
that is cancelled has still been heard. A thread that may wait does its work itself, behind what is queued and in one
transaction with it (`now`); what nobody waits for is done behind its caller's back (`later`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, TypeVar

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Extension, Granted, HoldRow, Note, Refused, Reservation
from bursar.errors import BursarError, StoreUnavailable

__all__ = ["DirectStore", "ThreadedStore"]

log = logging.getLogger("bursar.ledger")

T = TypeVar("T")
Failed = Callable[[Exception], None]

BATCH_MAX = 256
"""How many operations share one transaction at the most."""
AHEAD_MAX = 3
"""Behind so few closes that nobody waits for, a hold need not queue: every fourth one writes them all."""
DOZE_S = 0.005
"""How long what nobody waits for stays in the queue, up to twice that, for the next one who asks the ledger."""
QUIET_MAX = 20
"""After so many looks that found nothing, the thread waits until it is woken."""
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
    """One operation, with what waits for it: a future of a loop, or what is to hear of its failure."""

    __slots__ = ("failed", "future", "is_freeing", "loop", "work")

    def __init__(self, work: Callable[[], Any], failed: Failed | None = None, *, is_freeing: bool = False) -> None:
        self.work = work
        self.failed = failed
        self.is_freeing = is_freeing
        """It only makes room: who decides without it sees less than there is."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[Any] | None = None

    def awaited(self) -> asyncio.Future[Any]:
        """Let the loop that runs here wait for it."""
        self.loop = asyncio.get_running_loop()
        self.future = self.loop.create_future()
        return self.future


class ThreadedStore:
    """The asynchronous face of a blocking ledger. Use it from any number of event loops; `stop()` ends the thread."""

    def __init__(self, ledger: TransactionalLedger) -> None:
        self._ledger = ledger
        self._jobs: deque[_Job] = deque()
        self._signal: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_signalled = False
        self._has_waiting = False
        """Somebody waits for what is queued, so that the thread must not."""
        self._is_dozing = False
        """The thread looks at the queue by itself, again and again."""
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
        job = _Job(work)
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
        self._put(_Job(work, failed, is_freeing=is_freeing))
        if not self._is_dozing:
            self._wake()

    def now(self, work: Callable[[], T], ahead: Callable[[], T | None] | None = None) -> T:
        """Do a verb of the ledger in this thread, behind all that is queued and in one transaction with it.

        `ahead` does the same without what is queued, as far as that only makes room; None where it would do it
        otherwise, and then it has written nothing.
        """
        self._refuse_twice()
        with self._turn:
            try:
                self._worker = threading.get_ident()
                if ahead is not None and self._is_freeing():
                    done = ahead()
                    if done is not None:
                        return done
                while len(self._jobs) > BATCH_MAX:
                    self._done(self._first())
                if not self._jobs:
                    return work()
                result = self._done(self._first(), _Job(work))
            finally:
                self._worker = 0
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return] # what `work` gave

    def catch_up(self) -> None:
        """Do in this thread what is queued."""
        self._refuse_twice()
        with self._turn:
            try:
                self._worker = threading.get_ident()
                while self._jobs:
                    self._done(self._first())
            finally:
                self._worker = 0

    def _refuse_twice(self) -> None:
        """Raise StoreUnavailable where this thread is at the ledger already: what it does there is half done."""
        if self._worker == threading.get_ident():
            raise StoreUnavailable("the ledger cannot be asked by what has interrupted it: a signal's handler")

    def stop(self) -> None:
        """Finish what is queued and end the thread. Harmless when done before."""
        with self._gate:
            self._is_stopping = True
        self._signal.put(None)
        self._thread.join()

    def _put(self, job: _Job) -> None:
        with self._gate:
            if self._is_stopping:
                raise StoreUnavailable("the ledger is closed")
            if len(self._jobs) >= QUEUE_MAX:
                raise StoreUnavailable(f"{QUEUE_MAX:,} operations are waiting for the ledger")
            self._jobs.append(job)

    def _wake(self) -> None:
        if not self._is_signalled:
            self._is_signalled = True
            self._signal.put(None)

    def _work(self) -> None:
        while True:
            self._signal.get()
            # Before the queue is looked at: whatever is put in from here on signals again.
            self._is_signalled = False
            self._is_dozing = True
            self._doze()
            self._is_dozing = False
            # What came after the last look, and found it dozing, has woken nobody.
            self.catch_up()
            if self._is_stopping and not self._jobs:
                return
            self.rest()

    def _doze(self) -> None:
        """Do at once what somebody waits for; the rest only when nobody has done it for a while.

        Whoever asks the ledger next does it in the same transaction. A thread that does it meanwhile takes the
        interpreter from the program, back and forth at each statement: that cost a call twice what the work does.
        """
        head: _Job | None = None
        # Where somebody waited, there may be nothing else to look for.
        quiet = QUIET_MAX if self._has_waiting else 0
        while True:
            if self._has_waiting or self._is_stopping:
                self._has_waiting = False
                self.catch_up()
            was, head = head, self._head()
            if head is not None and head is was:
                self.catch_up()
            quiet = quiet + 1 if head is None else 0
            if quiet > QUIET_MAX or self._is_stopping:
                return
            self.rest()
            with contextlib.suppress(queue.Empty):
                self._signal.get(timeout=DOZE_S)
                self._is_signalled = False

    def _head(self) -> _Job | None:
        try:
            return self._jobs[0]
        except IndexError:
            return None

    def rest(self) -> None:
        """Do, in the thread, what has time until nothing is queued."""

    def _is_freeing(self) -> bool:
        """Tell whether a little is queued, and only what makes room."""
        jobs = self._jobs
        count = len(jobs)
        if not 0 < count <= AHEAD_MAX:
            return False
        # By number: others append meanwhile.
        for number in range(count):  # noqa: SIM110 - once in every call
            if not jobs[number].is_freeing:
                return False
        return True

    def _first(self) -> list[_Job]:
        """Give what is queued, up to one batch. It stays in the queue until it is done."""
        jobs = self._jobs
        return [jobs[number] for number in range(min(len(jobs), BATCH_MAX))]

    def _done(self, batch: list[_Job], own: _Job | None = None) -> Any:
        """Do the first of the queue and tell everybody; gives the result, or the error, of the caller's own job.

        An interrupt is no reason to forget what others asked for, or to let them wait: a verb done twice does no harm.
        """
        results = self._together(batch if own is None else [*batch, own])
        try:
            _tell_all(batch, results)
        except BaseException:
            _tell_all(batch, results)
            raise
        finally:
            for _ in batch:
                self._jobs.popleft()
        return None if own is None else results[-1]

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


def _deliver(results: Sequence[tuple[asyncio.Future[Any] | None, Any]]) -> None:
    for future, result in results:
        if future is None or future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _tell_all(batch: Sequence[_Job], results: Sequence[Any]) -> None:
    """Tell those who wait for jobs what these came to."""
    awaited: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any] | None, Any]]] = {}
    for job, result in zip(batch, results, strict=False):
        if job.loop is not None:
            awaited.setdefault(job.loop, []).append((job.future, result))
        elif job.failed is not None and isinstance(result, Exception):
            _tell(job.failed, result)
    for loop, mine in awaited.items():
        # A loop that has been closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_deliver, mine)


def _tell(failed: Failed, error: Exception) -> None:
    try:
        failed(error)
    except Exception:
        # The outermost frame of what nobody waits for.
        log.exception("what was to be written later failed")
