"""How a budget begins in a SQLite ledger: from the calls of its current window that already match.

Owns the activation of budgets. A budget that is new, redefined, or back after it was taken out counts what was spent
without it; a changed limit changes no identity and so loses nothing. Runs inside one transaction of the ledger.
"""

from __future__ import annotations

import json

from bursar.core.admission import Cover, Line
from bursar.core.budget import Budget, Unit
from bursar.core.charge import ZERO, Amounts
from bursar.core.hold import Hold, State
from bursar.core.labels import Labels
from bursar.stores.sqlite_book import SqliteBook

__all__ = ["start_budgets"]


def start_budgets(ledger: SqliteBook, budgets: tuple[Budget, ...], at_ns: int) -> None:
    """Make exactly these budgets active, and start those that were not."""
    known = [
        (budget, limit.unit, ledger.run("budget_find", **_named(budget, limit.unit)).fetchone())
        for budget in budgets
        for limit in budget.limits
    ]
    ledger.run("budget_retire_all")
    for budget, unit, row in known:
        if row is None:
            ledger.run("budget_insert", name=budget.name, **_named(budget, unit))
        else:
            ledger.run("budget_activate", id=row[0], name=budget.name)
        if row is None or not row[1]:
            _start(ledger, budget, unit, at_ns)


def _named(budget: Budget, unit: Unit) -> dict[str, str]:
    return {"tenant": budget.tenant, "identity": budget.identity, "unit": str(unit)}


def _start(ledger: SqliteBook, budget: Budget, unit: Unit, at_ns: int) -> None:
    span = budget.window.span(at_ns)
    values_max = budget.values_max if budget.is_capped_in_values else 0
    budget_id = ledger.run("budget_find", **_named(budget, unit)).fetchone()[0]
    rows = ledger.run("hold_since", starts_ns=span.starts_ns, ends_ns=span.ends_ns, tenant=budget.tenant).fetchall()
    for hold_id, state, *numbers, packed, labels_json in rows:
        labels = Labels(json.loads(labels_json))
        if not budget.matches(labels) or _is_counted(ledger, packed, budget_id):
            continue
        scope = budget.scope(labels)
        line = Line(budget.name, budget.identity, scope, span.starts_ns, span.ends_ns, unit, 0, values_max)
        number = ledger.balance_id(budget.tenant, line)
        hold = Hold(hold_id, State(state), Cover(*numbers[:4]), numbers[4], numbers[5], Amounts(*numbers[6:]))
        ledger.run("hold_lines", id=hold_id, balances=f"{packed},{number}" if packed else str(number))
        ledger.move(
            number,
            held=hold.held if hold.state is State.OPEN else ZERO,
            settled=hold.settled,
            presumed=hold.held if hold.state is State.PRESUMED else ZERO,
        )


def _is_counted(ledger: SqliteBook, packed: str, budget_id: int) -> bool:
    return any(ledger.budget_of(int(number)) == budget_id for number in packed.split(",") if number)
