"""Amounts, budgets and times as words.

Owns how money, counts, instants and limits are written for a person. No sum is made here.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from bursar.core.budget import Budget, Limit, Unit
from bursar.core.money import NANO_PER_USD, format_usd
from bursar.core.window import FOREVER_NS, WindowKind, to_datetime

__all__ = [
    "amount_words",
    "instant",
    "limits_words",
    "money",
    "scope_words",
    "short_money",
    "until_words",
    "window_words",
]

SHORT_STEP = NANO_PER_USD // 10_000
"""Tables show money to a hundredth of a cent."""


def money(nano: int) -> str:
    """Write an amount exactly."""
    return format_usd(nano)


def short_money(nano: int) -> str:
    """Write an amount for a table: four decimals, rounded to the nearest; less than that is never shown as nothing."""
    sign, size = ("-" if nano < 0 else ""), abs(nano)
    steps = (size + SHORT_STEP // 2) // SHORT_STEP
    if size and not steps:
        return f"<{sign}$0.0001"
    whole, rest = divmod(steps, 10_000)
    return f"{sign}${whole:,}.{rest:04d}"


def amount_words(unit: Unit, amount: int) -> str:
    """Write an amount of a limit with its unit."""
    if unit is Unit.USD:
        return short_money(amount)
    words = unit.replace("_", " ")
    return f"{amount:,} {words.removesuffix('s') if amount == 1 else words}"


def _limit_words(limit: Limit) -> str:
    return money(limit.amount) if limit.unit is Unit.USD else amount_words(limit.unit, limit.amount)


def window_words(budget: Budget) -> str:
    """Say over which time a budget counts."""
    window = budget.window
    match window.kind:
        case WindowKind.TOTAL:
            return "in total"
        case WindowKind.RUN:
            return "per run"
        case WindowKind.DAYS:
            return f"per {window.days} days from {window.since}"
        case _:
            return f"per {window.kind}"


def limits_words(budget: Budget) -> str:
    """Say what a budget allows: `$5.00 per day (Europe/Paris)`."""
    is_local = budget.window.kind not in (WindowKind.RUN, WindowKind.TOTAL, WindowKind.MINUTE, WindowKind.HOUR)
    zone = f" ({budget.window.timezone})" if is_local else ""
    return f"{' and '.join(_limit_words(limit) for limit in budget.limits)} {window_words(budget)}{zone}"


def scope_words(budget: Budget) -> str:
    """Say whose calls a budget counts: `, for each user`, `, where agent is researcher`; nothing for everybody."""
    each = f", for each {' and '.join(budget.per)}" if budget.per else ""
    where = " and ".join(f"{label} is {' or '.join(patterns)}" for label, patterns in budget.match)
    return f"{each}{', where ' + where if where else ''}"


def instant(at_ns: int, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Write an instant in a time zone; `-` for none."""
    return local(at_ns, zone).strftime(form) if at_ns else "-"


def local(at_ns: int, zone: ZoneInfo) -> datetime:
    """Give an instant in a time zone."""
    return to_datetime(at_ns).astimezone(zone)


def until_words(ends_ns: int, zone: ZoneInfo) -> str:
    """Write when a window ends."""
    return "never" if ends_ns >= FOREVER_NS else instant(ends_ns, zone, "%Y-%m-%d %H:%M")
