"""A run at its limit may wait for a person instead of being stopped.

Owns the parking of runs that a budget of a guard refuses (the ledger parks by its own limits itself), and the bounded
wait of a parked run's calls. A call that waits holds nothing; it never waits longer than the setting, nor for a client
that has gone.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass, field

from bursar.core.guards import Guards
from bursar.core.labels import NONE
from bursar.core.run import RunChange, RunState, RunVerb
from bursar.core.window import NS
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.guards.parked import ParkedStream
from bursar.guards.ports import Clock, Runs, Sleep
from bursar.pipeline.call import Call, Next, Reply

__all__ = ["PARKED", "Parking"]

PARKED = "run_parked"
"""The code of the refusal that a parked run's calls get."""
LOOK_S = 0.25
"""How often a waiting call looks whether somebody decided."""
QUIET_S = 10.0
"""A stream's head is sent only after so much waiting: what is decided before can still be a proper refusal."""
SETTLING_S = 1.5
"""A top-up counts in every process within this time."""
KNOWN_MAX = 10_000
_HEAD = (("content-type", "text/event-stream; charset=utf-8"), ("x-bursar-run-state", str(RunState.PARKED)))


@dataclass(slots=True)
class Parking:
    """A stage: parks what a guard's budget refuses, and lets calls of a parked run wait for a while."""

    guards: Guards
    runs: Runs
    clock: Clock
    sleep: Sleep
    _parked: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    """Runs that were parked when this process last heard of them: their next call looks before it asks."""

    _is_parking: bool = field(init=False)
    """Some guard's budget parks the runs that it refuses."""

    def __post_init__(self) -> None:
        self._is_parking = any(rule.budget and rule.is_parking for rule in self.guards.rules)

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]:
        if call.labels["run"] == NONE:
            return following(call)
        if self.guards.park_wait_s > 0:
            return self._waiting(call, following)
        return self._asked(call, following) if self._is_parking else following(call)

    async def _waiting(self, call: Call, following: Next) -> Reply:
        """Ask again whenever somebody has decided, until the time is over; a stream is kept alive meanwhile."""
        key, now_ns = (call.tenant, call.labels["run"]), self.clock()
        ends_ns = now_ns + int(self.guards.park_wait_s * NS)
        may_comment = call.request.is_stream and call.request.takes_comments
        quiet_ns = min(ends_ns, now_ns + int(QUIET_S * NS)) if may_comment else ends_ns
        if key in self._parked:
            await self.wait(call, quiet_ns)
        reply = await self._asked(call, following)
        while reply.refusal is not None and reply.refusal.code == PARKED:
            self._note(key)
            if not await self.wait(call, quiet_ns):
                if self.clock() >= ends_ns or call.is_gone():
                    return reply
                head = (("x-bursar-call", call.id), *_HEAD)
                return Reply(200, head, ParkedStream(call, following, self.wait, self.clock, ends_ns))
            reply = await self._asked(call, following)
        return reply

    async def _asked(self, call: Call, following: Next) -> Reply:
        """Pass on; park a run that a guard's budget refused, where its ladder ends so, and let the call hear of it."""
        reply = await following(call)
        name = reply.refusal.headers.get("x-bursar-budget", "") if reply.refusal is not None else ""
        rule = self.guards.of_budget(name) if name else None
        if rule is None or not rule.is_parking or not _is_spent(reply):
            return reply
        if await self._is_just_approved(call):
            # What was given with the approval is in force here within a second.
            reply = await following(call)
            if not _is_spent(reply):
                return reply
        change = RunChange(RunVerb.PARK, self.clock(), rule.guard, f"{rule.guard} used up")
        with contextlib.suppress(NotFound, HoldConflict, StoreUnavailable):
            await self.runs.change(call.tenant, call.labels["run"], change)
            return await following(call)
        return reply

    async def _is_just_approved(self, call: Call) -> bool:
        """Tell whether somebody let the run go on a moment ago, having waited for that moment to pass."""
        with contextlib.suppress(StoreUnavailable):
            row = await self.runs.row(call.tenant, call.labels["run"])
            left_s = SETTLING_S - (self.clock() - row.since_ns) / NS if row is not None else 0.0
            if row is not None and row.state is RunState.RUNNING and row.since_ns > row.began_ns and left_s > 0:
                await self.sleep(left_s)
                return True
        return False

    def _note(self, key: tuple[str, str]) -> None:
        self._parked[key] = None
        while len(self._parked) > KNOWN_MAX:
            self._parked.popitem(last=False)

    async def wait(self, call: Call, until_ns: int) -> bool:
        """Wait while the call's run is parked; False when it still is at that instant, or nobody waits any more."""
        key = (call.tenant, call.labels["run"])
        while True:
            # While the ledger is down nobody can decide, and nobody is let through.
            with contextlib.suppress(StoreUnavailable):
                row = await self.runs.row(*key)
                if row is None or row.state is not RunState.PARKED:
                    self._parked.pop(key, None)
                    return True
            if self.clock() >= until_ns or call.is_gone():
                return False
            await self.sleep(LOOK_S)


def _is_spent(reply: Reply) -> bool:
    return reply.refusal is not None and reply.refusal.code == "budget_exceeded"
