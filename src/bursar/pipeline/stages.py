"""The order of the stages, with a reason per line, and the way through them.

Owns the list that library and gateway run alike. It decides nothing: a stage passes a call on, replaces it, answers
itself, or wraps the reply, and never knows another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bursar.core.guards import Guards
from bursar.guards.board import RunBoard
from bursar.guards.ladder import Ladder
from bursar.guards.limits import RunLimits
from bursar.guards.loops.stage import LoopGuard
from bursar.guards.loops.watch import Loops
from bursar.guards.naming import RunNaming
from bursar.guards.parking import Parking
from bursar.guards.ports import Runs, Sleep
from bursar.pipeline.call import Call, Next, Stage
from bursar.pipeline.ports import Clock

__all__ = ["StageParts", "chained", "stages"]


@dataclass(frozen=True, slots=True)
class StageParts:
    """What the stages are made with."""

    guards: Guards
    runs: Runs
    clock: Clock
    board: RunBoard
    """The one that the accounts tell of each hold."""
    is_run_counted: Callable[[], bool]
    """Tells whether a budget counts by run now."""
    retarget: Callable[[Call, str], Call]
    """Sends a call to another model; the same call where nobody answers it under that name."""
    sleep: Sleep = asyncio.sleep
    loops: Loops | None = None
    """What is remembered of runs for the guard `loops`, where that is on; it hears of every call that ended."""

    def is_run_needed(self) -> bool:
        """Tell whether something counts by run, so that each call must belong to one."""
        return bool(self.guards) or self.is_run_counted()


def stages(parts: StageParts) -> tuple[Stage, ...]:
    """Give the stages before the hold. What is switched off is not in the list, and costs nothing."""
    guards, runs, clock = parts.guards, parts.runs, parts.clock
    # A run has its name before anything counts by it. Budgets change while bursar runs, so this asks each time.
    found: list[Stage] = [RunNaming(parts.is_run_needed, runs, clock)]
    if guards:
        # What waits for a person waits before anything is asked of the ledger.
        found.append(Parking(guards, runs, clock, parts.sleep))
    if guards.loops is not None and parts.loops is not None:
        # Before anything is added to the request: it looks at what the client sent.
        found.append(LoopGuard(guards.loops, parts.loops, runs, clock, parts.retarget))
    if guards.has_ladder:
        # Before the call is quoted: another model has another price, and a note is input.
        found.append(Ladder(guards, parts.board, clock, parts.retarget))
    if guards:
        # Last, since what it asks is answered inside the hold's own transaction.
        found.append(RunLimits(guards))
    return tuple(found)


def chained(before: Sequence[Stage], hold: Next) -> Next:
    """Make one way of the stages; the hold is the last."""
    way = hold
    for stage in reversed(before):
        way = partial(stage, following=way)
    return way
