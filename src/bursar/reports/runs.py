"""Runs of agents: what each has cost so far, and when it last did something.

Owns the sums over the calls that carry the same label `run`. It reads a bounded number of the latest calls and says so
when there were more: of the earliest run among them a part may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.core.charge import Amounts
from bursar.core.hold import State
from bursar.core.labels import NONE, Labels
from bursar.core.ledger import HoldRow
from bursar.core.run import RunRow, RunState
from bursar.reports.anatomy import amounts_of

__all__ = ["CALLS_MOST", "Ledger", "Run", "Runs", "runs_since"]

CALLS_MOST = 20_000
"""So many of the latest calls are looked at."""
COUNTED = (State.OPEN, State.SETTLED, State.PRESUMED)


class Ledger(Protocol):
    """What this reads."""

    def holds(self, tenant: str, states: Sequence[State], most: int) -> Sequence[HoldRow]: ...
    def run_rows(self, tenant: str, states: Sequence[RunState], since_ns: int, most: int) -> Sequence[RunRow]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run, of the calls that were looked at."""

    run: str
    agent: str
    task: str
    steps: int
    """Calls that cost or may cost something; those in flight are among them."""
    in_flight: int
    amounts: Amounts
    """Settled and presumed; of calls in flight nothing yet."""
    presumed_nano: int
    began_ns: int
    active_ns: int
    state: str = ""
    """running, parked, stopped or finished; empty where no guard looks at it."""
    guard: str = ""
    """What parked or stopped it."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs, the one that did something last first."""

    rows: tuple[Run, ...]
    is_cut: bool
    """There were more calls than are looked at."""


def runs_since(ledger: Ledger, tenant: str, since_ns: int = 0, most: int = CALLS_MOST) -> Runs:
    """List the runs that did something from an instant on."""
    calls = ledger.holds(tenant, COUNTED, most)
    groups: dict[str, list[HoldRow]] = {}
    for row in calls:
        run = Labels(row.labels)["run"]
        if run != NONE and not row.is_unused:
            groups.setdefault(run, []).append(row)
    stands = {row.run: row for row in ledger.run_rows(tenant, tuple(RunState), since_ns, most)} if groups else {}
    rows = [_run(name, group, stands.get(name)) for name, group in groups.items()]
    recent = [row for row in rows if row.active_ns >= since_ns]
    recent.sort(key=lambda row: (-row.active_ns, row.run))
    is_cut = len(calls) >= most and calls[-1].opened_ns >= since_ns
    return Runs(tuple(recent), is_cut)


def _run(name: str, calls: Sequence[HoldRow], stand: RunRow | None) -> Run:
    ended = [row for row in calls if row.state is not State.OPEN]
    latest = Labels(calls[0].labels)
    return Run(
        run=name,
        agent=latest["agent"],
        task=latest["task"],
        steps=len(calls),
        in_flight=len(calls) - len(ended),
        amounts=_sum(amounts_of(row) for row in ended),
        presumed_nano=sum(row.held.cost_nano for row in ended if row.state is State.PRESUMED),
        began_ns=min(row.opened_ns for row in calls),
        active_ns=max(max(row.opened_ns, row.closed_ns) for row in calls),
        state="" if stand is None else str(stand.state),
        guard="" if stand is None else stand.guard,
    )


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    total = Amounts()
    for each in amounts:
        total += each
    return total
