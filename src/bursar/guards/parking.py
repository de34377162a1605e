"""A run at its limit may wait for a person instead of being stopped.

Owns the parking of runs that a budget of a guard refuses (the ledger parks by its own limits itself), and the bounded
wait of a parked run's calls. A call that waits holds nothing; it never waits longer than the setting, nor for a client
that has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from bursar.core.guards import Guards
from bursar.core.labels import NONE
from bursar.core.run import RunChange, RunState, RunVerb
from bursar.core.window import NS
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.guards.ports import Clock, Runs
from bursar.pipeline.call import Call, Next, Reply

__all__ = ["LOOK_S", "PARKED", "Parking"]

PARKED = "run_parked"
"""The code of the refusal that a parked run's calls get."""
LOOK_S = 0.25
"""How often a waiting call looks whether somebody decided."""
SETTLING_S = 1.5
"""A top-up counts in every process within this time."""
KNOWN_MAX = 10_000


@dataclass(slots=True)
class Parking:
    """A stage: parks what a guard's budget refuses, and lets calls of a parked run wait for a while."""

    guards: Guards
    runs: Runs
    clock: Clock
    _parked: dict[tuple[str, str], None] = field(default_factory=dict)
    """Runs that were parked when this process last heard of them, so that their next call asks before it is refused."""

    async def __call__(self, call: Call, following: Next) -> Reply:
        key = (call.tenant, call.labels["run"])
        if key[1] == NONE:
            return await following(call)
        if key in self._parked and self.guards.park_wait_s > 0:
            await self._wait(call, key)
        reply = await following(call)
        reply = await self._parking(call, reply, following)
        if reply.refusal is not None and reply.refusal.code == PARKED:
            self._note(key)
            if self.guards.park_wait_s > 0 and await self._wait(call, key):
                return await following(call)
        return reply

    async def _parking(self, call: Call, reply: Reply, following: Next) -> Reply:
        """Park a run that a guard's budget refused, where its ladder ends so; its call is then refused as parked."""
        name = reply.refusal.headers.get("x-bursar-budget", "") if reply.refusal is not None else ""
        rule = self.guards.of_budget(name) if name else None
        if rule is None or not rule.is_parking or reply.refusal is None or reply.refusal.code != "budget_exceeded":
            return reply
        if await self._is_just_approved(call):
            # What was given with the approval is in force here within a second.
            reply = await following(call)
            if reply.refusal is None or reply.refusal.code != "budget_exceeded":
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
                await asyncio.sleep(left_s)
                return True
        return False

    def _note(self, key: tuple[str, str]) -> None:
        self._parked[key] = None
        while len(self._parked) > KNOWN_MAX:
            del self._parked[next(iter(self._parked))]

    async def _wait(self, call: Call, key: tuple[str, str]) -> bool:
        """Wait while the run is parked; True when somebody let it go on."""
        ends_ns = self.clock() + int(self.guards.park_wait_s * NS)
        while True:
            try:
                row = await self.runs.row(*key)
            except StoreUnavailable:
                return False
            if row is None or row.state is not RunState.PARKED:
                self._parked.pop(key, None)
                return row is not None and row.state is RunState.RUNNING
            if self.clock() >= ends_ns or call.is_gone():
                return False
            await asyncio.sleep(LOOK_S)
