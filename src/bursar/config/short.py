"""The short forms: `$5 / day`, `50k tokens per month`, `$100 / 12 weeks from 2026-11-01`.

Owns their grammar, and nothing of the tree. A number is decimal text until it is an exact integer; what is not exact
is refused, never rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from bursar.config.problems import near, show
from bursar.config.values import digits
from bursar.core.budget import Limit, Unit
from bursar.core.money import parse_usd
from bursar.core.window import WindowKind

__all__ = ["DAYS_MAX", "Period", "ShortLimit", "parse_amount", "parse_date", "parse_period", "parse_short"]

DAYS_MAX = 36_600
TEXT_LENGTH_MAX = 120
EXAMPLES = "write for example $5 / day, 50k tokens / month, 100 requests / minute, $1 / run or $100 total"

_SCALES: Mapping[str, int] = MappingProxyType({"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9})
_UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        "$": Unit.USD,
        "usd": Unit.USD,
        "dollar": Unit.USD,
        "dollars": Unit.USD,
        "token": Unit.TOKENS,
        "tokens": Unit.TOKENS,
        "input token": Unit.INPUT_TOKENS,
        "input tokens": Unit.INPUT_TOKENS,
        "output token": Unit.OUTPUT_TOKENS,
        "output tokens": Unit.OUTPUT_TOKENS,
        "request": Unit.REQUESTS,
        "requests": Unit.REQUESTS,
    }
)
_KINDS = tuple(kind for kind in WindowKind if kind is not WindowKind.DAYS)
_SHORT = re.compile(
    r"(?P<sign>\$|usd)? ?(?P<number>[0-9.,_]+)(?: ?(?P<scale>[kmgb](?![a-z])))?(?P<rest>.*)",
    re.IGNORECASE | re.ASCII,
)
_OVER = re.compile(r" ?/ ?| (?:per|an?|each|every) | in (?=total$)| (?=total$)", re.IGNORECASE)
_COUNTED = re.compile(r"([0-9]{1,5}) (day|week)s?(?: from (\S+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """Which windows a limit is for, before a time zone is known."""

    kind: WindowKind
    days: int = 0
    since: date | None = None

    def __str__(self) -> str:
        return f"{self.days} days from {self.since}" if self.kind is WindowKind.DAYS else str(self.kind)


@dataclass(frozen=True, slots=True)
class ShortLimit:
    """One limit, and its period where the text names one."""

    limit: Limit
    period: Period | None


def parse_short(text: str) -> ShortLimit:
    """Read a short form. Raises ValueError with an example when it is none."""
    words = " ".join(text.split())
    found = _SHORT.fullmatch(words) if len(words) <= TEXT_LENGTH_MAX else None
    if found is None:
        raise ValueError(f"{show(text)} is not a limit: {EXAMPLES}")
    unit_text, *over = _OVER.split(found["rest"], maxsplit=1)
    unit = _unit(text, found["sign"], unit_text.strip().lower())
    limit = Limit(unit, _amount(unit, found["number"], found["scale"] or ""))
    return ShortLimit(limit, parse_period(over[0]) if over else None)


def _unit(text: str, sign: str | None, word: str) -> Unit:
    if sign:
        if word in ("", "usd"):
            return Unit.USD
        raise ValueError(f"{show(text)}: {show(word)} does not fit an amount of money; {EXAMPLES}")
    if not word:
        raise ValueError(f"{show(text)}: of what? {EXAMPLES}")
    if word not in _UNITS:
        raise ValueError(f"{show(text)}: {show(word)} is not counted; {near(word, _UNITS)}")
    return _UNITS[word]


def parse_amount(unit: Unit, text: str) -> Limit:
    """Read an amount whose unit is known: `50k` tokens, `$5` or `5` USD."""
    words = " ".join(text.split())
    found = _SHORT.fullmatch(words) if len(words) <= TEXT_LENGTH_MAX else None
    rest = found["rest"].strip().lower() if found else ""
    is_fitting = found is not None and (rest == "" or _UNITS.get(rest) is unit)
    if found is None or not is_fitting or (found["sign"] and unit is not Unit.USD):
        example = "5 or 0.50" if unit is Unit.USD else "50000 or 50k"
        raise ValueError(f"{show(text)} is not an amount of {unit}: write for example {example}")
    return Limit(unit, _amount(unit, found["number"], found["scale"] or ""))


def _amount(unit: Unit, number: str, scale: str) -> int:
    if scale not in _SCALES:
        raise ValueError(f"{show(number + scale)}: write k for thousands, M for millions, G for billions")
    value = Decimal(digits(number)) * _SCALES[scale]
    if unit is Unit.USD:
        return parse_usd(f"{value:f}")
    if value != value.to_integral_value():
        raise ValueError(f"{show(number + scale)} is not a whole number of {unit}")
    return int(value)


def parse_period(text: str) -> Period:
    """Read `day`, `run`, `total`, `30 days from 2026-11-01` or `12 weeks from 2026-11-01`."""
    words = " ".join(text.lower().split())
    if words in _KINDS:
        return Period(WindowKind(words))
    counted = _COUNTED.fullmatch(words)
    if counted is None:
        raise ValueError(f"{show(text)} is no window; {near(words, _KINDS)} Or for example 30 days from 2026-11-01")
    number, unit, since = counted.groups()
    if since is None:
        raise ValueError(f"{show(text)}: from which day? Write for example {words} from 2026-11-01")
    days = int(number) * (7 if unit == "week" else 1)
    if not 1 <= days <= DAYS_MAX:
        raise ValueError(f"{show(text)}: 1 to {DAYS_MAX} days are possible")
    return Period(WindowKind.DAYS, days, parse_date(since))


def parse_date(text: str) -> date:
    """Read a day as YYYY-MM-DD."""
    try:
        if re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", text) is None:
            raise ValueError("another form")
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{show(text)} is not a day: write it as 2026-11-01") from error
