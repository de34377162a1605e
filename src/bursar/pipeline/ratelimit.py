"""The IETF's `RateLimit` fields for a call's tightest budgets (draft-ietf-httpapi-ratelimit-headers-11).

Owns their syntax: lists of quoted names with whole numbers. They tell and never ask: what makes clients sleep or try
again (`retry-after`, `x-should-retry`) is the refusals' matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from bursar.core.admission import Balance, Line
from bursar.core.budget import Unit
from bursar.core.window import FOREVER_NS, NS

__all__ = ["POLICIES_MAX", "part_left", "ratelimit_headers", "tightest"]

POLICIES_MAX = 3
"""How many budgets are told, the tightest first; a call may count against many."""
NAME_LENGTH_MAX = 128
INTEGER_MAX = 999_999_999_999_999
"""The largest whole number of a structured field (RFC 9651)."""
MICRO = 1_000
"""Nano-USD in a micro-USD: in nano-USD a limit of a million USD would have too many digits."""
_USD = Unit.USD
UNITS: Mapping[Unit, str] = MappingProxyType(
    {
        Unit.USD: "bursar-micro-usd",
        Unit.TOKENS: "bursar-tokens",
        Unit.INPUT_TOKENS: "bursar-input-tokens",
        Unit.OUTPUT_TOKENS: "bursar-output-tokens",
        Unit.REQUESTS: "requests",
    }
)
"""Quota units. The draft registers requests and bytes only, so ours carry our name, to be taken for nothing else."""


def tightest(pairs: Iterable[tuple[Line, Balance]]) -> list[tuple[Line, Balance]]:
    """Pick the lines that are told of: those that have the least left as a part of their limit, the tightest first."""
    return sorted(pairs, key=part_left)[:POLICIES_MAX]


def part_left(pair: tuple[Line, Balance]) -> float:
    """Say which part of its limit a line has left; only to compare, never to count."""
    line, balance = pair
    left = line.limit - balance.settled - balance.presumed - balance.held
    return left / (line.limit or 1) if left > 0 else 0.0


def ratelimit_headers(pairs: Sequence[tuple[Line, Balance]], at_ns: int) -> dict[str, str]:
    """Write both fields for what `tightest` gave; none where nothing limits the call.

    `q` is the limit, `w` the window's length and `t` the time to its end in seconds (neither for a budget without an
    end), `r` what is left beside everything held, rounded down.
    """
    if not pairs:
        return {}
    written = [(*_written(line), line, balance) for line, balance in pairs]
    return {
        "ratelimit-policy": ", ".join([policy for _, policy, _, _ in written]),
        "ratelimit": ", ".join([_state(name, line, balance, at_ns) for name, _, line, balance in written]),
    }


@lru_cache(maxsize=10_000)
def _written(line: Line) -> tuple[str, str]:
    """Name a policy by budget and unit, since a budget may have a limit in each; and write it down."""
    name = f'"{_quotable(line.budget)}/{line.unit}"'
    window = "" if line.ends_ns >= FOREVER_NS else f";w={max(1, (line.ends_ns - line.starts_ns) // NS)}"
    return name, f'{name};q={_amount(line.unit, line.limit)};qu="{UNITS[line.unit]}"{window}'


def _state(name: str, line: Line, balance: Balance, at_ns: int) -> str:
    reset = "" if line.ends_ns >= FOREVER_NS else f";t={max(0, -(-(line.ends_ns - at_ns) // NS))}"
    left = max(0, line.limit - balance.settled - balance.presumed - balance.held)
    return f"{name};r={_amount(line.unit, left)}{reset}"


def _quotable(name: str) -> str:
    """Write a name as it may stand between quotes: in plain ASCII."""
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in name[:NAME_LENGTH_MAX])
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def _amount(unit: Unit, amount: int) -> int:
    return min(amount // MICRO if unit is _USD else amount, INTEGER_MAX)
