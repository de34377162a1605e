"""The budgets in force, asked for the lines that a call counts against.

Owns the matching, the windows, and what was added to a limit for one of them. Lines come sorted, so that every call
takes them in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bursar.core.admission import Line
from bursar.core.budget import Budget, Limit
from bursar.core.control import TopUp, raised
from bursar.core.labels import Labels

__all__ = ["Budgets"]


LINES_MAX = 20_000
"""How many scopes' lines are remembered; beyond it the memory starts anew."""


class _Lines(NamedTuple):
    """What a call of one scope counts against in one budget, as long as its window lasts."""

    starts_ns: int
    ends_ns: int
    lines: tuple[Line, ...]


class Budgets:
    """All budgets of one moment, each of one tenant."""

    def __init__(self, budgets: Iterable[Budget], top_ups: Iterable[TopUp] = ()) -> None:
        self.all = tuple(sorted(budgets, key=lambda budget: (budget.name, budget.tenant)))
        self.has_runs = any("run" in budget.split for budget in self.all)
        """Some budget counts by run, so that each call needs the name of one."""
        self._by_tenant: dict[str, tuple[Budget, ...]] = {}
        for budget in self.all:
            self._by_tenant[budget.tenant] = (*self._by_tenant.get(budget.tenant, ()), budget)
        self._choosing = {budget.tenant for budget in self.all if budget.match}
        self._top_ups: dict[tuple[str, str], list[TopUp]] = {}
        for top_up in top_ups:
            self._top_ups.setdefault((top_up.tenant, top_up.identity), []).append(top_up)
        self._lines: dict[tuple[str, str, str, str, tuple[Limit, ...]], _Lines] = {}

    def matching(self, tenant: str, labels: Labels) -> tuple[Budget, ...]:
        """Give the budgets that count a call."""
        budgets = self._by_tenant.get(tenant, ())
        if tenant not in self._choosing:
            return budgets
        return tuple(budget for budget in budgets if budget.matches(labels))

    def lines(self, budgets: Sequence[Budget], labels: Labels, at_ns: int) -> tuple[Line, ...]:
        """Give the lines of these budgets for a call taken at an instant."""
        lines: list[Line] = []
        for budget in budgets:
            scope = budget.scope(labels)
            # A scope that a call brings along may have the name of a budget that is in force, and fewer limits than
            # the scope itself, where a carved part stands in for one of them.
            limits = budget.limits if budget.instance else ()
            key = (budget.tenant, budget.name, budget.instance, scope, limits)
            known = self._lines.get(key)
            if known is None or not known.starts_ns <= at_ns < known.ends_ns:
                if len(self._lines) >= LINES_MAX:
                    self._lines.clear()
                known = self._lines[key] = self._made(budget, scope, at_ns)
            lines += known.lines
        return tuple(lines)

    def _made(self, budget: Budget, scope: str, at_ns: int) -> _Lines:
        span, identity = budget.window.span(at_ns), budget.identity
        values_max = budget.values_max if budget.is_capped_in_values else 0
        found = self._top_ups.get((budget.tenant, identity), ())
        place = (scope, span.starts_ns, span.ends_ns)
        lines = []
        for limit in budget.limits_in(span):
            amount = raised(limit, found, identity, scope, span.starts_ns).amount
            lines.append(Line(budget.name, identity, *place, limit.unit, amount, values_max))
        return _Lines(span.starts_ns, span.ends_ns, tuple(lines))
