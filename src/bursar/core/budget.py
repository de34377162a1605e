"""A budget: limits on a scope over a window.

Owns which calls a budget counts (`match`), how it splits them (`per`), and its identity: what may change without
losing what was spent (limits, warnings, links) and what makes it another budget.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType

from bursar.core.labels import NONE, Labels, is_label
from bursar.core.money import AMOUNT_MAX
from bursar.core.window import Span, Window, WindowKind

__all__ = ["LIMIT_MAX", "Budget", "Limit", "Policy", "Unit", "fits"]

COUNT_LIMIT_MAX = 2**53
"""The largest limit in tokens or requests."""


class Unit(StrEnum):
    """What a limit counts. Amounts are nano-USD, tokens or requests."""

    USD = "usd"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    REQUESTS = "requests"

    # Units are keys wherever a call is counted, and an enum's own hash is computed in Python.
    __hash__ = str.__hash__


LIMIT_MAX: Mapping[Unit, int] = MappingProxyType(
    {unit: AMOUNT_MAX if unit is Unit.USD else COUNT_LIMIT_MAX for unit in Unit}
)
"""The largest limit in each unit."""


_RUN = WindowKind.RUN


class Policy(StrEnum):
    """What to do when something is unknown or down."""

    DENY = "deny"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount in one unit: nano-USD for usd, else a count."""

    unit: Unit
    amount: int

    def __post_init__(self) -> None:
        most = LIMIT_MAX[self.unit]
        if type(self.amount) is not int or not 0 <= self.amount <= most:
            raise ValueError(f"a limit in {self.unit} lies between 0 and {most:,}")


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget definition.

    `match` holds (label, patterns): the label's value must fit one of the patterns (`*` stands for anything). `per`
    splits the budget: every value of these labels has the whole limit for itself. `warn_at` are percentages.
    """

    name: str
    limits: tuple[Limit, ...]
    window: Window
    match: tuple[tuple[str, tuple[str, ...]], ...] = ()
    per: tuple[str, ...] = ()
    tenant: str = "default"
    """Whose calls it counts; `*`: each tenant has the whole budget for itself."""
    is_strict: bool = False
    on_unknown_price: Policy = Policy.DENY
    on_store_down: Policy = Policy.DENY
    link: str = ""
    warn_at: tuple[int, ...] = (80,)
    values_max: int = 10_000
    instance: str = ""
    """Sets apart budgets that are alike in all else, each with a balance of its own: one `with` in a program."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a budget needs a name")
        if not self.limits or len({limit.unit for limit in self.limits}) != len(self.limits):
            raise ValueError(f"budget {self.name}: at least one limit, and one per unit, are needed")
        for label in (*self.per, *(label for label, _ in self.match)):
            if not is_label(label):
                raise ValueError(f"budget {self.name}: {label!r} is not a label")
        if self.values_max < 1:
            raise ValueError(f"budget {self.name}: values_max is at least 1")

    @property
    def split(self) -> tuple[str, ...]:
        """The labels whose values have a balance each: `per`, and the run where the window is a run."""
        return (*self.per, "run") if self.window.kind is _RUN and "run" not in self.per else self.per

    @property
    def is_capped_in_values(self) -> bool:
        """Runs come and go without end, so only other scopes are counted against `values_max`."""
        return bool(self.split) and self.window.kind is not WindowKind.RUN

    def matches(self, labels: Labels) -> bool:
        """Tell whether a call with these labels counts against this budget."""
        return all(fits(labels[label], patterns) for label, patterns in self.match)

    def scope(self, labels: Labels) -> str:
        """Name the balance that a call counts against: `` for an unsplit budget, else `user=ada` or `team=a,user=b`.

        Commas, equals signs and backslashes inside a value are escaped, so two scopes never share a name.
        """
        split = self.split
        return ",".join([f"{label}={_escaped(labels[label])}" for label in split]) if split else ""

    def limits_in(self, span: Span) -> tuple[Limit, ...]:
        """Give the limits that hold in a window: before and after a term of N days they are zero."""
        if self.window.is_within_term(span):
            return self.limits
        return tuple(Limit(limit.unit, 0) for limit in self.limits)

    @property
    def identity(self) -> str:
        """Say what makes this budget this budget; limits, policies, links and warnings may change without loss."""
        return _identity(self.name, self.match, self.per, self.window, self.instance)


@lru_cache(maxsize=4_096)
def _identity(
    name: str,
    match: tuple[tuple[str, tuple[str, ...]], ...],
    per: tuple[str, ...],
    window: Window,
    instance: str,
) -> str:
    """Write it down once for all tenants: a budget of every tenant is asked for it thousands of times."""
    since = window.since.isoformat() if window.since else ""
    parts: list[object] = [
        name,
        sorted((label, sorted(patterns)) for label, patterns in match),
        list(per),
        [window.kind, window.timezone, window.week_start, window.days, since],
    ]
    # Ledgers hold identities of budgets from before there were instances.
    return json.dumps([*parts, instance] if instance else parts, separators=(",", ":"))


def fits(value: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a label's value is one of the patterns (`*` stands for anything)."""
    return any(
        value == pattern or ("*" in pattern and value != NONE and _is_like(value, pattern)) for pattern in patterns
    )


def _is_like(value: str, pattern: str) -> bool:
    """Only `*` is special here: brackets and question marks stand for themselves."""
    return fnmatchcase(value, pattern.replace("[", "[[]").replace("?", "[?]"))


def _escaped(value: str) -> str:
    if value.isalnum():
        return value
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
