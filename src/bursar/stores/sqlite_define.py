"""How a budget begins in a SQLite ledger: from the calls of its current window that already match.

Owns the activation of budgets. A budget that is new, redefined, or back after it was taken out counts what was spent
without it; a changed limit changes no identity and so loses nothing. Runs inside one transaction of the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from bursar.core.admission import Cover, Line
from bursar.core.budget import Budget, Limit
from bursar.core.charge import Amounts
from bursar.core.hold import Hold, State
from bursar.core.labels import Labels
from bursar.core.window import Span
from bursar.stores.sqlite_book import SqliteBook

__all__ = ["start_budgets"]

PAGE_ROWS = 1_000
"""How many calls are read at once."""


def start_budgets(ledger: SqliteBook, budgets: tuple[Budget, ...], at_ns: int, again: Collection[str]) -> None:
    """Make exactly these budgets active, and start those that were not, or that are to start again."""
    # `values_max` may have changed, and with it which line counts in which row.
    ledger.forget()
    known = [
        (budget, limit, ledger.run("budget_find", **_named(budget, limit)).fetchone())
        for budget in budgets
        for limit in budget.limits
    ]
    ledger.run("budget_retire_all")
    for budget, limit, row in known:
        if row is None:
            named = _named(budget, limit)
            number = ledger.run("budget_insert", name=budget.name, limit_amount=limit.amount, **named).lastrowid
        else:
            number = row[0]
        assert number is not None
        ledger.run("budget_activate", id=number, name=budget.name, limit_amount=limit.amount)
        if row is None or not row[1] or budget.identity in again:
            _start(ledger, budget, limit, number, at_ns)


def _named(budget: Budget, limit: Limit) -> dict[str, str]:
    return {"tenant": budget.tenant, "identity": budget.identity, "unit": str(limit.unit)}


def _start(ledger: SqliteBook, budget: Budget, limit: Limit, budget_id: int, at_ns: int) -> None:
    span = budget.window.span(at_ns)
    values_max = budget.values_max if budget.is_capped_in_values else 0
    for hold, packed, labels in _holds(ledger, budget.tenant, span):
        if not budget.matches(labels) or _is_counted(ledger, packed, budget_id):
            continue
        scope = budget.scope(labels)
        line = Line(
            budget.name, budget.identity, scope, span.starts_ns, span.ends_ns, limit.unit, limit.amount, values_max
        )
        number = ledger.open_balance(budget.tenant, line)
        ledger.run("hold_lines", id=hold.id, balances=f"{packed},{number}" if packed else str(number))
        held = hold.held.amount(limit.unit)
        settled = hold.settled.amount(limit.unit)
        is_open, is_presumed = hold.state is State.OPEN, hold.state is State.PRESUMED
        ledger.move_balances([(held if is_open else 0, settled, held if is_presumed else 0, number)])


def _holds(ledger: SqliteBook, tenant: str, span: Span) -> Iterator[tuple[Hold, str, Labels]]:
    """Read the calls of a window page by page, each with its balances and labels."""
    after: dict[str, Any] = {"after_ns": span.starts_ns - 1, "after_id": "\U0010ffff"}
    while True:
        rows = ledger.run("hold_since", tenant=tenant, ends_ns=span.ends_ns, most=PAGE_ROWS, **after).fetchall()
        for hold_id, state, *numbers, packed, labels, opened_ns in rows:
            hold = Hold(hold_id, State(state), Cover(*numbers[:4]), numbers[4], numbers[5], Amounts(*numbers[6:]))
            yield hold, packed, Labels(json.loads(labels))
            after = {"after_ns": opened_ns, "after_id": hold_id}
        if len(rows) < PAGE_ROWS:
            return


def _is_counted(ledger: SqliteBook, packed: str, budget_id: int) -> bool:
    return any(ledger.budget_of(int(number)) == budget_id for number in packed.split(",") if number)
