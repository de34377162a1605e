"""The guard `loops`: looks at each request of a run, and warns, parks or stops where it shows a loop.

Owns the way up the ladder: the first request that shows a loop gets the first act, the next one the next, and the last
act stays. It never refuses by itself: the ledger refuses the calls of a run that this has parked or stopped.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace

from bursar.core.guards import Act, LoopRule
from bursar.core.labels import NONE
from bursar.core.run import RunChange, RunVerb
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.guards.loops.rules import Finding
from bursar.guards.loops.watch import Loops, Seen
from bursar.guards.ports import Clock, Runs
from bursar.pipeline.call import Call, Next, Reply

__all__ = ["GUARD", "LoopGuard"]

log = logging.getLogger("bursar.guards")

GUARD = "loops"
SEEN_LENGTH_MAX = 80
_VERBS = {Act.PARK: RunVerb.PARK, Act.STOP: RunVerb.STOP}


@dataclass(frozen=True, slots=True)
class LoopGuard:
    """A stage: a call without a run, or of a run that the rule does not match, passes unseen."""

    rule: LoopRule
    loops: Loops
    runs: Runs
    clock: Clock

    async def __call__(self, call: Call, following: Next) -> Reply:
        run = call.labels["run"]
        if run == NONE or not self.rule.matches(call.labels):
            return await following(call)
        seen = self.loops.look(call.tenant, run, call.id, call.request)
        if not seen.findings:
            return await following(call)
        return await self._found(replace(call, seen=_in_few_words(seen)), seen, following)

    async def _found(self, call: Call, seen: Seen, following: Next) -> Reply:
        finding = seen.findings[0]
        act = self.rule.ladder[min(seen.count, len(self.rule.ladder)) - 1].act
        run = call.labels["run"]
        log.warning("run %s of tenant %s: %s: %s", run, call.tenant, act, finding.sentence)
        if act is Act.WARN:
            reply = await following(call)
            return replace(reply, headers=(*reply.headers, *_warning(finding)))
        await self._end(call, _VERBS[act], finding)
        return await following(call)

    async def _end(self, call: Call, verb: RunVerb, finding: Finding) -> None:
        """Park or stop the run; what a person decided meanwhile stands."""
        change = RunChange(verb, self.clock(), GUARD, finding.sentence, figure=finding.count)
        # Where the ledger cannot be written now, the call is not let through either: it cannot be held.
        with contextlib.suppress(NotFound, HoldConflict, StoreUnavailable):
            await self.runs.change(call.tenant, call.labels["run"], change)
            self.loops.pardon(call.tenant, call.labels["run"])


def _in_few_words(seen: Seen) -> str:
    return ", ".join(f"{finding.rule} {finding.count}" for finding in seen.findings)[:SEEN_LENGTH_MAX]


def _warning(finding: Finding) -> tuple[tuple[str, str], ...]:
    text = "".join(each if " " <= each <= "~" else "?" for each in finding.sentence)
    return ("x-bursar-guard", GUARD), ("x-bursar-warning", text)
