"""The budgets in force, asked for the lines that a call counts against.

Owns the matching, the windows, and what was added to a limit for one of them. Lines come sorted, so that every call
takes them in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bursar.core.admission import Line
from bursar.core.budget import Budget
from bursar.core.control import TopUp, raised
from bursar.core.labels import Labels
from bursar.core.window import Span

__all__ = ["Budgets"]


class Budgets:
    """All budgets of one moment, each of one tenant."""

    def __init__(self, budgets: Iterable[Budget], top_ups: Iterable[TopUp] = ()) -> None:
        self.all = tuple(sorted(budgets, key=lambda budget: (budget.name, budget.tenant)))
        self._identities = {(budget.tenant, budget.name): budget.identity for budget in self.all}
        self.has_runs = any("run" in budget.split for budget in self.all)
        """Some budget counts by run, so that each call needs the name of one."""
        self._spans: dict[tuple[str, str], Span] = {}
        self._by_tenant: dict[str, list[Budget]] = {}
        for budget in self.all:
            self._by_tenant.setdefault(budget.tenant, []).append(budget)
        self._top_ups: dict[tuple[str, str], list[TopUp]] = {}
        for top_up in top_ups:
            self._top_ups.setdefault((top_up.tenant, top_up.identity), []).append(top_up)

    def matching(self, tenant: str, labels: Labels) -> tuple[Budget, ...]:
        """Give the budgets that count a call."""
        return tuple(budget for budget in self._by_tenant.get(tenant, ()) if budget.matches(labels))

    def lines(self, budgets: Sequence[Budget], labels: Labels, at_ns: int) -> tuple[Line, ...]:
        """Give the lines of these budgets for a call taken at an instant."""
        lines = []
        for budget in budgets:
            key = (budget.tenant, budget.name)
            # A scope that a call brings along may have the name of a budget that is in force.
            identity = budget.identity if budget.instance else self._identities[key]
            span = budget.window.span(at_ns) if budget.instance else self._span(budget, key, at_ns)
            scope = budget.scope(labels)
            values_max = budget.values_max if budget.is_capped_in_values else 0
            found = self._top_ups.get((key[0], identity), ()) if self._top_ups else ()
            for limit in budget.limits_in(span):
                amount = raised(limit, found, identity, scope, span.starts_ns).amount
                place = (scope, span.starts_ns, span.ends_ns)
                lines.append(Line(budget.name, identity, *place, limit.unit, amount, values_max))
        return tuple(lines)

    def _span(self, budget: Budget, key: tuple[str, str], at_ns: int) -> Span:
        span = self._spans.get(key)
        if span is None or at_ns not in span:
            span = self._spans[key] = budget.window.span(at_ns)
        return span
