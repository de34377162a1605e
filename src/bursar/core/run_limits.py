"""What a run is measured by, and the most that it may have of each.

Owns the guards' names and limits as a run's row is held against them. What happens where one is passed is `run.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from bursar.core.window import NS

__all__ = ["NO_LIMITS", "Guard", "RunLimit", "RunLimitSet"]

WITHOUT_LIMIT: Final = 2**63
"""More than a row of the ledger can count."""


class Guard(StrEnum):
    """What a run's row is measured by."""

    STEPS = "steps"
    TOOL_CALLS = "tool_calls"
    SECONDS = "seconds"
    PARALLEL = "parallel"
    DEPTH = "depth"
    CHILDREN = "children"


@dataclass(frozen=True, slots=True)
class RunLimit:
    """The most that a run may have of something; `is_parking`: a run that would pass it waits for a person."""

    guard: Guard
    most: int
    is_parking: bool = False


Bounds: TypeAlias = tuple[int, int, int, int, int]


class RunLimitSet(tuple[RunLimit, ...]):  # noqa: SLOT001 - a tuple has no slots to keep more in
    """Limits, and what can be said of them before any call comes: they are the same for all calls of many runs."""

    bounds: Bounds
    """Steps, tool calls, nanoseconds, calls in flight and runs above, of each the least at which a limit refuses one
    call more, as long as nobody has granted anything beyond it."""
    seconds: int | None
    """How long a run may take; None for as long as it likes."""

    def __new__(cls, limits: Iterable[RunLimit] = ()) -> RunLimitSet:
        made = super().__new__(cls, limits)
        least: dict[Guard, int] = {}
        for limit in made:
            least[limit.guard] = min(limit.most, least.get(limit.guard, WITHOUT_LIMIT))
        seconds = made.seconds = least.get(Guard.SECONDS)
        made.bounds = (
            least.get(Guard.STEPS, WITHOUT_LIMIT),
            least.get(Guard.TOOL_CALLS, WITHOUT_LIMIT),
            # A clock may be behind a run's beginning: of no seconds at all, none is left then either.
            WITHOUT_LIMIT if seconds is None else seconds * NS if seconds > 0 else -WITHOUT_LIMIT,
            least.get(Guard.PARALLEL, WITHOUT_LIMIT),
            # A run may be as deep as its limit; all else is refused at the limit.
            least.get(Guard.DEPTH, WITHOUT_LIMIT) + 1,
        )
        return made


NO_LIMITS: Final = RunLimitSet()
