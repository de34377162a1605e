"""What a task costs, and what one that was finished costs: the sums of its runs, and how they ended.

Owns these figures. How a run ended is what somebody said (`finish`); a run of which nobody said anything counts as
spent, but never as finished. What a finished one costs is everything that was spent, over the finished ones: those that
failed or were given up are part of the price.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.core.charge import ZERO, Amounts
from bursar.core.labels import NONE
from bursar.core.ledger import SpendQuery, SpendRow
from bursar.core.money import Nano
from bursar.core.run import RunRow, RunState

__all__ = ["RUNS_MAX", "Ledger", "TaskCost", "Tasks", "task_costs"]

RUNS_MAX = 100_000
"""So many runs' ends are looked at, the latest ones."""


class Ledger(Protocol):
    """What this reads."""

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]: ...
    def run_rows(self, tenant: str, states: Sequence[RunState], since_ns: int, most: int) -> Sequence[RunRow]: ...


@dataclass(frozen=True, slots=True)
class TaskCost:
    """One task, or whatever runs are grouped by."""

    value: str
    runs: int
    finished: int
    stopped: int
    """Parked or stopped by a guard or a person, and not let go on."""
    outcomes: Mapping[str, int]
    """Of the finished ones, how many ended how, the most first; "" where somebody only said that it is over."""
    calls: int
    amounts: Amounts
    """Settled and presumed, of all runs and of calls without one."""

    @property
    def per_run_nano(self) -> Nano | None:
        """The cost of one run, rounded up; None where no call named its run."""
        return -(-self.amounts.cost_nano // self.runs) if self.runs else None

    @property
    def per_finished_nano(self) -> Nano | None:
        """What was spent in all for each run that was finished, rounded up; None where none was."""
        return -(-self.amounts.cost_nano // self.finished) if self.finished else None

    def per_outcome_nano(self, outcome: str) -> Nano | None:
        """What was spent in all for each run that ended so, rounded up; None where none did."""
        count = self.outcomes.get(outcome, 0)
        return -(-self.amounts.cost_nano // count) if count else None


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks, the dearest first, and everything together."""

    by: str
    rows: tuple[TaskCost, ...]
    total: TaskCost
    is_cut: bool
    """There were more runs than are looked at: some may have ended, and do not show it."""


def task_costs(ledger: Ledger, tenant: str, since_ns: int, until_ns: int, by: str = "task") -> Tasks:
    """Sum what was spent in `[since, until)` by task, or by another label, and count how its runs ended."""
    spent = ledger.spend(SpendQuery(tenant, (by, "run"), since_ns, until_ns))
    ended = ledger.run_rows(tenant, tuple(RunState), since_ns, RUNS_MAX)
    by_run = {row.run: row for row in ended}
    groups: dict[str, list[SpendRow]] = {}
    for row in spent:
        groups.setdefault(row.values[0], []).append(row)
    rows = [_cost(value, group, by_run) for value, group in groups.items()]
    rows.sort(key=lambda row: (-row.amounts.cost_nano, row.value))
    return Tasks(by, tuple(rows), _cost("", spent, by_run), len(ended) >= RUNS_MAX)


def _cost(value: str, group: Sequence[SpendRow], by_run: Mapping[str, RunRow]) -> TaskCost:
    runs = {row.values[1] for row in group} - {NONE}
    known = [by_run[run] for run in runs if run in by_run]
    outcomes = Counter(row.outcome for row in known if row.state is RunState.FINISHED)
    amounts = ZERO
    for row in group:
        amounts = amounts + row.settled + row.presumed
    return TaskCost(
        value=value,
        runs=len(runs),
        finished=sum(outcomes.values()),
        stopped=sum(row.state in (RunState.PARKED, RunState.STOPPED) for row in known),
        outcomes=dict(sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))),
        calls=sum(row.calls for row in group),
        amounts=amounts,
    )
