"""What a person writes as a limit, read exactly.

Owns the forms that `bursar.budget` takes: `"$5"`, `"50k tokens"`, whole dollars, a Decimal; counts of tokens and
requests. A float is no amount of money and is refused.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

from bursar.config.short import parse_amount, parse_short
from bursar.core.budget import Limit, Unit
from bursar.core.money import parse_usd
from bursar.errors import UsageError

__all__ = ["Amount", "Count", "read_limits"]

Amount: TypeAlias = str | int | Decimal
Count: TypeAlias = str | int


def read_limits(amount: Amount | None, tokens: Count | None, requests: Count | None) -> tuple[Limit, ...]:
    """Read the limits of one budget, in USD, tokens and requests. Raises UsageError, which says how to write it."""
    limits: dict[Unit, Limit] = {}
    for limit in (_amount(amount), _count(Unit.TOKENS, tokens), _count(Unit.REQUESTS, requests)):
        if limit is not None:
            if limit.unit in limits:
                raise UsageError(f"two limits in {limit.unit} are given: write one")
            limits[limit.unit] = limit
    return tuple(limits.values())


def _amount(written: Amount | None) -> Limit | None:
    if written is None:
        return None
    if isinstance(written, bool | float):
        raise UsageError(f"{written!r} is no exact amount of money: write it as text, such as '$0.50', or as a Decimal")
    try:
        if isinstance(written, int):
            return Limit(Unit.USD, parse_usd(written))
        if isinstance(written, Decimal):
            return Limit(Unit.USD, parse_usd(f"{written:f}"))
        short = parse_short(written)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if short.period is not None:
        raise UsageError(f"{written!r}: a budget in a program lasts as long as its block; windows stand in bursar.yaml")
    return short.limit


def _count(unit: Unit, written: Count | None) -> Limit | None:
    if written is None:
        return None
    if isinstance(written, bool) or not isinstance(written, int | str):
        raise UsageError(f"{written!r} is no number of {unit}: write for example 50000 or '50k'")
    try:
        return parse_amount(unit, str(written))
    except ValueError as error:
        raise UsageError(str(error)) from error
