"""Money as integers: nano-USD for amounts, pico-USD per unit for rates.

Owns parsing, formatting and the one rounding rule (up, once per attempt). Must never see a float.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

__all__ = ["AMOUNT_MAX", "NANO_PER_USD", "Nano", "Pico", "ceil_nano", "format_usd", "parse_usd", "pico_per_token"]

Nano: TypeAlias = int
"""An amount of money: 1 USD = 1,000,000,000."""
Pico: TypeAlias = int
"""A rate: pico-USD per token, search or request. List prices are exact in it."""

NANO_PER_USD = 1_000_000_000
AMOUNT_MAX = 9_000_000 * NANO_PER_USD
"""The largest limit: 9 M$, so that every amount stays exact in any 53-bit number that a reader may use."""

_WHOLE = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:_[0-9]{3})+|[0-9]{1,30}"
_USD = re.compile(
    rf"\s*(?:\$|usd)?\s*(?:(?P<whole>{_WHOLE})(?:\.(?P<part>[0-9]{{1,30}}))?|\.(?P<only>[0-9]{{1,30}}))\s*(?:usd|\$)?\s*",
    re.IGNORECASE,
)


def ceil_nano(pico: int) -> Nano:
    """Round pico-USD up to whole nano-USD: at most 1 nano too high, never too low."""
    return -(-pico // 1000)


def parse_usd(text: str | int) -> Nano:
    """Read `$5`, `0.50`, `12 usd` or 5 as nano-USD.

    A comma separates thousands and nothing else: `0,50` is refused, not read as fifty. Raises ValueError for anything
    else, for a negative amount, for more than nine decimals, and above AMOUNT_MAX.
    """
    if isinstance(text, bool):
        raise ValueError(f"{text!r} is not an amount of money")
    found = _USD.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is not an amount of money: write for example $5 or $0.50")
    whole = (found["whole"] or "0").replace(",", "").replace("_", "")
    decimals = (found["part"] or found["only"] or "").rstrip("0")
    if len(decimals) > 9:
        raise ValueError(f"{text!r} has more than nine decimals")
    nano = int(whole) * NANO_PER_USD + int(decimals.ljust(9, "0"))
    if nano > AMOUNT_MAX:
        raise ValueError(f"{text!r} is above the largest limit, $9,000,000")
    return nano


def pico_per_token(usd_per_million: Decimal | str | int) -> Pico:
    """Turn a list price in USD per million units into pico-USD per unit.

    $1 per million is 1,000,000 pico each. Raises ValueError when that is not exact, or negative.
    """
    price = Decimal(usd_per_million)
    # As a fraction, since a Decimal product is rounded to 28 digits.
    pico = Fraction(price) * 1_000_000 if price.is_finite() and abs(price.adjusted()) <= 30 else Fraction(-1)
    if pico < 0 or pico.denominator != 1:
        raise ValueError(f"{usd_per_million} USD per million is not a whole number of pico-USD each")
    return pico.numerator


def format_usd(nano: Nano) -> str:
    """Write an amount as a person reads it: two decimals, more only where they are needed."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    digits = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{digits}"
