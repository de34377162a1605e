"""How a budget begins in a SQLite ledger: from the calls of its current window that already match.

Owns which budgets are defined, and the counting of calls that came before them. A budget that is new, redefined, or
back after it was taken out counts what was spent without it; a changed limit changes no identity and so loses nothing.
What runs inside one transaction of the ledger is bounded: other calls come in between.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from bursar.core.admission import Cover, Line
from bursar.core.budget import Budget, Unit
from bursar.core.charge import ZERO, Amounts
from bursar.core.hold import Move, State
from bursar.core.labels import Labels
from bursar.core.ledger import CARVE
from bursar.stores.sqlite_balances import SqliteBalances

__all__ = ["begin_budgets", "declare_budgets", "finish_budgets"]

BEGUN, BEGINNING = 1, 2
"""What `is_active` says of a budget that is defined: whether all that came before it is counted. 0: it is not defined.
"""
PAGE_ROWS = 200
"""How many calls are read at once."""
CHUNK_S = 0.025
"""After how long a chunk ends with the page that it has read."""


def declare_budgets(ledger: SqliteBalances, budgets: Sequence[Budget]) -> tuple[Budget, ...]:
    """Let exactly these budgets be defined, writing only what differs, and give those that have not begun."""
    # `values_max` may have changed, and with it which line counts in which row.
    ledger.forget()
    known = {(row[1], row[2], row[3]): row for row in ledger.run("budget_list")}
    kept: set[int] = set()
    changed: list[dict[str, Any]] = []
    unbegun: list[Budget] = []
    for budget in budgets:
        for named in _named(budget):
            row = known.get((named["tenant"], named["identity"], named["unit"]))
            if row is None or row[6] != BEGUN:
                named["is_active"] = BEGINNING
                if not unbegun or unbegun[-1] is not budget:
                    unbegun.append(budget)
            if row is not None:
                kept.add(row[0])
            if row is None or row[4:] != (named["name"], named["limit_amount"], named["is_active"]):
                changed.append(named)
    retired = [{"id": row[0]} for row in known.values() if row[6] and row[0] not in kept]
    ledger.db.executemany(ledger.q["budget_retire"], retired)
    ledger.db.executemany(ledger.q["budget_put"], changed)
    return tuple(unbegun)


def finish_budgets(ledger: SqliteBalances, budgets: Iterable[Budget]) -> None:
    """Record that these have begun, so far as they are still defined."""
    ledger.db.executemany(ledger.q["budget_finish"], [named for budget in budgets for named in _named(budget)])


def _named(budget: Budget) -> list[dict[str, Any]]:
    """Give the row of each of a budget's limits."""
    identity = budget.identity
    row = {"tenant": budget.tenant, "identity": identity, "name": budget.name, "is_active": BEGUN}
    return [{**row, "unit": str(limit.unit), "limit_amount": limit.amount} for limit in budget.limits]


def begin_budgets(
    ledger: SqliteBalances, budgets: Sequence[Budget], at_ns: int, after: tuple[int, str] | None, most: int
) -> tuple[int, str] | None:
    """Look at the calls that follow `after`, at most so many, and say where the next chunk begins; None at the end."""
    chunk = _Chunk(ledger, budgets, at_ns)
    place = max(after or (0, ""), (chunk.starts_ns, ""))
    until_s = time.monotonic() + CHUNK_S
    is_last = False
    while not is_last and most > 0 and time.monotonic() < until_s:
        page = min(PAGE_ROWS, most)
        rows = ledger.run(
            "hold_since", after_ns=place[0], after_id=place[1], ends_ns=chunk.ends_ns, most=page
        ).fetchall()
        for row in rows:
            chunk.look(row)
        most -= page
        is_last = len(rows) < page
        if rows:
            place = rows[-1][0], rows[-1][1]
    chunk.write()
    return None if is_last else place


class _Chunk:
    """What is counted within one transaction; `write` must be the last."""

    def __init__(self, ledger: SqliteBalances, budgets: Sequence[Budget], at_ns: int) -> None:
        self._ledger = ledger
        windows = {budget.window for budget in budgets}
        self._spans = {window: window.span(at_ns) for window in windows}
        self.starts_ns = min((span.starts_ns for span in self._spans.values()), default=0)
        self.ends_ns = max((span.ends_ns for span in self._spans.values()), default=0)
        self._budgets: dict[str, list[Budget]] = {}
        for budget in budgets:
            self._budgets.setdefault(budget.tenant, []).append(budget)
        self._lines: dict[tuple[str, str], list[tuple[int, Line]]] = {}
        self._ids: dict[tuple[str, str, Unit], int] = {}
        self._open: list[dict[str, str]] = []
        self._ended: list[dict[str, str]] = []
        self._moves: dict[int, Move] = {}

    def look(self, row: tuple[Any, ...]) -> None:
        """Count a call in the budgets that it matches and that have not counted it."""
        opened_ns, hold_id, tenant, labels, packed, state, *numbers = row
        if tenant not in self._budgets:
            return
        lines = self._lines.get((tenant, labels))
        if lines is None:
            lines = self._lines[tenant, labels] = self._matching(tenant, Labels(json.loads(labels)))
        ids = packed.split(",") if packed else []
        counted = {self._ledger.budget_of(int(number)) for number in ids} if lines else set()
        new = [line for number, line in lines if number not in counted and line.starts_ns <= opened_ns < line.ends_ns]
        if not new:
            return
        held = Cover(*numbers[:4]).amounts(numbers[4], numbers[5]) if state in (State.OPEN, State.PRESUMED) else ZERO
        settled = Amounts(*numbers[6:])
        for line in new:
            number = self._ledger.open_balance(tenant, line)
            ids.append(str(number))
            taken = held.amount(line.unit)
            was = self._moves.get(number, Move(0, 0, 0))
            self._moves[number] = Move(
                was.held + (taken if state == State.OPEN else 0),
                was.settled + settled.amount(line.unit),
                was.presumed + (taken if state == State.PRESUMED else 0),
            )
        (self._open if state == State.OPEN else self._ended).append({"id": hold_id, "balances": ",".join(ids)})

    def _matching(self, tenant: str, labels: Labels) -> list[tuple[int, Line]]:
        """Give the lines of a call with these labels, each with the row of its budget."""
        lines: list[tuple[int, Line]] = []
        if labels["wire"] == CARVE:
            return lines
        for budget in self._budgets[tenant]:
            if not budget.matches(labels):
                continue
            identity, scope, span = budget.identity, budget.scope(labels), self._spans[budget.window]
            values_max = budget.values_max if budget.is_capped_in_values else 0
            for limit in budget.limits:
                place = span.starts_ns, span.ends_ns
                line = Line(budget.name, identity, scope, *place, limit.unit, limit.amount, values_max)
                lines.append((self._id(tenant, line), line))
        return lines

    def _id(self, tenant: str, line: Line) -> int:
        key = (tenant, line.identity, line.unit)
        number = self._ids.get(key)
        if number is None:
            named = {"tenant": tenant, "identity": line.identity, "unit": str(line.unit)}
            row = self._ledger.run("budget_find", **named).fetchone()
            # One that has no row yet has counted nothing; its first balance makes the row.
            number = self._ids[key] = 0 if row is None else int(row[0])
        return number

    def write(self) -> None:
        """Write down what each call counts in now, and the sums."""
        self._ledger.db.executemany(self._ledger.q["hold_lines"], self._ended)
        self._ledger.db.executemany(self._ledger.q["hold_lines_open"], self._open)
        self._ledger.move_balances([(*move, number) for number, move in self._moves.items()])
