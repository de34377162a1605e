"""The story of a run: its steps in their order, what each came to, and two runs side by side.

Owns the order and the sums. A step is a call of the run, also one in flight or one that cost nothing in the end; what
was refused before it was held is no step, but how the run stands says who stopped it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from bursar.core.charge import ZERO, Amounts
from bursar.core.hold import State
from bursar.core.labels import NONE, Labels
from bursar.core.ledger import HoldRow
from bursar.core.money import Nano
from bursar.core.run import RunRow, RunState
from bursar.core.window import FOREVER_NS
from bursar.errors import NotFound
from bursar.reports.anatomy import amounts_of

__all__ = ["STEPS_MAX", "Comparison", "Ledger", "Pair", "Step", "Story", "compare", "run_story"]

STEPS_MAX = 2_000
"""So many steps of a run are shown, the first ones; it is said when there were more."""


class Ledger(Protocol):
    """What this reads."""

    def run_calls(self, tenant: str, run: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]: ...
    def run_row(self, tenant: str, run: str) -> RunRow | None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a run."""

    number: int
    """From 1, in the order in which the calls were held."""
    call: HoldRow
    after_ns: int
    """From the beginning of the run to that of the step."""
    took_ns: int
    """From the hold to the end; of a step in flight 0."""

    @property
    def amounts(self) -> Amounts:
        """What it counts as."""
        return amounts_of(self.call)

    @property
    def model(self) -> str:
        """Who answered: the model asked for, or the fall-back that was asked in the end."""
        return self.call.note.answered_by.partition("/")[2] or Labels(self.call.labels)["model"]


@dataclass(frozen=True, slots=True)
class Story:
    """One run, from its first step to its last."""

    run: str
    agent: str
    task: str
    user: str
    steps: tuple[Step, ...]
    row: RunRow | None
    """How the run stands, where a guard watches it or somebody said how it ended."""
    amounts: Amounts
    """What all steps count as, those in flight as what is held for them."""
    presumed_nano: Nano
    """Of this, what is only presumed or held."""
    tool_calls: int
    began_ns: int
    active_ns: int
    """The last instant at which one of its steps began or ended."""
    is_cut: bool
    """It has more steps than are shown."""

    @property
    def took_ns(self) -> int:
        """From the first step's beginning to the last end."""
        return self.active_ns - self.began_ns

    @property
    def in_flight(self) -> int:
        return sum(step.call.state is State.OPEN for step in self.steps)

    @property
    def state(self) -> str:
        """Running, parked, stopped or finished; empty where nobody watches the run."""
        return "" if self.row is None else str(self.row.state)

    @property
    def outcome(self) -> str:
        """What somebody said of its end; empty for nothing."""
        return self.row.outcome if self.row is not None and self.row.state is RunState.FINISHED else ""


def run_story(
    ledger: Ledger, tenant: str, run: str, since_ns: int = 0, until_ns: int = FOREVER_NS, most: int = STEPS_MAX
) -> Story:
    """Tell the story of a run. Raises NotFound where the tenant has no call of it in this time."""
    row = ledger.run_row(tenant, run)
    rows = ledger.run_calls(tenant, run, since_ns, until_ns, most + 1) if run != NONE else ()
    calls = [row for row in rows if not row.is_unused]
    if not calls:
        raise NotFound(f"tenant {tenant} has no call of a run {run!r} in this time")
    shown = calls[:most]
    began_ns = shown[0].opened_ns
    steps = tuple(_step(number, call, began_ns) for number, call in enumerate(shown, 1))
    labels = Labels(shown[-1].labels)
    return Story(
        run=run,
        agent=labels["agent"],
        task=labels["task"],
        user=labels["user"],
        steps=steps,
        row=row,
        amounts=_sum(step.amounts for step in steps),
        presumed_nano=sum(step.amounts.cost_nano for step in steps if step.call.state is not State.SETTLED),
        tool_calls=sum(step.call.note.tool_calls for step in steps),
        began_ns=began_ns,
        active_ns=max(max(call.opened_ns, call.closed_ns) for call in shown),
        is_cut=len(rows) > most,
    )


def _step(number: int, call: HoldRow, began_ns: int) -> Step:
    took_ns = max(0, call.closed_ns - call.opened_ns) if call.closed_ns else 0
    # A presumed call ends when its process is found gone, long after: only what was measured is its time.
    if call.state is State.PRESUMED:
        took_ns = call.note.duration_ms * 1_000_000
    return Step(number, call, call.opened_ns - began_ns, took_ns)


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    total = ZERO
    for each in amounts:
        total += each
    return total


@dataclass(frozen=True, slots=True)
class Pair:
    """The steps of two runs with the same number; None where a run had no more."""

    number: int
    first: Step | None
    second: Step | None

    @property
    def more_nano(self) -> Nano:
        """How much more the second cost; negative where it cost less."""
        return _cost(self.second) - _cost(self.first)

    @property
    def is_other_model(self) -> bool:
        """Another model answered."""
        return self.first is not None and self.second is not None and self.first.model != self.second.model


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, step by step and in all."""

    first: Story
    second: Story
    pairs: tuple[Pair, ...]

    @property
    def more_nano(self) -> Nano:
        """How much more the second run cost in all."""
        return self.second.amounts.cost_nano - self.first.amounts.cost_nano


def compare(first: Story, second: Story) -> Comparison:
    """Lay two runs side by side, by the number of the step."""
    both = zip_longest(first.steps, second.steps)
    return Comparison(first, second, tuple(Pair(number, *steps) for number, steps in enumerate(both, 1)))


def _cost(step: Step | None) -> Nano:
    return 0 if step is None else step.amounts.cost_nano
