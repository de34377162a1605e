"""What a client is told when its run, not a budget, refuses a call.

Owns these words and headers: which guard, how far the run has come, and how a person lets it go on.
"""

from __future__ import annotations

from bursar.core.budget import Budget
from bursar.core.ledger import Refused, Reservation
from bursar.core.run import Guard, RunDenial, RunRow, RunState
from bursar.pipeline.refusals import refuse_budget
from bursar.wire.base import Refusal

__all__ = ["refuse_overdue", "refuse_verdict", "run_headers"]

PARALLEL_RETRY_S = 1
_COUNTED = {
    Guard.STEPS: "steps",
    Guard.TOOL_CALLS: "tool calls",
    Guard.SECONDS: "seconds",
    Guard.PARALLEL: "calls at once",
    Guard.DEPTH: "runs below another",
    Guard.CHILDREN: "runs begun by one",
}


def refuse_verdict(budgets: tuple[Budget, ...], asked: Reservation, refused: Refused, link: str) -> Refusal:
    """Say who refused: a budget, or the call's run."""
    if refused.run is None:
        return refuse_budget(budgets, asked, refused)
    denial = refused.run
    headers = run_headers(denial.row) | ({"x-bursar-guard": denial.guard} if denial.guard else {})
    if denial.is_contended:
        message = f"{_who(denial.row)} has {denial.figure} of {denial.most} calls in flight; try again in a moment."
        return Refusal(429, "contended", message, retry_after_s=PARALLEL_RETRY_S, headers=headers)
    more = f" To get more: {link}" if link else ""
    code = "run_parked" if denial.is_parked else "run_stopped"
    return Refusal(402, code, f"{_who(denial.row)} {_what(denial)}.{_advice(denial)}{more}", headers=headers)


def refuse_overdue(row: RunRow) -> Refusal:
    """Say that the run's seconds ended while an answer was awaited, of which nothing had come yet."""
    what = "has used up its seconds while this answer was awaited; what may be billed of it is counted."
    return Refusal(402, "run_stopped", f"{_who(row)} {what}", headers={"x-bursar-guard": str(Guard.SECONDS)})


def run_headers(row: RunRow) -> dict[str, str]:
    """Tell a client its run, and where that stands."""
    name = row.run if row.run.isascii() and row.run.isprintable() else row.run.encode().hex()
    return {"x-bursar-run": name, "x-bursar-run-state": str(row.state)}


def _who(row: RunRow) -> str:
    return f"Run {row.run!r}"


def _what(denial: RunDenial) -> str:
    row, guard = denial.row, denial.guard
    figures = _figures(denial)
    reason = f": {row.reason}" if row.reason else ""
    if denial.is_parked:
        return f"waits for a person's approval{figures or reason}"
    if row.state is RunState.STOPPED:
        by = f"was stopped by its guard '{guard}'" if guard else "was stopped"
        return f"{by}{figures or reason}"
    return f"may not begin{figures}" if guard in (Guard.DEPTH, Guard.CHILDREN) else f"is refused{figures}"


def _figures(denial: RunDenial) -> str:
    counted = next((words for guard, words in _COUNTED.items() if guard == denial.guard), "")
    if not counted:
        return ""
    return f": {denial.figure:,} of {denial.most:,} {counted}" if denial.most else f": {denial.figure:,} {counted}"


def _advice(denial: RunDenial) -> str:
    if denial.row.state is RunState.RUNNING:
        return ""
    return f" To let it go on: bursar runs approve {denial.row.run}"
