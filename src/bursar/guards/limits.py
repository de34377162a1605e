"""What a call asks of its run: to be one step more, within the limits that match its labels.

Owns that question. The answer is the ledger's, in the transaction that holds the call's money.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from bursar.core.guards import Guards
from bursar.core.labels import NONE, Labels
from bursar.core.run import RunAsk, RunLimit
from bursar.pipeline.call import Call, Next, Reply
from bursar.wire.conversation import steps_of

__all__ = ["KNOWN_MAX", "RunLimits"]

KNOWN_MAX = 1_000
"""Of so many combinations of labels that the guards look at, the limits are remembered."""


@dataclass(slots=True)
class RunLimits:
    """A stage: asks for one step within the limits. A call without a run has none to ask of."""

    guards: Guards
    _known: dict[tuple[str, ...], tuple[RunLimit, ...] | None] = field(default_factory=dict)
    """By the values of `_matched`; guards themselves never change."""
    _matched: tuple[str, ...] = field(init=False)
    """The labels that decide which guards look at a call."""

    def __post_init__(self) -> None:
        self._matched = self.guards.matched

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]:
        run = call.labels["run"]
        limits = self._limits(call.labels) if run != NONE else None
        if limits is None:
            return following(call)
        done, prefix = (call.run.tool_calls, call.run.prefix) if call.run is not None else (0, "")
        name = call.run.run if call.run is not None else run
        answers, tool_calls = steps_of(call.request)
        parent = "" if call.parent_run == run else call.parent_run
        return following(call.asking(RunAsk(name, limits, parent, answers, max(tool_calls, done), prefix)))

    def _limits(self, labels: Labels) -> tuple[RunLimit, ...] | None:
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
