"""How budgets stand now: used, held and left, per scope, in the current window.

Owns the reading of balances against limits. It never changes a budget; what a budget counts is decided where calls are
admitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from bursar.core.admission import Balance
from bursar.core.budget import Budget, Limit
from bursar.core.control import EVERY_TENANT, TopUp, raised
from bursar.core.ledger import BalanceRow

__all__ = ["BudgetStatus", "Ledger", "Level", "Standing", "budget_status", "level_of", "worst"]


class Ledger(Protocol):
    """What this reads."""

    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]: ...


class Level(IntEnum):
    """How far a limit is used up; the larger, the worse."""

    FINE = 0
    WARNED = 1
    """Past the lowest `warn_at`."""
    EXCEEDED = 2
    """Nothing is left."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit at one scope in its current window. Amounts are in the limit's unit."""

    scope: str
    limit: Limit
    balance: Balance
    level: Level

    @property
    def used(self) -> int:
        """What is settled and presumed."""
        return self.balance.settled + self.balance.presumed

    @property
    def left(self) -> int:
        """What a further call could still use: held money is not free."""
        return max(0, self.limit.amount - self.used - self.balance.held)

    @property
    def percent(self) -> int:
        """Whole percent used, rounded down; of a limit of 0 everything is used."""
        return 100 if not self.limit.amount else self.used * 100 // self.limit.amount


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One budget in its current window, the fullest scope first. A budget that is split has none before its first
    call."""

    budget: Budget
    starts_ns: int
    ends_ns: int
    standings: tuple[Standing, ...]
    top_ups: tuple[TopUp, ...] = ()
    """What was given more in this window; the standings' limits have it in them."""

    @property
    def level(self) -> Level:
        """The worst of its standings."""
        return max((standing.level for standing in self.standings), default=Level.FINE)


def budget_status(
    ledger: Ledger, budgets: Iterable[Budget], tenant: str, at_ns: int, top_ups: Iterable[TopUp] = ()
) -> tuple[BudgetStatus, ...]:
    """Say how each budget of a tenant stands at an instant, with what was given more in its current window."""
    kept = {
        (row.identity, row.starts_ns, str(row.unit), row.scope): row.balance for row in ledger.balances(tenant, at_ns)
    }
    mine = tuple(each for each in top_ups if each.tenant == tenant)
    return tuple(_status(budget, kept, mine, at_ns) for budget in budgets if budget.tenant in (EVERY_TENANT, tenant))


def _status(
    budget: Budget, kept: dict[tuple[str, int, str, str], Balance], top_ups: Sequence[TopUp], at_ns: int
) -> BudgetStatus:
    span, identity = budget.window.span(at_ns), budget.identity
    scopes = {scope for named, starts_ns, _, scope in kept if named == identity and starts_ns == span.starts_ns}
    if not budget.split:
        scopes.add("")
    top_ups = [each for each in top_ups if each.identity == identity and each.starts_ns == span.starts_ns]
    scopes |= {each.scope for each in top_ups if each.scope}
    standings = []
    for scope in scopes:
        for limit in budget.limits_in(span):
            balance = kept.get((identity, span.starts_ns, str(limit.unit), scope), Balance())
            more = raised(limit, top_ups, identity, scope, span.starts_ns)
            standings.append(Standing(scope, more, balance, level_of(budget, more, balance)))
    standings.sort(key=lambda standing: (-standing.percent, -standing.used, standing.scope, standing.limit.unit))
    return BudgetStatus(budget, span.starts_ns, span.ends_ns, tuple(standings), tuple(top_ups))


def level_of(budget: Budget, limit: Limit, balance: Balance) -> Level:
    """Say how far a limit is used up."""
    used = balance.settled + balance.presumed
    if used >= limit.amount:
        return Level.EXCEEDED
    if budget.warn_at and used * 100 >= min(budget.warn_at) * limit.amount:
        return Level.WARNED
    return Level.FINE


def worst(statuses: Iterable[BudgetStatus]) -> Level:
    """Give the worst level of all."""
    return max((status.level for status in statuses), default=Level.FINE)
