"""What a call asks of its run: to be one step more, within the limits that match its labels.

Owns that question. The answer is the ledger's, in the transaction that holds the call's money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bursar.core.guards import Guards
from bursar.core.labels import NONE
from bursar.core.run import RunAsk
from bursar.pipeline.call import Call, Next, Reply
from bursar.wire.conversation import conversation_of

__all__ = ["RunLimits"]


@dataclass(frozen=True, slots=True)
class RunLimits:
    """A stage: asks for one step within the limits. A call without a run has none to ask of."""

    guards: Guards

    async def __call__(self, call: Call, following: Next) -> Reply:
        run = call.labels["run"]
        limits = self.guards.limits(call.labels) if run != NONE else None
        if limits is None:
            return await following(call)
        ask = call.run if call.run is not None else RunAsk(run)
        talk = conversation_of(call.request)
        answers, tool_calls = (talk.answers, talk.tool_calls) if talk is not None else (0, 0)
        parent = "" if call.parent_run == run else call.parent_run
        asking = replace(ask, limits=limits, parent=parent, turns=answers, tool_calls=max(tool_calls, ask.tool_calls))
        return await following(replace(call, run=asking))
