"""What guards are switched on, and what each does as a run nears its limit.

Owns the shapes only: a rule per guard, its ladder of acts, and the one value that a configuration gives. The limits
that the ledger itself checks are `core/run.py`'s; tokens and money of a run are budgets, named here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bursar.core.budget import Budget, fits
from bursar.core.labels import Labels
from bursar.core.loops import LOOPS, LoopSettings
from bursar.core.run import Guard, RunLimit

__all__ = ["BUDGET_PREFIX", "MONEY_GUARDS", "ROW_GUARDS", "Act", "GuardRule", "Guards", "LadderStep", "LoopRule"]

ROW_GUARDS = tuple(str(guard) for guard in Guard)
"""Guards that a run's row is measured by."""
MONEY_GUARDS = ("tokens", "cost", "spend_per_minute")
"""Guards that are budgets, so that they hold what they limit before it is spent."""
BUDGET_PREFIX = "guard "
"""How the names of these budgets begin."""


class Act(StrEnum):
    """What a guard does, from mild to final."""

    WARN = "warn"
    """A header of the answer, and a line in the log."""
    NOTE = "note"
    """A sentence to the model in the next request."""
    MODEL = "model"
    """A cheaper model for the rest of the run."""
    PARK = "park"
    """The run waits for a person."""
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One rung: what happens once so many percent of the limit are used."""

    act: Act
    percent: int = 100
    model: str = ""


STOPPING = (LadderStep(Act.STOP),)


@dataclass(frozen=True, slots=True)
class GuardRule:
    """One guard that is on: its limit for the runs whose labels match, and its ladder, the mildest act first."""

    guard: str
    most: int
    match: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ladder: tuple[LadderStep, ...] = STOPPING
    budget: str = ""
    """The budget that counts it, where a budget does."""

    @property
    def is_parking(self) -> bool:
        """Tell whether a run that reaches the limit waits for a person instead of being stopped."""
        return any(step.act is Act.PARK for step in self.ladder)

    @property
    def early(self) -> tuple[LadderStep, ...]:
        """The rungs before the end."""
        return tuple(step for step in self.ladder if step.act not in (Act.PARK, Act.STOP))

    def matches(self, labels: Labels) -> bool:
        """Tell whether it looks at calls with these labels."""
        return all(fits(labels[label], patterns) for label, patterns in self.match)

    def limit(self) -> RunLimit | None:
        """Give the limit that the ledger checks with each call; None where a budget does."""
        return RunLimit(Guard(self.guard), self.most, self.is_parking) if self.guard in ROW_GUARDS else None


@dataclass(frozen=True, slots=True)
class LoopRule:
    """The guard `loops`: what it calls a loop, in which runs, and what it does; each finding is one rung further."""

    settings: LoopSettings = LOOPS
    match: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ladder: tuple[LadderStep, ...] = STOPPING

    def matches(self, labels: Labels) -> bool:
        """Tell whether it looks at calls with these labels."""
        return all(fits(labels[label], patterns) for label, patterns in self.match)


@dataclass(frozen=True, slots=True)
class Guards:
    """The guards of a configuration. Empty: none is on, and no call costs anything for them."""

    rules: tuple[GuardRule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    """Those of the rules that budgets count; they are in force beside all others."""
    park_wait_s: float = 0.0
    """How long a call of a parked run waits for a person before it is refused."""
    loops: LoopRule | None = None

    def __bool__(self) -> bool:
        return bool(self.rules) or self.loops is not None

    @property
    def has_ladder(self) -> bool:
        """Tell whether a rule does something before it refuses."""
        return any(rule.early for rule in self.rules)

    @property
    def matched(self) -> tuple[str, ...]:
        """Name the labels that decide which guards look at a call."""
        rules = (*self.rules, *((self.loops,) if self.loops is not None else ()))
        return tuple(dict.fromkeys(label for rule in rules for label, _ in rule.match))

    def limits(self, labels: Labels) -> tuple[RunLimit, ...] | None:
        """Give the limits of a call's run that the ledger checks; of one guard the strictest that matches counts.

        None where no guard looks at such calls.
        """
        matching = [rule for rule in self.rules if rule.matches(labels)]
        is_watched = bool(matching) or (self.loops is not None and self.loops.matches(labels))
        return _strictest(rule.limit() for rule in matching) if is_watched else None

    def of_budget(self, name: str) -> GuardRule | None:
        """Find the rule behind a budget."""
        return next((rule for rule in self.rules if rule.budget and rule.budget == name), None)


def _strictest(limits: Iterable[RunLimit | None]) -> tuple[RunLimit, ...]:
    found: dict[Guard, RunLimit] = {}
    for limit in limits:
        if limit is not None and (limit.guard not in found or limit.most < found[limit.guard].most):
            found[limit.guard] = limit
    return tuple(found.values())
