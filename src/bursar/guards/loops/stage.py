"""The guard `loops`: looks at each request of a run, and acts where it shows a loop.

Owns the way up the ladder: the first request that shows a loop gets the first act, the next one the next, and the last
act stays. A model that was taken stays for the rest of the run. It never refuses by itself: the ledger refuses the
calls of a run that this has parked or stopped.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bursar.core.guards import Act, LoopRule
from bursar.core.labels import NONE
from bursar.core.run import RunChange, RunVerb
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.guards.loops.rules import Finding
from bursar.guards.loops.watch import Loops, Seen
from bursar.guards.ports import Clock, Runs
from bursar.pipeline.call import Call, Next, Reply
from bursar.wire.notes import with_note

__all__ = ["GUARD", "LoopGuard"]

log = logging.getLogger("bursar.guards")

GUARD = "loops"
SEEN_LENGTH_MAX = 80
Header: TypeAlias = tuple[str, str]
_VERBS = {Act.PARK: RunVerb.PARK, Act.STOP: RunVerb.STOP}


@dataclass(frozen=True, slots=True)
class LoopGuard:
    """A stage: a call without a run, or of a run that the rule does not match, passes unseen."""

    rule: LoopRule
    loops: Loops
    runs: Runs
    clock: Clock
    retarget: Callable[[Call, str], Call]
    """Sends a call to another model, where one of that name can answer it."""

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]:
        run = call.labels["run"]
        if run == NONE or not self.rule.matches(call.labels):
            return following(call)
        seen = self.loops.look(call.tenant, run, call.id, call.request)
        # Without a finding in the whole run nothing of the ladder has come to be.
        return self._acting(call, following, seen) if seen.count else following(call)

    async def _acting(self, call: Call, following: Next, seen: Seen) -> Reply:
        """Do what the ladder says."""
        call, headers = self._retargeted(call, seen)
        if seen.findings:
            call, more = await self._act(replace(call, seen=_in_few_words(seen)), seen)
            headers += more
        reply = await following(call)
        return replace(reply, headers=(*reply.headers, *headers)) if headers else reply

    def _retargeted(self, call: Call, seen: Seen) -> tuple[Call, list[Header]]:
        """Send the call to the model that the run has come to, if any."""
        model = next((rung.model for rung in reversed(self.rule.ladder[: seen.count]) if rung.act is Act.MODEL), "")
        if not model:
            return call, []
        call = self.retarget(call, model)
        return call, [("x-bursar-model", call.model)]

    async def _act(self, call: Call, seen: Seen) -> tuple[Call, list[Header]]:
        """Do what the ladder says of the run's latest finding; give the call as it is to go on."""
        finding = seen.findings[0]
        act = self.rule.ladder[min(seen.count, len(self.rule.ladder)) - 1].act
        log.warning("run %s of tenant %s: %s: %s", call.labels["run"], call.tenant, act, finding.sentence)
        match act:
            case Act.NOTE:
                return replace(call, request=with_note(call.request, _sentence(finding))), []
            case Act.PARK | Act.STOP:
                await self._end(call, _VERBS[act], finding)
                return call, []
            case Act.WARN:
                return call, [("x-bursar-warning", f"{GUARD}: {_plain(finding.sentence)}")]
            case Act.MODEL:
                return call, []
            case _:
                assert_never(act)

    async def _end(self, call: Call, verb: RunVerb, finding: Finding) -> None:
        """Park or stop the run; what a person decided meanwhile stands."""
        change = RunChange(verb, self.clock(), GUARD, finding.sentence, figure=finding.count)
        # Where the ledger cannot be written now, the call is not let through either: it cannot be held.
        with contextlib.suppress(NotFound, HoldConflict, StoreUnavailable):
            await self.runs.change(call.tenant, call.labels["run"], change)
            self.loops.pardon(call.tenant, call.labels["run"])


def _in_few_words(seen: Seen) -> str:
    return ", ".join(f"{finding.rule} {finding.count}" for finding in seen.findings)[:SEEN_LENGTH_MAX]


def _sentence(finding: Finding) -> str:
    """Tell the model in one sentence, without a name that it or a client chose."""
    what = replace(finding, tool="").sentence
    return f"[Budget notice: this run repeats itself: {what}. Do something else, or finish now with what you have.]"


def _plain(text: str) -> str:
    """Write a text as a header may have it."""
    return "".join(each if " " <= each <= "~" else "?" for each in text)
