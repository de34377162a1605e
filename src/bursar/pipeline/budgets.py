"""The budgets of a configuration, asked for the lines that a call counts against.

Owns the matching and the windows. Lines come sorted, so that every call takes them in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bursar.core.admission import Line
from bursar.core.budget import Budget
from bursar.core.labels import Labels
from bursar.core.window import Span

__all__ = ["Budgets"]


class Budgets:
    """All budgets of one configuration."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.all = tuple(sorted(budgets, key=lambda budget: budget.name))
        self._identities = {budget.name: budget.identity for budget in self.all}
        self._spans: dict[str, Span] = {}

    def matching(self, tenant: str, labels: Labels) -> tuple[Budget, ...]:
        """Give the budgets that count a call."""
        return tuple(budget for budget in self.all if budget.tenant == tenant and budget.matches(labels))

    def lines(self, budgets: Sequence[Budget], labels: Labels, at_ns: int) -> tuple[Line, ...]:
        """Give the lines of these budgets for a call taken at an instant."""
        return tuple(
            Line(
                budget.name,
                self._identities[budget.name],
                budget.scope(labels),
                span.starts_ns,
                span.ends_ns,
                limit.unit,
                limit.amount,
                budget.values_max if budget.is_capped_in_values else 0,
            )
            for budget in budgets
            for span in (self._span(budget, at_ns),)
            for limit in budget.limits_in(span)
        )

    def named(self, name: str) -> Budget | None:
        """Find a budget by its name."""
        return next((budget for budget in self.all if budget.name == name), None)

    def _span(self, budget: Budget, at_ns: int) -> Span:
        span = self._spans.get(budget.name)
        if span is None or at_ns not in span:
            span = self._spans[budget.name] = budget.window.span(at_ns)
        return span
