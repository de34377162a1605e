"""What a refused client is told: who, what, until when, and where to ask for more.

Owns the words and the headers of a refusal. The text never says "rate limit" or "429": some frameworks sleep a minute
when they read that.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache

from bursar.core.admission import Balance, Line
from bursar.core.budget import Budget, Unit
from bursar.core.ledger import Refused, Reservation
from bursar.core.money import format_usd
from bursar.core.window import FOREVER_NS, Span, to_datetime
from bursar.errors import StoreUnavailable
from bursar.pipeline.call import Call, Reply
from bursar.pipeline.ratelimit import ratelimit_headers
from bursar.wire.base import Refusal

__all__ = [
    "STORE_DOWN",
    "balance_headers",
    "format_amount",
    "harmless",
    "refuse",
    "refuse_budget",
    "refuse_more",
    "refuse_store_down",
    "refuse_unbegun",
    "remaining",
]

log = logging.getLogger("bursar.pipeline")

CODEX_WORDS_MAX = 2000
"""Characters of a refusal that go into a header."""
CONTENDED_RETRY_S = 5
"""Short: the money that is in flight comes back within seconds."""
SPENT = ("budget_exceeded", "run_stopped", "run_parked")
"""Refusals that say that something is used up: Codex stops at its own word for these, and shows ours."""
STORE_DOWN = "the ledger cannot be read or written now"
STORE_DOWN_RETRY_S = 5
_FORBIDDEN = ("429", "rate limit")
_INSTEAD = {
    "price_unknown": "no price is known for this model, and a budget is in USD: add one under prices:",
    "run_stopped": "a guard has stopped this run",
    "run_parked": "this run waits for a person's approval",
    "not_found": "bursar does not serve this path",
    "upstream_failed": "the provider did not answer as it should",
}


def refuse(call: Call, refusal: Refusal) -> Reply:
    """Write a refusal as its client understands it.

    402 with `x-should-retry: false` ends most clients' retries at once, but not Codex's.
    """
    headers = {"x-bursar-call": call.id, **refusal.headers}
    refusal = harmless(refusal)
    if refusal.status == 402:
        headers["x-should-retry"] = "false"
    if headers.get("x-should-retry") == "false" and call.client.startswith("codex"):
        refusal, more = _for_codex(refusal)
        headers |= more
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    headers["content-type"] = "application/json"
    return Reply(refusal.status, tuple(headers.items()), call.wire.refusal(refusal), refusal)


def _for_codex(refusal: Refusal) -> tuple[Refusal, dict[str, str]]:
    """Give Codex the two answers that it stops at and whose words it shows.

    It takes no notice of `x-should-retry`: a 402 it asks six times, a 502 thirty times, and each may be billed. Of a
    429 it shows what this header says, and only as ASCII; of a 400 the body, which suits what is no usage limit.
    """
    if refusal.code not in SPENT:
        return replace(refusal, status=400), {}
    shown = "".join(each if each.isascii() and each.isprintable() else "?" for each in refusal.message)
    # Codex goes on: ", or try again later."
    told = {"x-codex-promo-message": shown[:CODEX_WORDS_MAX].rstrip(".")}
    return replace(refusal, status=429, code="usage_limit_reached"), told


def harmless(refusal: Refusal) -> Refusal:
    """Leave out the words where a name, which a client may have chosen, puts forbidden ones among them."""
    if not _is_forbidden(refusal.message):
        return refusal
    words = _INSTEAD.get(refusal.code, "bursar refuses this request, and a name in it forbids to say more.")
    return replace(refusal, message=words)


def _is_forbidden(text: str) -> bool:
    return any(word in text.lower() for word in _FORBIDDEN)


def refuse_store_down(error: StoreUnavailable) -> Refusal:
    """Say that the ledger is down; what is wrong with which file is the operator's to read in the log."""
    log.warning("a call is refused: %s", error.message)
    return Refusal(error.status, "store_unavailable", STORE_DOWN, retry_after_s=STORE_DOWN_RETRY_S)


def refuse_budget(budgets: tuple[Budget, ...], asked: Reservation, refused: Refused) -> Refusal:
    """Say which budget refused: spent, or only in flight."""
    line, balance = refused.line, refused.balance
    budget = _budget_of(line, budgets)
    assert budget is not None, "a line is made of one of the call's budgets"
    link = budget.link
    needs = asked.cover.amounts(asked.ask.at_least).amount(line.unit)
    used = balance.settled + balance.presumed
    who = f"Budget {line.budget!r}" + (f" of {line.scope}" if line.scope else "")
    until = "" if line.ends_ns >= FOREVER_NS else f" until {to_datetime(line.ends_ns):%Y-%m-%d %H:%M} UTC"
    more = f" To get more: {link}" if link else ""
    sums = f"{_count(line.unit, used)} of {format_amount(line.unit, line.limit)}"
    if not budget.window.is_within_term(Span(line.starts_ns, line.ends_ns)):
        since, days = budget.window.since, budget.window.days
        full = f"{who} is for {days} days from {since} ({budget.window.timezone}), and this is another day.{more}"
        message = _clean(full, f"{who} is for other days.{more}", more)
        return Refusal(402, "budget_exceeded", message, budget=line.identity)
    if refused.is_exhausted:
        headers = balance_headers(line, balance) | ratelimit_headers([(line, balance)], asked.at_ns)
        plain = f"{who} has no room for this call{until}.{more}"
        full = f"{who}: {sums} used{until}; this call needs up to {format_amount(line.unit, needs)}.{more}"
        message = _clean(full, plain, more)
        return Refusal(402, "budget_exceeded", message, headers=headers, budget=line.identity)
    plain = f"{who}: the rest is held by calls in flight; try again in a few seconds."
    full = f"{who}: {sums} used, and the rest is held by calls in flight; try again in a few seconds."
    headers = balance_headers(line, balance)
    return Refusal(429, "contended", _clean(full, plain, ""), retry_after_s=CONTENDED_RETRY_S, headers=headers)


def refuse_unbegun(budgets: tuple[Budget, ...], line: Line | None) -> Refusal:
    """Say that the money ended while the answer to a call was awaited, of which nothing had come yet."""
    return refuse_more(budgets, line, "which had not begun")


def refuse_more(budgets: tuple[Budget, ...], line: Line | None, which: str) -> Refusal:
    """Say that a budget lets an answer go no further."""
    budget = _budget_of(line, budgets) if line else None
    who = f"Budget {budget.name!r}" if budget else "A budget"
    more = f" To get more: {budget.link}" if budget and budget.link else ""
    what = f"has no room for more of this answer, {which}; what may be billed of it is counted."
    message = _clean(f"{who} {what}{more}", f"A budget {what}{more}", more)
    return Refusal(402, "budget_exceeded", message, budget=line.identity if line else "")


def refuse_share(budgets: tuple[Budget, ...], line: Line) -> Refusal:
    """Say that a budget that has more has let an answer have a share of it."""
    budget = _budget_of(line, budgets)
    what = "had a share of what is left for this answer, which ended there; what may be billed of it is counted."
    message = _clean(f"Budget {budget.name!r} {what}" if budget else f"A budget {what}", f"A budget {what}", "")
    return Refusal(402, "budget_exceeded", message, budget=line.identity)


def _budget_of(line: Line, budgets: tuple[Budget, ...]) -> Budget | None:
    """Find the budget of a line; a scope may have the name of another budget, so what is alike in all comes first."""
    named = [budget for budget in budgets if budget.name == line.budget]
    return next((budget for budget in named if budget.identity == line.identity), named[0] if named else None)


def _clean(full: str, plain: str, more: str) -> str:
    """Fall back to fewer words where an amount or a name happens to read like a forbidden one."""
    for text in (full, plain, f"This budget has no room for this call.{more}"):
        if not _is_forbidden(text):
            return text
    return "This budget has no room for this call."


def remaining(line: Line, balance: Balance) -> int:
    """Say what is left of a line beside everything held, never below zero."""
    return max(0, line.limit - balance.settled - balance.presumed - balance.held)


def balance_headers(line: Line, balance: Balance) -> dict[str, str]:
    """Tell the tightest budget, what is left of it, and when its window ends."""
    headers = dict(_place_headers(line))
    left = remaining(line, balance)
    if line.unit is Unit.USD:
        headers["x-bursar-remaining-usd"] = plain_usd(left)
    elif line.unit is Unit.REQUESTS:
        headers["x-bursar-remaining-requests"] = str(left)
    else:
        headers["x-bursar-remaining-tokens"] = str(left)
    return headers


@lru_cache(maxsize=10_000)
def _place_headers(line: Line) -> tuple[tuple[str, str], ...]:
    """Say which budget a line is of and when its window ends: written once for all calls in it."""
    name = line.budget if line.budget.isascii() and line.budget.isprintable() else line.budget.encode().hex()
    if line.ends_ns >= FOREVER_NS:
        return (("x-bursar-budget", name),)
    return ("x-bursar-budget", name), ("x-bursar-reset", f"{to_datetime(line.ends_ns):%Y-%m-%dT%H:%M:%SZ}")


def plain_usd(nano: int) -> str:
    """Write an amount for a program: a decimal number without sign or separator."""
    return format_usd(nano).lstrip("$").replace(",", "")


def format_amount(unit: Unit, amount: int) -> str:
    """Write an amount for a person; money is rounded up to a hundredth of a cent."""
    words = unit.replace("_", " ")
    return (
        _count(unit, amount) if unit is Unit.USD else f"{amount:,} {words.removesuffix('s') if amount == 1 else words}"
    )


def _count(unit: Unit, amount: int) -> str:
    """Write an amount whose unit is said beside it."""
    return format_usd(-(-amount // 100_000) * 100_000) if unit is Unit.USD else f"{amount:,}"
