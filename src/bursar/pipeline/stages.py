"""The order of the stages, with a reason per line, and the way through them.

Owns the list that library and gateway run alike. It decides nothing: a stage passes a call on, replaces it, answers
itself, or wraps the reply, and never knows another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from bursar.core.guards import Guards
from bursar.guards.limits import RunLimits
from bursar.guards.naming import RunNaming
from bursar.guards.parking import Parking, Pause
from bursar.guards.ports import Runs
from bursar.pipeline.call import Next, Stage
from bursar.pipeline.ports import Clock

__all__ = ["chained", "stages"]


def stages(
    guards: Guards, runs: Runs, clock: Clock, is_run_counted: Callable[[], bool], pause: Pause = asyncio.sleep
) -> tuple[Stage, ...]:
    """Give the stages before the hold. What is switched off is not in the list, and costs nothing.

    `pause` is how a call waits some seconds, wherever it is driven.
    """
    # A run has its name before anything counts by it; live budgets may count by run, so this asks each time.
    first: tuple[Stage, ...] = (RunNaming(lambda: bool(guards) or is_run_counted(), runs, clock),)
    if not guards:
        return first
    return (
        *first,
        # What waits for a person waits before anything is asked of the ledger.
        Parking(guards, runs, clock, pause),
        # Last, since what it asks is answered inside the hold's own transaction.
        RunLimits(guards),
    )


def chained(before: Sequence[Stage], hold: Next) -> Next:
    """Make one way of the stages; the hold is the last."""
    way = hold
    for stage in reversed(before):
        way = partial(stage, following=way)
    return way
