"""Closes that the ledger could not take when they were asked for, and what becomes of them once the engine has stopped.

Owns that step. While the engine runs its jobs try again. A call that is on its way when the engine stops comes to its
end afterwards: what it came to is written then, at once, into the ledger that is opened for it once more. A presumption
that was made of it meanwhile gives way to the truth.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from dataclasses import replace

from bursar.config.settings import Settings, StoreKind
from bursar.errors import BursarError, HoldConflict, StoreUnavailable
from bursar.pipeline.account import Accounts
from bursar.pipeline.unclosed import Unclosed
from bursar.stores.threaded import DirectStore
from bursar.wiring.driving import drive
from bursar.wiring.ledger import open_ledger

__all__ = ["UNCLOSED_MAX", "Unwritten"]

log = logging.getLogger("bursar.library")

UNCLOSED_MAX = 100_000


class _Turn:
    """One at a time; and no process is copied while the file is open here."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        os.register_at_fork(before=self._forking, after_in_parent=self._go_on, after_in_child=self._forked)

    def _forking(self) -> None:
        self.lock.acquire()

    def _go_on(self) -> None:
        self.lock.release()

    def _forked(self) -> None:
        self.lock = threading.RLock()


_turn = _Turn()


class Unwritten(deque[Unclosed]):
    """What could not be closed: kept for the next try, and tried at once when the engine has stopped."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(maxlen=UNCLOSED_MAX)
        store = settings.store
        # The program may work in another directory by then.
        self._settings = replace(settings, store=replace(store, path=store.path.absolute()))
        self._file = _file_of(self._settings)
        self._accounts: Accounts | None = None

    def append(self, unclosed: Unclosed) -> None:
        super().append(unclosed)
        if self._accounts is not None:
            self._write(self._accounts)

    def end(self, accounts: Accounts) -> None:
        """Hear that the engine has stopped; `accounts` are the ordinary ones, whose store is used no more."""
        self._accounts = accounts
        if self:
            self._write(accounts)

    def _write(self, accounts: Accounts) -> None:
        failed: deque[Unclosed] = deque()
        with _turn.lock:
            if not self:
                return
            try:
                if self._file is None or _file_of(self._settings) != self._file:
                    raise StoreUnavailable("it is gone")
                ledger = open_ledger(self._settings)
                try:
                    late = replace(accounts, store=DirectStore(ledger), unclosed=failed)
                    while self:
                        _close(late, self[0])
                        self.popleft()
                finally:
                    ledger.close_store()
            except StoreUnavailable as error:
                log.error("the ledger could not be opened again for what calls came to: %s", error.message)
                failed.extend(self)
                self.clear()
        for lost in failed:
            cost = lost.charge.amounts.cost_nano if lost.charge else 0
            log.error("call %s could not be recorded: %s, %d nano-USD", lost.asked.id, lost.verb, cost)
            super().append(lost)  # It may be taken with the next one.


def _close(accounts: Accounts, unclosed: Unclosed) -> None:
    try:
        drive(Accounts.close(accounts, unclosed))
    except BursarError as error:
        # What the ledger has heard otherwise meanwhile stands: the first word counts.
        if not isinstance(error, HoldConflict):
            log.error("call %s could not be closed: %s", unclosed.asked.id, error.message)


def _file_of(settings: Settings) -> tuple[int, int] | None:
    """Tell which file it is; None where there is none."""
    if settings.store.kind is not StoreKind.SQLITE:
        return None
    try:
        found = settings.store.path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
