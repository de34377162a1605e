"""The live view of a ledger: who spends now, and how full the budgets are.

Owns the join of what has happened lately with the budgets' standings, for the command line and the gateway alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bursar.actions.budgets import BudgetStatus, budget_status
from bursar.actions.control import ControlState, state_of
from bursar.core.budget import Budget
from bursar.core.control import Document, Kind
from bursar.core.ledger import BalanceRow, HoldRow
from bursar.reports.live import Filling
from bursar.reports.watch import Watch

__all__ = ["Ledger", "fillings", "watch"]


class Ledger(Protocol):
    """What this reads."""

    def control_version(self) -> int: ...
    def documents(self, kind: Kind | None = None) -> Sequence[Document]: ...
    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]: ...
    def in_flight(self, tenant: str, most: int) -> Sequence[HoldRow]: ...
    def ended(self, tenant: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]: ...


def watch(ledger: Ledger, in_file: Iterable[Budget], tenant: str) -> Watch:
    """Make what gives snapshots of a ledger: `watch(...).read(now)`, again and again.

    Budgets are those of the file and those that are set, with their top-ups, as they are at each look.
    """
    known = tuple(in_file)
    state: ControlState | None = None

    def standings(at_ns: int) -> list[Filling]:
        nonlocal state
        if state is None or state.version != ledger.control_version():
            state = state_of(ledger)
        return fillings(budget_status(ledger, state.all_budgets(known), tenant, at_ns, state.all_top_ups(known)))

    return Watch(ledger, tenant, standings)


def fillings(statuses: Iterable[BudgetStatus]) -> list[Filling]:
    """Lay the standings of all budgets side by side, the fullest first; held money fills a budget, too."""
    found = [
        Filling(
            status.budget.name,
            standing.scope,
            str(standing.limit.unit),
            standing.limit.amount,
            standing.used,
            standing.balance.held,
            standing.percent,
            standing.level.name.lower(),
            status.ends_ns,
        )
        for status in statuses
        for standing in status.standings
    ]
    return sorted(found, key=_fullest)


def _fullest(filling: Filling) -> tuple[int, int, str, str, str]:
    taken = filling.used + filling.held
    return (-filling.percent, -(taken * 100 // max(1, filling.limit)), filling.budget, filling.scope, filling.unit)
