"""The file under a SQLite ledger: connection, transactions, and named queries.

Owns `BEGIN IMMEDIATE`, the schema, and when what is remembered of rows has to be forgotten. It knows no verb.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import get_ident
from typing import Any

from bursar import failpoints
from bursar.errors import StoreUnavailable
from bursar.stores.queries import load_queries, load_script
from bursar.stores.sqlite_pending import Pending
from bursar.stores.sqlite_transaction import Transaction

__all__ = ["SqliteBook"]

APPLICATION_ID = 0x62757273
SCHEMA_VERSION = 6
"""`schema.sql` makes version 1; `schema_N.sql` makes version N of the one before, for new files and old ones alike."""
IDS_MAX = 100_000
"""How many rows of a kind are remembered; beyond it the memory starts anew."""
PAGE_BYTES = 2_048
"""A commit writes each page that it touched whole, and sums it up: half the usual size made a call a tenth cheaper."""
CHECKPOINT_PAGES = 8_000
"""After so many pages (16 MB) the log is written back into the file."""
VIEWLESS = 256
"""After another process has written, so many transactions leave no view behind: it would write again."""
RETRY_S = 0.01
"""How long to wait before looking again whether another process has finished preparing the file."""


class SqliteBook:
    """The file at `path`, made when it is missing.

    `is_power_safe` syncs every commit to the disk (survives a power cut); without it commits survive `kill -9`.
    Raises StoreUnavailable when the file cannot be opened, is no ledger, or stays locked for `timeout_s`.
    """

    def __init__(self, path: Path, *, is_power_safe: bool = False, timeout_s: float = 5.0) -> None:
        self.path = path
        self._lock = self.lock = threading.RLock()
        """Held by whoever is inside a transaction."""
        self._version = 0
        self._written = 0
        self.is_batch = False
        """The transaction that runs takes a new id for new."""
        self.inside = 0
        """The thread that is inside a transaction; 0 for none."""
        self._is_lost = False
        self._has_opened = False
        self._is_seized = False
        self._is_hasty = False
        """A statement does not wait for others now."""
        self._view: sqlite3.Cursor | None = None
        """A reading that has begun and not ended. While there is one, a transaction begins only if nobody else has
        written since: what is remembered is still so, and need not be asked for."""
        self._is_seen = False
        """The transaction that was seized has begun so."""
        self._viewless = 0
        """So many transactions leave no view behind: another process writes as well."""
        self.commits = 0
        """How many transactions this process has written."""
        self.q = {**load_queries("queries.sql"), **load_queries("control.sql"), **load_queries("run.sql")}
        self._lists: dict[tuple[str, int], str] = {}
        self._is_power_safe = is_power_safe
        self._timeout_s = timeout_s
        self._patient = f"PRAGMA busy_timeout = {int(timeout_s * 1000)}"
        self._connect()

    def _connect(self) -> None:
        """Open the file. Raises StoreUnavailable."""
        path, timeout_s = self.path, self._timeout_s
        ends = time.monotonic() + timeout_s
        _until(ends, lambda: _has_its_log(path), f"{path}-wal is gone: restore it, or the whole ledger from a backup")
        try:
            self.db = sqlite3.connect(
                path, timeout=timeout_s, isolation_level=None, check_same_thread=False, cached_statements=512
            )
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {path} cannot be opened: {error}") from error
        self.pending, self._is_hasty = Pending(self.db, self.q), False
        try:
            self._prepare(self._is_power_safe, ends)
            found = path.stat()
            self._file = (found.st_dev, found.st_ino)
        except BaseException:
            self.pending.close()
            self.db.close()
            raise

    def _prepare(self, is_power_safe: bool, ends: float) -> None:
        try:
            # Before anything is changed in a file that may be another program's; in one transaction, since the file may
            # just be in the making.
            self.db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # Of a file that has pages it changes nothing.
            self.db.execute("BEGIN")
            self._identify()
            self.db.execute("COMMIT")
            _until(ends, self._is_logged, f"{self.path} stays locked by another process")
            self.db.execute(f"PRAGMA synchronous = {'FULL' if is_power_safe else 'NORMAL'}")
            self.db.execute("PRAGMA foreign_keys = ON")
            self.db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            with self.transaction():
                is_new = self._identify()
                self._upgrade()
            if is_new:
                # The tables go into the file itself, so that a lost log can never pass for a ledger not yet begun.
                self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {self.path} cannot be opened: {error}") from error

    def _upgrade(self) -> None:
        """Bring the file to SCHEMA_VERSION, step by step in the one transaction around this: all of it, or none."""
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        for step in range(version + 1, SCHEMA_VERSION + 1):
            for statement in load_script("schema.sql" if step == 1 else f"schema_{step}.sql").split(";\n"):
                if statement.strip():
                    self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version = {step}")

    def _identify(self) -> bool:
        """Tell whether the file is still empty. Raises StoreUnavailable when it is something else than a ledger."""
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        (application,) = self.db.execute("PRAGMA application_id").fetchone()
        (tables,) = self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (version, application, tables) == (0, 0, 0):
            return True
        if application != APPLICATION_ID:
            raise StoreUnavailable(f"{self.path} is a database, but not a ledger of bursar: name another file")
        if version > SCHEMA_VERSION:
            raise StoreUnavailable(f"{self.path} was written by a newer bursar (ledger version {version})")
        return False

    def _is_logged(self) -> bool:
        """Switch to the write-ahead log. Where two do so at once SQLite refuses one without waiting: it asks again."""
        try:
            return bool(self.db.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED):
                raise
            return False

    def transaction(self) -> Transaction:
        """Run what is inside as one atomic write; inside another transaction it joins that one."""
        return Transaction(self)

    def batch(self) -> Transaction:
        """Run the verbs of many calls as one atomic write, taking each new id for new.

        An id that is not fails the whole (StoreUnavailable): whoever asked does them again one by one.
        """
        return Transaction(self, is_batch=True)

    def begin_transaction(self, *, is_batch: bool, is_ahead: bool = False) -> None:
        """Begin to write, and forget what rows said if others have written since. Raises StoreUnavailable when the file
        is gone, or locked for too long. `is_ahead`: by the view that was left open, if any."""
        self._has_opened, self.is_batch = False, is_batch
        if self._is_lost:
            raise StoreUnavailable(f"the ledger {self.path} was deleted or replaced while it was in use")
        try:
            cursor = self.pending.cursor
            if not self._is_seized:
                if self._is_hasty:
                    self.be_patient()
                self._is_seen = self._begin(cursor, is_ahead=is_ahead)
            self._is_seized = False
            self.inside = get_ident()
            if not self._is_seen:
                (version,) = cursor.execute("PRAGMA data_version").fetchone()
                if version != self._version:
                    # Another connection has written since rows were read.
                    self._forget_sums()
                    self._version = version
            if not is_ahead:
                self._begin_verbs()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise self._unwritable(error) from error
            raise

    def _begin(self, cursor: sqlite3.Cursor, *, is_ahead: bool) -> bool:
        """Begin to write; tells whether it is certain that nobody else has written since the last time."""
        if not is_ahead:
            # Most of what is written ahead is followed by seven more of that, and then by this: here the log may begin
            # anew, and SQLite itself writes it back where it has become long.
            self.end_view()
        if self._view is not None:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return True
            except sqlite3.OperationalError:
                # Somebody has written, or is writing: who has a view does not wait for that.
                self.end_view()
                self._viewless = VIEWLESS
        cursor.execute("BEGIN IMMEDIATE")
        return False

    def open_view(self) -> None:
        """Leave a view behind at the end of this transaction, for the next one that comes soon. While it is open the
        log cannot begin anew: whoever opens one sees to it that it is not left open."""
        if self._viewless:
            self._viewless -= 1
        elif self._view is None:
            view = self.db.cursor()
            # Of a table that has more than one row, so that it has not ended yet.
            view.execute("SELECT type FROM sqlite_schema")
            view.fetchone()
            self._view = view

    def end_view(self) -> None:
        """See what others have written from now on; harmless where there is no view."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def look_away(self) -> None:
        """End a view, in any thread."""
        with self._lock:
            self.end_view()

    def seize(self, *, is_ahead: bool = False) -> bool:
        """Begin this thread's next transaction at once; False, and nothing done, where it would have to wait.

        What was seized is kept until `let_loose`. `is_ahead`: see `begin_transaction`.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self.inside:
                cursor = self.pending.cursor
                if not self._is_hasty:
                    self._is_hasty = True
                    cursor.execute("PRAGMA busy_timeout = 0")
                self._is_seen = self._begin(cursor, is_ahead=is_ahead)
                self._is_seized = True
        except sqlite3.Error:
            pass
        if not self._is_seized:
            self._lock.release()
        return self._is_seized

    def be_patient(self) -> None:
        """Wait for others again, as whoever seizes does not. A change costs a statement, so it stays till then."""
        if self._is_hasty:
            self.pending.cursor.execute(self._patient)
            self._is_hasty = False

    def let_loose(self) -> None:
        """Let others have what was seized."""
        try:
            if self._is_seized:
                self._is_seized = False
                self._roll_back()
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """Undo what this thread has begun here and was kept from ending, if anything: an interrupt of the program may
        come between any two steps, also where a lock is taken and nobody knows it yet. Only from outside of it all."""
        if not self._lock.acquire(blocking=False):
            return  # Another thread's, so nothing of this one's is left.
        try:
            if self.inside or self._is_seized or self.db.in_transaction:
                self._is_seized = False
                self._roll_back()
        except sqlite3.Error:
            self._lock.release()  # The file is shut, maybe by this very thread.
            return
        except BaseException:
            self._let_go_of_all()
            raise
        self._let_go_of_all()

    def _let_go_of_all(self) -> None:
        with contextlib.suppress(RuntimeError):
            while True:
                self._lock.release()

    def end_transaction(self, error: BaseException | None) -> None:
        """Write what is pending and make it last, or undo all after an error. Raises StoreUnavailable."""
        is_committed = False
        try:
            if error is None:
                if not self.pending.is_empty:
                    self._write_rows()
                if failpoints.armed:
                    failpoints.failpoint("in_commit")
                self.pending.cursor.execute("COMMIT")
                is_committed = True
                self.commits += 1
                self._committed()
            elif isinstance(error, sqlite3.Error):
                raise self._unwritable(error) from error
        except sqlite3.Error as failed:
            raise self._unwritable(failed) from failed
        finally:
            self.inside = 0
            if not is_committed:
                self._roll_back()

    def end_slices(self) -> None:
        """Hold nothing but what calls hold."""

    def _begin_verbs(self) -> None:
        """Do what comes before all that is not ahead of others."""

    def _committed(self) -> None:
        """Hear that the transaction lasts."""

    def _roll_back(self) -> None:
        """Undo what was not committed, and remember nothing of it."""
        self.inside = 0
        # A full disk or a failing one has undone the transaction by itself.
        self.pending.clear()
        self._forget_sums()
        if self._has_opened:
            # Ids of rows that this transaction opened are gone with it.
            self.forget()
        try:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {self.path} cannot be used: {error}") from error

    def _unwritable(self, error: sqlite3.Error) -> StoreUnavailable:
        """Say that the file could not be written, and why."""
        return StoreUnavailable(f"the ledger {self.path} cannot be written: {error}")

    @property
    def writes(self) -> tuple[int, int]:
        """What changes whenever anything is written, or will be."""
        return self.db.total_changes - self._written, self.pending.count

    def _write_pending(self) -> None:
        """Write what is pending in the middle of it all. It was counted as written when it was asked for."""
        before = self.db.total_changes
        self._write_rows()
        self._written += self.db.total_changes - before

    def _write_rows(self) -> None:
        self.pending.write(self.path)

    def _forget_sums(self) -> None:
        """Forget what rows said: another may have written them since."""
        self.end_view()

    def forget(self) -> None:
        """Forget which row is which line."""

    def run(self, query: str, **values: Any) -> sqlite3.Cursor:
        """Run a named query with bound parameters, after everything that is pending."""
        if not self.pending.is_empty:
            self._write_pending()
        return self.db.execute(self.q[query], values)

    def run_aside(self, query: str, **values: Any) -> sqlite3.Cursor:
        """Run a named query that neither reads nor writes a row of which something is pending."""
        return self.db.execute(self.q[query], values)

    def run_list(self, query: str, ids: Sequence[int]) -> sqlite3.Cursor:
        """Run a named query whose only parameter is the list `(:ids)`."""
        sql = self._lists.get((query, len(ids)))
        if sql is None:
            sql = self._lists[query, len(ids)] = self.q[query].replace(":ids", ",".join("?" * len(ids)))
        return self.db.execute(sql, ids)

    def close_store(self) -> None:
        """Let go of the file."""
        with self._lock:
            self.end_view()
            self.pending.close()
            self.db.close()


def _has_its_log(path: Path) -> bool:
    """Tell whether a log that must be there is there: its index (-shm) goes first when a file is closed."""
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    return log.exists() or not index.exists()


def _until(ends: float, is_ready: Callable[[], bool], otherwise: str) -> None:
    """Ask again until it is so, or until the time is over. Raises StoreUnavailable."""
    while not is_ready():
        if time.monotonic() >= ends:
            raise StoreUnavailable(otherwise)
        time.sleep(RETRY_S)
