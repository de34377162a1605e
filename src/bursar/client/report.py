"""What a budget of a program came to, for a person.

Owns the report's shape and its text. It reads the ledger and adds nothing up by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from bursar.client.scopes import Scope
from bursar.core.admission import Balance, Line
from bursar.core.budget import Unit
from bursar.core.labels import NONE
from bursar.core.ledger import SpendQuery
from bursar.core.money import NANO_PER_USD, format_usd
from bursar.wiring.local import TENANT, LocalEngine

__all__ = ["Report", "Row", "report_on"]

BY = ("agent", "task", "step", "provider", "model")


@dataclass(frozen=True, slots=True)
class Row:
    """What was spent under the same labels."""

    agent: str
    task: str
    step: str
    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    """USD, settled and presumed."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a budget came to. Its text is for a terminal."""

    name: str
    run: str
    spent: Decimal
    limit: Decimal | None
    """USD; None without a limit in USD."""
    calls: int
    refused: int
    """Calls that were refused because of this budget."""
    tokens: int | None
    """Counted where there is a limit in tokens."""
    rows: tuple[Row, ...]
    """By agent, task, step, provider and model, the dearest first; what the run spent under this budget's labels."""

    def __str__(self) -> str:
        of = f" of {_text(self.limit)}" if self.limit is not None else ""
        calls = f"{self.calls} call{'' if self.calls == 1 else 's'}"
        refused = f", {self.refused} refused" if self.refused else ""
        lines = [f"{self.name}: {_text(self.spent)}{of}, {calls}{refused} (run {self.run})"]
        for row in self.rows:
            who = " ".join(text for text in (row.agent, row.task, row.step) if text)
            what = f"{row.calls} x {row.model}, {row.input_tokens:,} in, {row.output_tokens:,} out"
            lines.append(f"  {_text(row.cost)}  {who + ': ' if who else ''}{what}")
        return "\n".join(lines)


def report_on(
    engine: LocalEngine,
    scope: Scope,
    opened_ns: int,
    balances: Mapping[Unit, tuple[Line, Balance]],
    limited: Collection[Unit],
) -> Report:
    """Make the report of a scope. Raises StoreUnavailable."""
    labels: dict[str, str] = {}
    for each in scope.chain:
        labels.update(each.labels)
    # What is named inside may be called otherwise, so that a run's own budget asks for the run alone.
    match = {"run": labels["run"], **({} if "run" in scope.labels else scope.labels)}
    query = SpendQuery(TENANT, BY, opened_ns, engine.clock() + 1, match)
    rows = []
    for found in engine.spend(query):
        total = found.settled + found.presumed
        agent, task, step, provider, model = ("" if value == NONE else value for value in found.values)
        tokens = (total.input_tokens, total.output_tokens)
        rows.append(Row(agent, task, step, provider, model, found.calls, *tokens, _usd(total.cost_nano)))
    rows.sort(key=lambda row: row.cost, reverse=True)
    line, balance = balances[Unit.USD]
    counted = balances.get(Unit.TOKENS)
    return Report(
        line.budget,
        labels["run"],
        _usd(sum(balance[:2])),
        _usd(line.limit) if Unit.USD in limited else None,
        sum(balances[Unit.REQUESTS][1][:2]),
        scope.refusals,
        sum(counted[1][:2]) if counted else None,
        tuple(rows),
    )


def _usd(nano: int) -> Decimal:
    return Decimal(nano) / NANO_PER_USD


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else format_usd(int(amount * NANO_PER_USD))
