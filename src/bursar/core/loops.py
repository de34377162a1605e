"""How much of the same is a loop: what the guard `loops` is set to.

Owns the thresholds, their defaults and the reasons. `bench/loops.py` prints what they catch and what they stop falsely.
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.core.money import Nano

__all__ = ["LOOPS", "LoopSettings"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Thresholds of the loop rules; 0 switches a rule off.

    Each counts what the latest step adds to: a run that has found its way again is not held against its past.
    """

    row: int = 5
    """The same call with the same answer, so often in a row. One of 122 real runs that ended well did so four times."""
    row_alike: int = 6
    """The same call whose answers differ in their numbers alone: that may be a job that is waited for, so later."""
    again: int = 5
    """The same call with the same answer, so often in `window` steps, whatever came between: real agents that are stuck
    seldom repeat strictly. To look at the state of things (`git status`) a few times is healthy."""
    window: int = 20
    """Steps that a rule looks back over."""
    cycle: int = 3
    """A round of `cycle_length_max` steps or fewer, walked so often. A-B-A-B-A-B is one of two steps, three times."""
    cycle_length_max: int = 5
    rounds: int = 8
    """Of the last `window` steps so many repeat an earlier one of the last 40: a loop with other steps between."""
    error: int = 4
    """The same call, failing in the same way, so often in `window` steps. One real run that ended well did so three
    times."""
    error_alike: int = 5
    """The same tool, failing in the same way but with other arguments, so often in `window` steps."""
    exchange: int = 4
    """Nearly the same words to the model and nearly the same from it, so often in `window` steps: two agents that thank
    each other. Only `continue` again is none, as long as the model goes on."""
    openings: int = 16
    """Nearly the same first prompt with tools, so often since anything new was seen: an agent that is started over and
    over. A fan-out of many alike children begins the same way, so this waits long; the money rule is faster."""
    alike_per_mille: int = 900
    """Two texts are nearly the same when so many of a thousand word triples are in both."""
    stale_nano: Nano = 500_000_000
    """Spent since anything new was seen: $0.50, half of what a run may cost by default."""
    stale_steps: int = 8
    """Steps without anything new that must have come as well: a few dear ones are none. The most that a real run took
    before something new came is four."""
    unseen_factor: int = 2
    """Where only what came back is known (`previous_response_id` after a restart), so many times as many in a row must
    be the same. Nothing is counted over a window there: different calls often have the same answer."""


LOOPS = LoopSettings()
