"""What a transaction has decided and not yet written: holds, entries, the sums of balances, and the counts of runs.

Owns these rows until they are written, all together, before anything reads their tables and before the commit. Many
calls share a transaction, and many of them the same balances: a row of each kind goes to SQLite in one statement for
all calls, not in eight for each, and a sum is written once however often it moved. Each statement lets go of the
interpreter's lock and has to win it back from the event loop; that was dearer than the writing itself.

It never decides anything. Sums are added to, where they have the room; a count is written over exactly what was read. A
row that is another by then is an inconsistent ledger, and nothing is written at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bursar.core.run import RunRow
from bursar.errors import StoreUnavailable
from bursar.stores.sqlite_moves import BOUNDLESS, EACH_MAX, BalanceHold, BalanceMove

__all__ = ["Pending"]

ROWS_MAX = 32
"""How many rows one statement writes at the most: each count is a statement of its own, prepared once."""
Row = Sequence[Any]


class Pending:
    """The rows of one transaction. `count` says how many there were ever, so that a change can be noticed."""

    __slots__ = (
        "_changed",
        "_dropped",
        "_ended",
        "_entries",
        "_holds",
        "_moves",
        "_of_one",
        "_opened",
        "_queries",
        "_responses",
        "_runs",
        "_texts",
        "count",
        "cursor",
        "is_empty",
        "moved",
    )

    def __init__(self, db: sqlite3.Connection, queries: Mapping[str, str]) -> None:
        self.cursor = db.cursor()
        """One for all that every call does: the connection makes a new one for every statement."""
        self._queries = queries
        self._texts: dict[tuple[str, int], str] = {}
        self._of_one: dict[str, str] = {}
        self.count = 0
        self.clear()

    def close(self) -> None:
        """Let go of the connection: as long as a statement of it is open, so are its files."""
        self.cursor.close()

    def clear(self) -> None:
        """Forget what was not written: the transaction failed."""
        self.is_empty = True
        self._opened: list[Row] = []
        self._ended: list[Row] = []
        self._changed: list[Row] = []
        self._dropped: list[Row] = []
        self._entries: list[Row] = []
        self._responses: list[Row] = []
        self._holds: set[str] = set()
        self._runs: dict[int, tuple[RunRow, RunRow]] = {}
        self._moves: dict[int, BalanceMove] = {}
        self.moved: list[BalanceMove] = []
        """Moves of balances, each once, that nothing else is added to."""

    def open_hold(self, row: Row) -> None:
        """Add a row of `hold`, its columns in the order of the query."""
        self.count += 1
        self.is_empty = False
        self._opened.append(row)
        self._holds.add(row[0])

    def insert_hold(self, row: Row, *, is_new: bool = False) -> None:
        """Write a row of a hold at once. Raises IntegrityError when its id has one already; `is_new`: it was just made,
        so that no call that has ended can have it."""
        if is_new:
            self.cursor.execute(self._queries["hold_insert_new"], row)
        elif not self.cursor.execute(self._queries["hold_insert_one"], row).rowcount:
            raise sqlite3.IntegrityError("a call with this id has ended")
        self.count += 1

    def insert_slice(self, row: Row) -> None:
        """Write the row of a slice at once: that of a hold, and for how many calls it is."""
        self.count += 1
        self.cursor.execute(self._queries["hold_insert_slice"], row)

    def drop_hold(self, hold_id: str) -> None:
        """Take away the row of an open hold that was no call's."""
        self.count += 1
        self.is_empty = False
        self._dropped.append((hold_id,))

    def close_hold(self, row: Row, entries: Sequence[Row], response_id: str, *, is_open: bool) -> None:
        """Say what became of a hold, with its entries and the name of its response ("" for none).

        `is_open`: until now it was; a hold is closed before anything else becomes of it.
        """
        self.count += 1
        self.is_empty = False
        (self._ended if is_open else self._changed).append(row)
        self._holds.add(row[0])
        self._entries += entries
        if response_id:
            self._responses.append((row[0], response_id))

    def has_hold(self, hold_id: str) -> bool:
        """Tell whether the row of a hold is not yet what it is to be."""
        return hold_id in self._holds

    @property
    def has_moves(self) -> bool:
        """Tell whether balances move for which more than one call may count."""
        return bool(self._moves)

    def move(self, moves: Sequence[BalanceMove]) -> None:
        """Add to balances, also to those that were added to already."""
        known = self._moves
        for move in moves:
            held, settled, presumed, number, most = move
            first = known.get(number)
            if first is not None:
                most = BOUNDLESS if BOUNDLESS in (most, first[4]) else min(most - first[0], first[4] - held)
                move = held + first[0], settled + first[1], presumed + first[2], number, most  # noqa: PLW2901
            known[number] = move

    def count_run(self, counts: int, was: RunRow, now: RunRow) -> None:
        """Let a run have other counts, which stand in this row; written over what they were when first changed."""
        self.count += 1
        self.is_empty = False
        first = self._runs.get(counts)
        self._runs[counts] = (was if first is None else first[0], now)

    def write(self, where: Path) -> None:
        """Write everything. Raises StoreUnavailable, naming the ledger, when a sum or count is not what it was."""
        self.is_empty = True
        self._holds.clear()
        if self._opened:
            opened, self._opened = self._opened, []
            if self.run_all("hold_insert", opened) != len(opened):
                raise StoreUnavailable(f"{where}: a call with this id has ended")
        if self.moved or self._moves:
            self._write_sums(where)
        if self._runs:
            for counts, (was, now) in self._runs.items():
                self.write_run(counts, was, now, where)
            self._runs = {}
        if self._ended or self._dropped:
            self._end_holds(where)
        if self._changed:
            self._run_one_by_one("hold_change", self._changed)
            self._changed = []
        if self._entries:
            self.run_all("entry_insert", self._entries)
            self._entries = []
        if self._responses:
            self.cursor.executemany(self._queries["response_insert"], self._responses)
            self._responses = []

    def _end_holds(self, where: Path) -> None:
        ended, gone = self._ended, [*[row[:1] for row in self._ended], *self._dropped]
        self._ended, self._dropped = [], []
        if ended:
            self._run_each("hold_end", "hold_end_all", ended)
        if self._run_each("hold_gone", "hold_gone_all", gone) != len(gone):
            raise StoreUnavailable(f"{where}: a call is no longer open, the ledger is inconsistent")

    def _write_sums(self, where: Path) -> None:
        rows = self.moved or list(self._moves.values())
        self._moves, self.moved = {}, []
        if len(rows) <= EACH_MAX:
            self.write_moves(rows, where)
        elif self.run_all("balance_move_all", rows) != len(rows):
            raise _no_room(where)

    def write_moves(self, rows: Sequence[BalanceMove], where: Path) -> None:
        """Write some moves of balances at once, whatever is pending. Raises StoreUnavailable where one has no room."""
        if self.cursor.executemany(self._queries["balance_move"], rows).rowcount != len(rows):
            raise _no_room(where)

    def write_holds(self, rows: Sequence[BalanceHold], where: Path) -> None:
        """Hold more in balances at once, whatever is pending. Raises StoreUnavailable where one has no room."""
        if self.cursor.executemany(self._queries["balance_hold"], rows).rowcount != len(rows):
            raise _no_room(where)

    def write_run(self, counts: int, was: RunRow, now: RunRow, where: Path) -> None:
        """Write the counts of a run at once. Raises StoreUnavailable where they are not what they were."""
        last_ns, steps, tool_calls, in_flight = now[5:9]
        last_was, *others = was[5:9]
        changed = self.cursor.execute(
            self._queries["run_count"],
            (counts, steps - in_flight, tool_calls, in_flight, others[0] - others[2], others[1], others[2]),
        ).rowcount
        if changed == 1 and last_ns != last_was:
            # The state is of the exact type: for any other SQLite's module looks for an adapter first.
            row = (*now[:2], last_ns, last_was, str(was.state))
            changed = self.cursor.execute(self._queries["run_last"], row).rowcount
        if changed != 1:
            raise StoreUnavailable(f"{where}: a run is not what was decided on, the ledger is inconsistent")

    def _run_each(self, one: str, all_: str, rows: Sequence[Row]) -> int:
        """Run a statement for each of a few rows, or one for many; gives how many rows of the table it changed."""
        return self._run_one_by_one(one, rows) if len(rows) <= EACH_MAX else self.run_all(all_, rows)

    def _run_one_by_one(self, query: str, rows: Sequence[Row]) -> int:
        if len(rows) == 1:
            return self.cursor.execute(self._queries[query], rows[0]).rowcount
        return self.cursor.executemany(self._queries[query], rows).rowcount

    def run_all(self, query: str, rows: Sequence[Row]) -> int:
        """Run a query over `:rows` at once, whatever is pending; gives how many rows of the table it changed."""
        if len(rows) == 1:
            row = rows[0]
            return self.cursor.execute(self._of_one.get(query) or self._text(query, 1, len(row)), row).rowcount
        changed = 0
        for start in range(0, len(rows), ROWS_MAX):
            some = rows[start : start + ROWS_MAX]
            values = [value for row in some for value in row]
            changed += self.cursor.execute(self._text(query, len(some), len(some[0])), values).rowcount
        return changed

    def _text(self, query: str, count: int, width: int) -> str:
        text = self._texts.get((query, count))
        if text is None:
            row = f"({', '.join('?' * width)})"
            text = self._texts[query, count] = self._queries[query].replace(":rows", ", ".join([row] * count))
            if count == 1:
                self._of_one[query] = text
        return text


def _no_room(where: Path) -> StoreUnavailable:
    return StoreUnavailable(f"{where}: no room for what was admitted, the ledger is inconsistent")
