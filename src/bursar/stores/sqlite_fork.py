"""A SQLite ledger and its file: gone or replaced while it is in use, and shut while the process is copied.

SQLite counts in memory what a process has locked, and a forked child would believe that it has it, too: it
would lock nothing. So no child may be born with the file open; it opens the file by itself. It never opens another.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3

from bursar.errors import StoreUnavailable
from bursar.stores.sqlite_balances import SqliteBalances

__all__ = ["SqliteFork"]

log = logging.getLogger("bursar.ledger")


class SqliteFork(SqliteBalances):
    """The part of a ledger that knows whether its file is still the one that it opened."""

    def check_file(self) -> None:
        """Stop writing when the path no longer leads to the file that is open: nobody would ever find the entries.

        Raises StoreUnavailable then, and from every later verb.
        """
        try:
            found = self.path.stat()
            self._is_lost = (found.st_dev, found.st_ino) != self._file
        except OSError:
            self._is_lost = True

    def checkpoint(self) -> None:
        """Write the log back into the file, by a connection of its own: nobody waits for that, and it for nobody."""
        self.look_away()
        try:
            # A file that is gone is not made anew.
            place = f"{self.path.absolute().as_uri()}?mode=rw"
            with contextlib.closing(sqlite3.connect(place, uri=True, timeout=0)) as other:
                other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            log.warning("the log of the ledger %s could not be written back: %s", self.path, error)

    def let_go(self) -> None:
        """Close the file until `take_up`, and let nobody near it meanwhile."""
        self._lock.acquire()
        self._forget_sums()
        self.pending.close()
        self.db.close()

    def take_up(self) -> None:
        """Open the file again, in the thread that let go of it. Raises StoreUnavailable."""
        try:
            self.check_file()
            if self._is_lost:
                raise StoreUnavailable(f"the ledger {self.path} was deleted or replaced while it was in use")
            self._connect()
        finally:
            self._lock.release()
