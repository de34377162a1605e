"""What people do to a run: approve it, stop it, say how it ended.

Owns who may do it and what an approval gives: as much again of what stopped the run, or what the person says. Money
goes into the run's own budgets as a top-up, by the rules of top-ups. Every act is one row of the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bursar.actions.acting import By, checked_tenant, encoded, refuse_key, require_right
from bursar.actions.acting import Ledger as Settable
from bursar.actions.control import state_of
from bursar.actions.limits import TopUpWish, top_up
from bursar.config.short import parse_short
from bursar.core.budget import Budget, Unit
from bursar.core.control import EVERY_TENANT, Change, Kind
from bursar.core.guards import Guards
from bursar.core.ledger import BalanceRow
from bursar.core.money import format_usd
from bursar.core.run import Guard, RunChange, RunRow, RunState, RunVerb
from bursar.core.window import WindowKind
from bursar.errors import Forbidden, HoldConflict, NotFound, UsageError

__all__ = [
    "OPERATOR",
    "Ledger",
    "RunWish",
    "approve_run",
    "checked_outcome",
    "checked_reason",
    "finish_run",
    "run_row_json",
    "stop_run",
]

OPERATOR = "operator"
"""What stands in a run's row in the place of a guard where the operator stopped it by hand."""
REASON_LENGTH_MAX = 200
ADDS_MAX = 10
_COUNT = re.compile(r"([1-9][0-9_,]{0,11}) (steps?|tool[ _-]calls?|seconds?)")
_COUNTED = {"step": Guard.STEPS, "tool_call": Guard.TOOL_CALLS, "second": Guard.SECONDS}


class Ledger(Settable, Protocol):
    """What these need."""

    def run_row(self, tenant: str, run: str) -> RunRow | None: ...
    def change_run(self, tenant: str, run: str, change: RunChange, audit: Change | None = None) -> RunRow: ...
    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]: ...


@dataclass(frozen=True, slots=True)
class RunWish:
    """Which run, and what is said of it."""

    tenant: str
    run: str
    reason: str = ""
    add: tuple[str, ...] = ()
    """What an approval gives: `$2`, `50k tokens`, `10 steps`, `5 tool calls`, `60 seconds`."""
    since_ns: int | None = None
    """Only while the run is as it was set at this instant: an act that is meant for one stop."""


def stop_run(ledger: Ledger, wish: RunWish, by: By) -> RunRow:
    """Refuse every further call of a run until somebody approves it. Raises NotFound, HoldConflict, Forbidden."""
    guard = OPERATOR if by.grantor is None else ""
    change = RunChange(RunVerb.STOP, by.at_ns, guard, checked_reason(wish.reason), since_ns=wish.since_ns)
    return _change(ledger, wish, change, by, {})


def finish_run(ledger: Ledger, wish: RunWish, outcome: str, by: By) -> RunRow:
    """Record how a run ended. Raises NotFound, HoldConflict, Forbidden, UsageError."""
    checked_outcome(outcome)
    change = RunChange(
        RunVerb.FINISH, by.at_ns, reason=checked_reason(wish.reason), outcome=outcome, since_ns=wish.since_ns
    )
    return _change(ledger, wish, change, by, {"outcome": outcome})


def approve_run(ledger: Ledger, in_file: Sequence[Budget], guards: Guards, wish: RunWish, by: By) -> RunRow:
    """Let a parked or stopped run go on, with as much again of what stopped it, or with what is added.

    Raises NotFound, UsageError; HoldConflict where it was decided on since; Forbidden for a key, where money of the
    operator's budgets is asked for or the operator stopped it.
    """
    require_right(by, checked_tenant(wish.tenant))
    row = _known(ledger, wish)
    if by.grantor is not None and row.guard == OPERATOR:
        raise Forbidden(f"the operator stopped run {row.run!r}: ask them to approve it")
    if wish.since_ns not in (None, row.since_ns):
        raise HoldConflict(f"run {row.run} has been decided on since: it is {row.state}")
    counts, money = _added(wish.add or _as_much_again(guards, row))
    for amount in money:
        # First the money: a call that waits goes on the moment the run does.
        for budget in _paying(ledger, in_file, wish, amount):
            added = TopUpWish(wish.tenant, budget.name, amount, {"run": wish.run})
            top_up(ledger, in_file, added, by)
    change = RunChange(
        RunVerb.APPROVE, by.at_ns, reason=checked_reason(wish.reason), grants=counts, since_ns=wish.since_ns
    )
    return _change(ledger, wish, change, by, {"added": list(wish.add)})


def _as_much_again(guards: Guards, row: RunRow) -> tuple[str, ...]:
    """Say what a run gets that a guard's budget parked; what the ledger counts it gives by itself."""
    if row.state is RunState.RUNNING:
        return ()
    rule = next((rule for rule in guards.rules if rule.guard == row.guard), None)
    if rule is None or rule.guard not in ("tokens", "cost"):
        return ()  # A minute's money comes back with the next minute.
    return (f"{rule.most} tokens",) if rule.guard == "tokens" else (format_usd(rule.most).replace(",", ""),)


def _added(texts: Iterable[str]) -> tuple[tuple[tuple[Guard, int], ...], tuple[str, ...]]:
    """Sort what is added into counts of the run's row and amounts of its budgets."""
    counts: list[tuple[Guard, int]] = []
    money: list[str] = []
    for text in texts:
        found = _COUNT.fullmatch(" ".join(text.split()).lower())
        if found is None:
            money.append(text)
            continue
        word = found[2].replace(" ", "_").replace("-", "_").removesuffix("s")
        counts.append((_COUNTED[word], int(found[1].replace(",", "").replace("_", ""))))
    if len(counts) + len(money) > ADDS_MAX:
        raise UsageError(f"at most {ADDS_MAX} amounts are added at once", param="add")
    return tuple(counts), tuple(money)


def _paying(ledger: Ledger, in_file: Sequence[Budget], wish: RunWish, amount: str) -> list[Budget]:
    """Find the budgets of this one run that count in the amount's unit."""
    try:
        unit = parse_short(amount).limit.unit
    except ValueError as error:
        advice = "write for example $2, 50k tokens, 10 steps, 5 tool calls or 60 seconds"
        raise UsageError(f"{amount[:60]!r} is not an amount: {advice}", param="add") from error
    used = {(row.identity, row.unit) for row in ledger.balances(wish.tenant) if _is_of_run(row, wish.run, unit)}
    budgets = [
        budget
        for budget in state_of(ledger).all_budgets(in_file)
        if budget.tenant in (EVERY_TENANT, wish.tenant)
        and budget.window.kind is WindowKind.RUN
        and budget.split == ("run",)
        and (budget.identity, unit) in used
    ]
    if not budgets:
        counted = unit.replace("_", " ") if unit is not Unit.USD else "USD"
        raise UsageError(f"no budget of run {wish.run!r} counts {counted}, so there is nothing to add to", param="add")
    return budgets


def _is_of_run(row: BalanceRow, run: str, unit: Unit) -> bool:
    escaped = run.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    return row.unit is unit and row.scope == f"run={escaped}"


def _known(ledger: Ledger, wish: RunWish) -> RunRow:
    row = ledger.run_row(wish.tenant, wish.run)
    if row is None:
        raise NotFound(
            f"no guard has seen run {wish.run[:128]!r}. Guards look at runs once `guards:` is on; "
            f"`bursar pause --label run=…` stops the calls of any run"
        )
    return row


def checked_outcome(outcome: str) -> str:
    """Give the word for how a run ended. Raises UsageError for what is none, and for what may be a key."""
    if not outcome or len(outcome) > REASON_LENGTH_MAX or not outcome.isprintable():
        raise UsageError(f"an outcome has 1 to {REASON_LENGTH_MAX} characters that can be printed", param="outcome")
    refuse_key(outcome, "outcome")
    return outcome


def checked_reason(reason: str) -> str:
    """Give a reason as it is kept. Raises UsageError for what is none, and for what may be a key."""
    if len(reason) > REASON_LENGTH_MAX or not reason.isprintable():
        raise UsageError(f"a reason has at most {REASON_LENGTH_MAX} characters that can be printed", param="reason")
    refuse_key(reason, "reason")
    return reason.strip()


def _change(ledger: Ledger, wish: RunWish, change: RunChange, by: By, more: dict[str, Any]) -> RunRow:
    require_right(by, checked_tenant(wish.tenant))
    before = _known(ledger, wish)
    # The row that the act is decided on is the one that it changes: two people who decide at once are told so.
    change = replace(change, since_ns=before.since_ns if change.since_ns is None else change.since_ns)
    shown = {**more, "was": str(before.state), "guard": before.guard, "reason": change.reason}
    action = f"run {change.verb}"
    audit = Change(Kind.RUN, wish.tenant, wish.run, None, encoded(shown), action, by.actor, by.at_ns)
    return ledger.change_run(wish.tenant, wish.run, change, audit)


def run_row_json(row: RunRow) -> dict[str, Any]:
    """Give where a run stands."""
    return {
        "run": row.run,
        "tenant": row.tenant,
        "state": str(row.state),
        "guard": row.guard,
        "reason": row.reason,
        "outcome": row.outcome,
        "steps": row.steps,
        "tool_calls": row.tool_calls,
        "in_flight": row.in_flight,
        "parent": row.parent,
        "depth": row.depth,
        "children": row.children,
        "extras": dict(row.extras),
        "is_inferred": bool(row.prefix),
        "began_ns": row.began_ns,
        "last_ns": row.last_ns,
    }
