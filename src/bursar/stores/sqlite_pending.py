"""What a transaction has decided and not yet written: new holds, closed holds, entries, and the sums of balances.

Owns these rows until they are written, all together, before anything reads their tables and before the commit. Many
calls share a transaction, and many of them the same balances: a row of each kind goes to SQLite in one statement for
all calls, not in eight for each, and a sum is written once however often it moved. Each statement lets go of the
interpreter's lock and has to win it back from the event loop; that was dearer than the writing itself.

It never decides anything. A sum is written over exactly the sum that was read: a balance that is another by then is an
inconsistent ledger, and nothing is written at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from bursar.core.admission import Balance
from bursar.errors import StoreUnavailable

__all__ = ["Pending"]

ROWS_MAX = 32
"""How many rows one statement writes at the most: each count is a statement of its own, prepared once."""
EACH_MAX = 8
"""Up to so many rows, a statement for each is cheaper than one that makes a table of them first (5 µs against 10)."""
Row = tuple[Any, ...]


class Pending:
    """The rows of one transaction. `count` says how many there were ever, so that a change can be noticed."""

    __slots__ = (
        "_balances",
        "_closed",
        "_db",
        "_entries",
        "_opened",
        "_queries",
        "_responses",
        "_texts",
        "count",
        "is_empty",
    )

    def __init__(self, db: sqlite3.Connection, queries: Mapping[str, str]) -> None:
        self._db = db
        self._queries = queries
        self._texts: dict[tuple[str, int], str] = {}
        self.count = 0
        self.clear()

    def clear(self) -> None:
        """Forget what was not written: the transaction failed."""
        self.is_empty = True
        self._opened: list[Row] = []
        self._closed: list[Row] = []
        self._entries: list[Row] = []
        self._responses: list[Row] = []
        self._balances: dict[int, tuple[Balance, Balance]] = {}

    def _note(self) -> None:
        self.count += 1
        self.is_empty = False

    def open_hold(self, row: Row) -> None:
        """Add a row of `hold`, its columns in the order of the query."""
        self._note()
        self._opened.append(row)

    def close_hold(self, row: Row, entries: Sequence[Row], response_id: str) -> None:
        """Say what became of a hold, with its entries and the name of its response ("" for none)."""
        self._note()
        self._closed.append(row)
        self._entries.extend(entries)
        if response_id:
            self._responses.append((row[0], response_id))

    def put_balances(self, ids: Sequence[int], was: Sequence[Balance], now: Sequence[Balance]) -> None:
        """Let balances have other sums; each is written over what it was when it was first changed."""
        self._note()
        balances = self._balances
        for number, before, after in zip(ids, was, now, strict=True):
            first = balances.get(number)
            balances[number] = (before if first is None else first[0], after)

    def write(self, where: str) -> None:
        """Write everything. Raises StoreUnavailable, naming the ledger, when a balance is not what it was."""
        self.is_empty = True
        if self._opened:
            self._run_all("hold_insert", self._opened)
            self._opened = []
        if self._balances:
            moved = [(number, *now, *was) for number, (was, now) in self._balances.items() if was != now]
            self._balances = {}
            if self._run_each("balance_put", "balance_put_all", moved) != len(moved):
                raise StoreUnavailable(f"{where}: a balance is not what was decided on, the ledger is inconsistent")
        if self._closed:
            self._run_each("hold_close", "hold_close_all", self._closed)
            self._closed = []
        if self._entries:
            self._run_all("entry_insert", self._entries)
            self._entries = []
        if self._responses:
            self._db.executemany(self._queries["response_insert"], self._responses)
            self._responses = []

    def _run_each(self, one: str, all_: str, rows: Sequence[Row]) -> int:
        """Run a statement for each of a few rows, or one for many; gives how many rows of the table it changed."""
        if len(rows) <= EACH_MAX:
            return self._db.executemany(self._queries[one], rows).rowcount
        return self._run_all(all_, rows)

    def _run_all(self, query: str, rows: Sequence[Row]) -> int:
        changed = 0
        for start in range(0, len(rows), ROWS_MAX):
            some = rows[start : start + ROWS_MAX]
            values = [value for row in some for value in row]
            changed += self._db.execute(self._text(query, len(some), len(some[0])), values).rowcount
        return changed

    def _text(self, query: str, count: int, width: int) -> str:
        text = self._texts.get((query, count))
        if text is None:
            row = f"({', '.join('?' * width)})"
            text = self._texts[query, count] = self._queries[query].replace(":rows", ", ".join([row] * count))
        return text
