"""What a call asks of its run: to be one step more, within the limits that match its labels.

Owns that question. The answer is the ledger's, in the transaction that holds the call's money.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from bursar.core.guards import Guards
from bursar.core.labels import NONE, Labels
from bursar.core.run import RunAsk, RunLimitSet
from bursar.pipeline.call import Call, Next, Reply
from bursar.wire.conversation import steps_of

__all__ = ["KNOWN_MAX", "RunLimits"]

KNOWN_MAX = 1_000
"""Of so many combinations of labels that the guards look at, the limits are remembered."""


@dataclass(slots=True)
class RunLimits:
    """A stage: asks for one step within the limits. A call without a run has none to ask of."""

    guards: Guards
    _known: dict[tuple[str, ...], RunLimitSet | None] = field(default_factory=dict)
    """By the values of `_matched`; guards themselves never change."""
    _matched: tuple[str, ...] = field(init=False)
    """The labels that decide which guards look at a call."""
    _common: RunLimitSet | None = field(init=False)
    """The limits of every call, where no label decides."""

    def __post_init__(self) -> None:
        self._matched = self.guards.matched
        self._common = self.guards.limits(Labels({})) if not self._matched else None

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]:
        run = call.labels.pairs.get("run", NONE)
        if run == NONE:
            return following(call)
        limits = self._limits(call.labels) if self._matched else self._common
        if limits is None:
            return following(call)
        turns, tool_calls = steps_of(call.request)
        name, prefix, asked = run, "", call.run
        if asked is not None:
            name, prefix, tool_calls = asked.run, asked.prefix, max(tool_calls, asked.tool_calls)
        parent = "" if call.parent_run == run else call.parent_run
        return following(call.asking(RunAsk(name, limits, parent, turns, tool_calls, prefix)))

    def _limits(self, labels: Labels) -> RunLimitSet | None:
        """Give the limits of a call's run; None where no guard looks at such calls."""
        key = tuple([labels[name] for name in self._matched])
        # Looked up once: another thread may put a new memory in its place meanwhile.
        known = self._known
        if key in known:
            return known[key]
        if len(known) >= KNOWN_MAX:
            known = self._known = {}
        limits = known[key] = self.guards.limits(labels)
        return limits
