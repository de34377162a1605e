"""Runs in a SQLite ledger: their rows, and which open holds they count as in flight.

Owns the tables `run` and `run_hold`. What a call does to a run happens inside the transaction of its hold; it never
decides anything, `core/run.py` does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from bursar.core.control import Change
from bursar.core.hold import State
from bursar.core.ledger import Note, Reservation
from bursar.core.run import RunChange, RunEntry, RunRow, RunState, admit_run, begun_by, changed, runs_above
from bursar.errors import NotFound
from bursar.stores.sqlite_control import SqliteControl

__all__ = ["SqliteRuns"]


FIELDS = tuple(field.name for field in fields(RunRow))
"""The columns of a run, in the order of its queries."""


class SqliteRuns(SqliteControl):
    """The part of a SqliteLedger that keeps runs. `pipeline/ports.py` has the contract."""

    _has_run_holds: bool | None = None
    """Whether some open hold is counted in a run; None while nobody has looked."""
    _runs_version = -1
    """The file's version when that was looked up: another process may have written since."""

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
        """Decide whether a call may enter its run; None where nothing is asked of one. A run that trips is written."""
        ask = asked.run
        if ask is None:
            return None
        row = self._run_row(asked.tenant, ask.run)
        above = runs_above(ask, row, lambda name: self._run_row(asked.tenant, name))
        entry = admit_run(ask, asked.tenant, asked.at_ns, row, above)
        if entry.is_tripped:
            self._put_run(entry.row)
        return entry

    def enter_run(self, asked: Reservation, entry: RunEntry | None) -> RunRow | None:
        """Count a call that is held now in its run."""
        if entry is None:
            return None
        row = entry.row
        if entry.is_new:
            self._put_run(row)
            if entry.parent is not None:
                self._put_run(entry.parent)
        else:
            counts = {"steps": row.steps, "tool_calls": row.tool_calls, "in_flight": row.in_flight}
            self.run_aside("run_step", tenant=row.tenant, run=row.run, **counts)
        self.run_aside("run_hold_insert", hold_id=asked.id, tenant=asked.tenant, run=entry.row.run)
        self._has_run_holds = True
        self._runs_version = self._version
        return entry.row

    def leave_run(self, hold_id: str, state: State, at_ns: int, note: Note | None) -> None:
        """Count a call that ended in its run no longer; nothing is done where no run counts it."""
        if self._has_run_holds is None or self._runs_version != self._version:
            self._has_run_holds = bool(self.run_aside("run_hold_any").fetchone()[0])
            self._runs_version = self._version
        if not self._has_run_holds:
            return
        found = self.run_aside("run_hold_take", hold_id=hold_id).fetchone()
        if found is None:
            return
        ended = {"tool_calls": note.tool_calls if note is not None else 0, "is_released": state is State.RELEASED}
        self.run_aside("run_left", tenant=found[0], run=found[1], at_ns=at_ns, **ended)

    def _run_row(self, tenant: str, run: str) -> RunRow | None:
        found = self.run_aside("run_find", tenant=tenant, run=run).fetchone()
        return None if found is None else _row(found)

    def _put_run(self, row: RunRow) -> None:
        values = {name: getattr(row, name) for name in FIELDS}
        extras = json.dumps(dict(row.extras), separators=(",", ":")) if row.extras else ""
        self.run_aside("run_put", **{**values, "state": str(row.state), "extras": extras})


def _row(found: tuple[Any, ...]) -> RunRow:
    values = dict(zip(FIELDS, found, strict=True))
    values["state"] = RunState(values["state"])
    values["extras"] = json.loads(values["extras"]) if values["extras"] else {}
    return RunRow(**values)
