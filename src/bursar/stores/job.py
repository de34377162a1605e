"""One operation that waits for the ledger, and who hears what it came to.

Owns that telling: a loop hears in its own thread, whoever left something behind only when it failed. It must never let
one who hears of something keep it from the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from bursar.errors import BursarError, StoreUnavailable

__all__ = ["Failed", "Job", "outcome", "tell_all"]

log = logging.getLogger("bursar.ledger")

Failed = Callable[[Exception], None]


class Job:
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


def outcome(work: Callable[[], Any]) -> Any:
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


def tell_all(batch: Sequence[Job], results: Sequence[Any]) -> None:
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
