"""Runs in a SQLite ledger: their rows, which count open holds as in flight.

Owns the table `run`, and the memory of its rows while nobody else writes to the file. What a call does to a run happens
inside the transaction of its hold; it never decides anything, `core/run.py` does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bursar.core.control import Change
from bursar.core.hold import State
from bursar.core.ledger import Note, Reservation
from bursar.core.run import RunChange, RunEntry, RunRow, RunState, admit_run, begun_by, changed, left, runs_above
from bursar.errors import NotFound
from bursar.stores.sqlite_control import SqliteControl
from bursar.stores.sqlite_moves import BalanceHold

__all__ = ["SqliteRuns"]


_RELEASED: Final = State.RELEASED
_COUNTED = ("steps", "tool_calls", "in_flight")
_COUNTS: Final = len(RunRow._fields)
"""Behind the columns of a run stands where its counts are."""
RUNS_MAX = 10_000
"""How many runs' rows are remembered; beyond it the memory starts anew."""


class SqliteRuns(SqliteControl):
    """The part of a SqliteLedger that keeps runs. `pipeline/ports.py` has the contract."""

    def __init__(self, path: Path, *, is_power_safe: bool = False, timeout_s: float = 5.0) -> None:
        self._runs: dict[tuple[str, str], RunRow] = {}
        self._counts: dict[tuple[str, str], int] = {}
        """Where the counts of these stand: a row of `balance`."""
        super().__init__(path, is_power_safe=is_power_safe, timeout_s=timeout_s)

    def _forget_sums(self) -> None:
        super()._forget_sums()
        self._runs.clear()
        self._counts.clear()

    def run_row(self, tenant: str, run: str) -> RunRow | None:
        """Read one run; None when no guard has seen it."""
        found = self._read("run_find", tenant=tenant, run=run)
        return _row(found[0]) if found else None

    def latest_run(self, tenant: str, prefix: str) -> RunRow | None:
        """Read the run that was inferred last from the beginning of a conversation."""
        found = self._read("run_latest", tenant=tenant, prefix=prefix)
        return _row(found[0]) if found else None

    def run_rows(self, tenant: str, states: Sequence[RunState], since_ns: int, most: int) -> Sequence[RunRow]:
        """List runs in these states that did something since an instant, the latest first."""
        names = json.dumps([str(state) for state in states])
        return [_row(row) for row in self._read("run_list", tenant=tenant, states=names, since_ns=since_ns, most=most)]

    def change_run(self, tenant: str, run: str, change: RunChange, audit: Change | None = None) -> RunRow:
        """Do one explicit act, and record who did it. Raises NotFound for a run that no guard has seen, HoldConflict by
        the table."""
        with self.transaction():
            row = self._run_row(tenant, run) or begun_by(tenant, run, change)
            if row is None:
                raise NotFound(f"no run {run}")
            after = changed(row, change)
            if after != row:
                self._put_run(after)
            if audit is not None:
                self.change([audit])
            return after

    def look_up_run(self, asked: Reservation) -> RunEntry | None:
        """Decide whether a call may enter its run; None where nothing is asked of one. Nothing is written yet."""
        ask = asked.run
        if ask is None:
            return None
        tenant = asked.tenant
        row = self._runs.get((tenant, ask.run)) or self._run_row(tenant, ask.run)
        if (ask.parent if row is None else row[9]) == "":
            return admit_run(ask, tenant, asked.at_ns, row, ())
        above = runs_above(ask, row, lambda name: self._run_row(tenant, name))
        return admit_run(ask, tenant, asked.at_ns, row, above)

    def trip_run(self, entry: RunEntry) -> None:
        """Write down that a run is parked or stopped by the call that it was refused."""
        if entry.is_tripped:
            self._put_run(entry.row)

    def enter_run(self, entry: RunEntry) -> RunRow:
        """Count a call that is held now in its run."""
        row = entry.row
        if entry.is_new:
            self._put_run(row)
            if entry.parent is not None:
                self._put_run(entry.parent)
        else:
            self._count_run(row)
        return row

    def leave_run(self, tenant: str, run: str, state: State, at_ns: int, note: Note | None) -> None:
        """Count a call that ended in its run no longer."""
        row = self._runs.get((tenant, run)) or self._run_row(tenant, run)
        if row is not None:
            self._count_run(left(row, at_ns, 0 if note is None else note.tool_calls, is_released=state is _RELEASED))

    def _run_row(self, tenant: str, run: str) -> RunRow | None:
        """Read a run. Only within a transaction: what was read in an earlier one is remembered as long as nobody else
        writes, and what is pending is remembered until it is written."""
        row = self._runs.get((tenant, run))
        if row is None:
            if len(self._runs) >= RUNS_MAX and self.pending.is_empty:
                self._runs.clear()
                self._counts.clear()
            found = self.run_aside("run_find", tenant=tenant, run=run).fetchone()
            if found is not None:
                row = self._runs[tenant, run] = _row(found)
                self._counts[tenant, run] = found[_COUNTS]
        return row

    def _count_run(self, row: RunRow) -> None:
        """Let a run that was read in this transaction have other counts."""
        key = row[:2]
        self.pending.count_run(self._counts[key], self._runs[key], row)
        self._runs[key] = row

    def enter_now(self, row: RunRow) -> BalanceHold | None:
        """Count one call more in flight in a transaction of its own: gives how that is written, None when it has been.

        Raises StoreUnavailable where the run is not what it was.
        """
        key = row[:2]
        was, counts = self._runs[key], self._counts[key]
        self._runs[key] = row
        _, steps, tool_calls, in_flight = was[5:9]
        if row[6:9] == (steps + 1, tool_calls, in_flight + 1):
            return 1, counts, steps + tool_calls
        # Its conversation shows more than was counted.
        self.pending.write_run(counts, was, row, self.path)
        return None

    def _put_run(self, row: RunRow) -> None:
        named = {"tenant": row.tenant, "run": row.run}
        found = self.run("run_counts", **named).fetchone()
        if found is None:
            self.run("run_budget", tenant=row.tenant)
            counts = self.run("run_counts_new", **named).lastrowid
        else:
            counts = found[0]
        extras = json.dumps(dict(row.extras), separators=(",", ":")) if row.extras else ""
        kept = {name: value for name, value in row._asdict().items() if name not in _COUNTED}
        self.run("run_put", **{**kept, "state": str(row.state), "extras": extras, "counts": counts})
        sums = {"settled": row.steps - row.in_flight, "presumed": row.tool_calls, "held": row.in_flight}
        self.run("run_counts_put", id=counts, **sums)
        # What is there now is read the next time: of a row that was there already some columns stay as they were.
        self._runs.pop((row.tenant, row.run), None)


def _row(found: tuple[Any, ...]) -> RunRow:
    """Read a row of the queries, whose columns stand in a RunRow's order."""
    row = RunRow._make(found[:_COUNTS])
    return row._replace(state=RunState(row.state), extras=json.loads(row.extras) if row.extras else {})  # type: ignore[arg-type] # as it is written
