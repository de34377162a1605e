"""A quick look at a SQLite ledger: a few sums for a status line.

Owns nothing but those reads. It is apart from `SqliteReads` because a status line is drawn every few seconds: this
loads none of the domain, opens the file in milliseconds and waits for nobody. It must never write or make a file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bursar.errors import StoreUnavailable
from bursar.stores.queries import load_queries

__all__ = ["Fullest", "Peek", "Sum"]

TIMEOUT_S = 0.2
TWO_TABLES = 6
"""From this version on open calls have a table of their own. What nobody has brought up to date is read as it is."""


class Sum(NamedTuple):
    """Some calls and what they come to, in nano-USD."""

    calls: int
    cost_nano: int


class Fullest(NamedTuple):
    """The fullest standing of a budget; amounts in `unit`, nano-USD for usd."""

    budget: str
    scope: str
    unit: str
    used: int
    held: int
    limit: int

    @property
    def percent(self) -> int:
        """Whole percent used, rounded down; of a limit of 0 everything is used."""
        return 100 if not self.limit else self.used * 100 // self.limit


class Peek:
    """The ledger at `path`, for one tenant. Raises StoreUnavailable where it cannot be opened or read."""

    def __init__(self, path: Path, tenant: str) -> None:
        self._path = path
        self._tenant = tenant
        self._queries = load_queries("peek.sql")
        try:
            # `rw` and not `ro`: who closes a ledger last tidies its log away, and must be able to.
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=TIMEOUT_S)
            self._db.execute("PRAGMA query_only = ON")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {path} cannot be opened: {error}") from error
        if version < TWO_TABLES:
            self._queries = {name: _of_one_table(text) for name, text in self._queries.items()}

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def zones(self) -> list[str]:
        """List the time zones of the budgets in force."""
        return [zone for (zone,) in self._rows("peek_zones")]

    def spent(self, since_ns: int, label: str = "", value: str = "") -> Sum:
        """Sum the calls since an instant, all or those with one label's value; what is presumed counts."""
        needle = json.dumps({label: value}, separators=(",", ":"), ensure_ascii=False)[1:-1] if label else ""
        return Sum(*self._rows("peek_spent", since_ns=since_ns, needle=needle)[0])

    def lately(self, since_ns: int) -> int:
        """Sum what the calls cost that have ended since an instant, in nano-USD."""
        return int(self._rows("peek_lately", since_ns=since_ns)[0][0])

    def in_flight(self) -> Sum:
        """Count the open calls, and sum what is held for them."""
        return Sum(*self._rows("peek_in_flight")[0])

    def fullest(self, at_ns: int, budget: str = "") -> Fullest | None:
        """Find the fullest budget, or the fullest scope of one; None while nobody has used any in its window."""
        rows = self._rows("peek_fullest", at_ns=at_ns, budget=budget)
        return Fullest(*rows[0]) if rows else None

    def _rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._reading():
            return self._db.execute(self._queries[query], {"tenant": self._tenant, **values}).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {self._path} cannot be read: {error}") from error


def _of_one_table(query: str) -> str:
    return query.replace("FROM open_hold WHERE", "FROM hold WHERE state = 0 AND").replace("ended_hold", "hold")
