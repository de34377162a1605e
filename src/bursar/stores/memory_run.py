"""Runs in a ledger in memory: their rows, and which open holds they count as in flight.

Owns both, under the ledger's lock. It never decides anything, `core/run.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from bursar.core.control import Change
from bursar.core.hold import State
from bursar.core.ledger import Note, Reservation
from bursar.core.run import RunChange, RunEntry, RunRow, RunState, admit_run, begun_by, changed, left, runs_above
from bursar.errors import NotFound
from bursar.stores.memory_control import MemoryControl

__all__ = ["MemoryRuns"]


class MemoryRuns(MemoryControl):
    """The part of a MemoryLedger that keeps runs. `pipeline/ports.py` has the contract."""

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[tuple[str, str], RunRow] = {}
        self._latest: dict[tuple[str, str], str] = {}
        self._run_holds: dict[str, tuple[str, str]] = {}

    def run_row(self, tenant: str, run: str) -> RunRow | None:
        with self._lock:
            return self._runs.get((tenant, run))

    def latest_run(self, tenant: str, prefix: str) -> RunRow | None:
        with self._lock:
            name = self._latest.get((tenant, prefix))
            return None if name is None else self._runs.get((tenant, name))

    def run_rows(self, tenant: str, states: Sequence[RunState], since_ns: int, most: int) -> Sequence[RunRow]:
        with self._lock:
            found = [
                row
                for row in self._runs.values()
                if row.tenant == tenant and row.state in states and row.last_ns >= since_ns
            ]
        return sorted(found, key=lambda row: (-row.last_ns, row.run))[:most]

    def change_run(self, tenant: str, run: str, change: RunChange, audit: Change | None = None) -> RunRow:
        with self._lock:
            row = self._runs.get((tenant, run)) or begun_by(tenant, run, change)
            if row is None:
                raise NotFound(f"no run {run}")
            after = changed(row, change)
            self._put_run(after)
            if audit is not None:
                self.change([audit])
            return after

    def look_up_run(self, asked: Reservation) -> RunEntry | None:
        ask = asked.run
        if ask is None:
            return None
        row = self._runs.get((asked.tenant, ask.run))
        above = runs_above(ask, row, lambda name: self._runs.get((asked.tenant, name)))
        entry = admit_run(ask, asked.tenant, asked.at_ns, row, above)
        if entry.is_tripped:
            self._put_run(entry.row)
        return entry

    def enter_run(self, asked: Reservation, entry: RunEntry | None) -> RunRow | None:
        if entry is None:
            return None
        self._put_run(entry.row)
        if entry.parent is not None:
            self._put_run(entry.parent)
        self._run_holds[asked.id] = (asked.tenant, entry.row.run)
        return entry.row

    def leave_run(self, hold_id: str, state: State, at_ns: int, note: Note | None) -> None:
        key = self._run_holds.pop(hold_id, None)
        if key is None:
            return
        tool_calls = note.tool_calls if note is not None else 0
        self._put_run(left(self._runs[key], at_ns, tool_calls, is_released=state is State.RELEASED))

    def _put_run(self, row: RunRow) -> None:
        was = self._runs.get((row.tenant, row.run))
        self._runs[row.tenant, row.run] = row
        if row.prefix and was is None:
            self._latest[row.tenant, row.prefix] = row.run
