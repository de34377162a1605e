"""The budgets in force, asked for the lines that a call counts against.

Owns the matching, the windows, and what was added to a limit for one of them. Lines come sorted, so that every call
takes them in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bursar.core.admission import Line
from bursar.core.budget import Budget
from bursar.core.control import TopUp, raised
from bursar.core.labels import Labels
from bursar.core.value import value
from bursar.core.window import FOREVER_NS

__all__ = ["Budgets", "Counted"]


LINES_MAX = 20_000
"""How many scopes' lines are remembered, and for how many sets of labels what counts them; beyond it each of these
memories starts anew."""


@value
class Counted:
    """What counts the calls that have the same labels, as long as no window ends."""

    starts_ns: int
    ends_ns: int
    budgets: tuple[Budget, ...]
    lines: tuple[Line, ...]
    is_strict: bool
    """One of the budgets is strict."""


class _Lines(NamedTuple):
    """What a call of one scope counts against in one budget, as long as its window lasts."""

    starts_ns: int
    ends_ns: int
    budget: Budget
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
        self._named = {tenant: _labels_named(budgets) for tenant, budgets in self._by_tenant.items()}
        """The labels by which a tenant's budgets tell calls apart: what has the same values of them counts alike."""
        self._top_ups: dict[tuple[str, str], list[TopUp]] = {}
        for top_up in top_ups:
            self._top_ups.setdefault((top_up.tenant, top_up.identity), []).append(top_up)
        self._lines: dict[tuple[str, str, str, str], _Lines] = {}
        self._counted: dict[tuple[str | int | None, ...], Counted] = {}

    def counted(self, tenant: str, labels: Labels, at_ns: int, brought: tuple[Budget, ...] = ()) -> Counted:
        """Give the budgets that count a call taken at an instant, with their lines; `brought` are the call's own."""
        named = self._named.get(tenant, ())
        key: tuple[str | int | None, ...] = (tenant, *map(labels.pairs.get, named), *map(id, brought))
        known = self._counted.get(key)
        if known is None or not known.starts_ns <= at_ns < known.ends_ns:
            known = self._count((*self.matching(tenant, labels), *brought), labels, at_ns)
            # What is remembered holds on to the budgets, so that no other has the same address meanwhile. The labels
            # by which those of a call are split are no part of its key.
            if not any(budget.split for budget in brought):
                if len(self._counted) >= LINES_MAX:
                    self._counted.clear()
                self._counted[key] = known
        return known

    def _count(self, budgets: tuple[Budget, ...], labels: Labels, at_ns: int) -> Counted:
        found = [self._lines_of(budget, labels, at_ns) for budget in budgets]
        return Counted(
            max((each.starts_ns for each in found), default=0),
            min((each.ends_ns for each in found), default=FOREVER_NS),
            budgets,
            tuple(line for each in found for line in each.lines),
            any(budget.is_strict for budget in budgets),
        )

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
            lines += self._lines_of(budget, labels, at_ns).lines
        return tuple(lines)

    def _lines_of(self, budget: Budget, labels: Labels, at_ns: int) -> _Lines:
        scope = budget.scope(labels)
        key = (budget.tenant, budget.name, budget.instance, scope)
        known = self._lines.get(key)
        # Names do not tell budgets apart: a scope that a call brings along may be called like a budget that is in
        # force, and has fewer limits than the scope itself where a carved part stands in for one of them.
        is_same = known is not None and (known.budget is budget or known.budget == budget)
        if known is None or not is_same or not known.starts_ns <= at_ns < known.ends_ns:
            if len(self._lines) >= LINES_MAX:
                self._lines.clear()
            known = self._lines[key] = self._made(budget, scope, at_ns)
        return known

    def _made(self, budget: Budget, scope: str, at_ns: int) -> _Lines:
        span, identity = budget.window.span(at_ns), budget.identity
        values_max = budget.values_max if budget.is_capped_in_values else 0
        found = self._top_ups.get((budget.tenant, identity), ())
        place = (scope, span.starts_ns, span.ends_ns)
        lines = []
        for limit in budget.limits_in(span):
            amount = raised(limit, found, identity, scope, span.starts_ns).amount
            lines.append(Line(budget.name, identity, *place, limit.unit, amount, values_max))
        return _Lines(span.starts_ns, span.ends_ns, budget, tuple(lines))


def _labels_named(budgets: Iterable[Budget]) -> tuple[str, ...]:
    """Name every label that decides whether one of these counts a call, and in which scope."""
    return tuple(
        dict.fromkeys(
            label for budget in budgets for label in (*budget.split, *(matched for matched, _ in budget.match))
        )
    )
