"""A run: one execution of an agent, how far it has come, and whether it may go on.

Owns the row of a run, what a call asks of it, the one decision that every store makes with both inside its own
transaction, and the table of what people and guards may do to it. Pure, so that a store cannot get it subtly wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, assert_never

from bursar.core.run_limits import NO_LIMITS, Guard, RunLimit, RunLimitSet
from bursar.core.value import value
from bursar.core.window import NS
from bursar.errors import HoldConflict

__all__ = [
    "ANCESTORS_MAX",
    "Guard",
    "RunAsk",
    "RunChange",
    "RunDenial",
    "RunEntry",
    "RunLimit",
    "RunLimitSet",
    "RunRow",
    "RunState",
    "RunVerb",
    "admit_run",
    "begun_by",
    "changed",
    "left",
    "runs_above",
]

ANCESTORS_MAX = 32
"""So many runs above one are asked whether they were stopped; deeper ones are refused."""


class RunState(StrEnum):
    RUNNING = "running"
    PARKED = "parked"
    """It waits for a person."""
    STOPPED = "stopped"
    """No call of it is let through until a person approves it."""
    FINISHED = "finished"
    """Somebody said how it ended. A call that comes all the same is counted."""


_made = tuple.__new__
"""Makes such a tuple at half the price: its class does so in Python."""
_PARKED: Final = RunState.PARKED
_STOPPED: Final = RunState.STOPPED


_STEPS: Final = Guard.STEPS
_TOOL_CALLS: Final = Guard.TOOL_CALLS
_SECONDS: Final = Guard.SECONDS
_PARALLEL: Final = Guard.PARALLEL
_DEPTH: Final = Guard.DEPTH
_CHILDREN: Final = Guard.CHILDREN
"""Names of their own: an enum finds its members in Python, and every call of a run asks for all of them."""
NO_EXTRAS: Final[Mapping[str, int]] = MappingProxyType({})
_TRIPPING = (_STEPS, _TOOL_CALLS, _SECONDS)
"""These only grow, so that who passes one is parked or stopped; the others refuse the one call."""


@value
class RunAsk:
    """What one call asks of its run: to be one step more of it, within these limits."""

    run: str
    limits: tuple[RunLimit, ...] = NO_LIMITS
    parent: str = ""
    """The run that began this one, in the same tenant."""
    turns: int = 0
    """Answers of the model that the request's own conversation shows: steps that were, whoever counted them."""
    tool_calls: int = 0
    """Tool calls that the request's own conversation shows, or the program has counted: whichever are more."""
    prefix: str = ""
    """What the run was inferred from; empty where somebody named it."""


class RunRow(NamedTuple):
    """One run as the ledger keeps it. Counts are of calls; instants are nanoseconds since 1970, UTC.

    A tuple in the order of the table's columns, since every call makes two that differ in the counts alone.
    """

    tenant: str
    run: str
    began_ns: int
    state: RunState = RunState.RUNNING
    since_ns: int = 0
    """When the state was last set; with it a link to approve is for one stop only."""
    last_ns: int = 0
    """When its first call began or its last one ended, whichever is later; what is in flight is counted beside it."""
    steps: int = 0
    tool_calls: int = 0
    in_flight: int = 0
    parent: str = ""
    depth: int = 0
    """0 for a run that no other began."""
    children: int = 0
    guard: str = ""
    """What stopped or parked it; empty for a person."""
    reason: str = ""
    outcome: str = ""
    figure: int = 0
    """How far it was when the guard tripped."""
    extras: Mapping[str, int] = NO_EXTRAS
    """What people granted beyond the limits, by guard."""
    prefix: str = ""

    def figure_of(self, guard: Guard, at_ns: int) -> int:
        """Say how much of something the run has had."""
        if guard is _STEPS:
            return self.steps
        if guard is _TOOL_CALLS:
            return self.tool_calls
        if guard is _SECONDS:
            return max(0, at_ns - self.began_ns) // NS
        if guard is _PARALLEL:
            return self.in_flight
        if guard is _DEPTH:
            return self.depth
        if guard is _CHILDREN:
            return self.children
        assert_never(guard)

    def most_of(self, limit: RunLimit) -> int:
        """Give a limit with what people granted beyond it."""
        return limit.most + self.extras.get(limit.guard, 0) if self.extras else limit.most

    def counting(self, steps: int, tool_calls: int, in_flight: int, last_ns: int) -> RunRow:
        """Give the row with other counts."""
        return _made(RunRow, (*self[:5], last_ns, steps, tool_calls, in_flight, *self[9:]))

    def ends_ns(self, limits: tuple[RunLimit, ...]) -> int | None:
        """Give the instant at which the run's seconds are over; None where nothing limits them."""
        seconds = (limits if type(limits) is RunLimitSet else RunLimitSet(limits)).seconds
        if seconds is None:
            return None
        if self.extras:
            seconds += self.extras.get(_SECONDS, 0)
        return self.began_ns + seconds * NS


assert RunRow._fields[5:11] == ("last_ns", "steps", "tool_calls", "in_flight", "parent", "depth")
assert RunRow._fields[16] == "extras"


@dataclass(frozen=True, slots=True)
class RunDenial:
    """Why a run's call is not let through: a guard with its figure and limit, or a state that was set before."""

    row: RunRow
    """As it is from now on."""
    guard: str
    figure: int = 0
    most: int = 0

    @property
    def is_contended(self) -> bool:
        """Tell whether waiting helps: calls in flight come back."""
        return self.guard == Guard.PARALLEL

    @property
    def is_parked(self) -> bool:
        return self.row.state is RunState.PARKED


class RunEntry(NamedTuple):
    """The decision about one call: the rows to write when it is held, or the denial."""

    row: RunRow
    parent: RunRow | None = None
    """The parent, where it has one child more now."""
    denial: RunDenial | None = None
    is_new: bool = False
    """The run begins with this call."""
    is_tripped: bool = False
    """The denial changed the state: its row is to be written although nothing is held."""


def runs_above(ask: RunAsk, row: RunRow | None, find: Callable[[str], RunRow | None]) -> list[RunRow]:
    """Give the runs over a call's run that are known, the nearest first; `find` gives a run of the same tenant."""
    above: list[RunRow] = []
    name = row.parent if row else ask.parent
    while name and name != ask.run and len(above) < ANCESTORS_MAX:
        found = find(name)
        if found is None:
            break
        above.append(found)
        name = found.parent
    return above


def admit_run(
    ask: RunAsk, tenant: str, at_ns: int, row: RunRow | None, above: Sequence[RunRow], aside: int = 0
) -> RunEntry:
    """Decide whether a call may be one step more of its run.

    `row` is None for a run that begins now. `above` are the rows of the runs over it that are known, the nearest
    first. `aside`: so many of the row's steps, all of them in flight, are set aside for calls that are not there yet.
    Never lets a stopped or parked run through, nor one below such a run.
    """
    parent, is_new = None, row is None
    if row is None:
        row, parent = _begun(ask, tenant, at_ns, above)
    # In one step: to look up a field of a named tuple by its name is dearer than all the rest.
    _, _, began_ns, state, _, last_ns, steps, tool_calls, in_flight, _, depth = row[:11]
    if aside:
        steps -= aside
        in_flight -= aside
    if state is _PARKED or state is _STOPPED:
        return RunEntry(row, denial=RunDenial(row, row.guard, row.figure))
    for each in above:
        if each.state is _PARKED or each.state is _STOPPED:
            return RunEntry(row, denial=RunDenial(each, each.guard, each.figure))
    if ask.turns > steps:
        steps = ask.turns
    if ask.tool_calls > tool_calls:
        tool_calls = ask.tool_calls
    given = ask.limits
    limits = given if type(given) is RunLimitSet else RunLimitSet(given)
    steps_end, tools_end, age_end_ns, flight_end, depth_end = limits.bounds
    if (
        is_new
        or row[16]
        or steps >= steps_end
        or tool_calls >= tools_end
        or at_ns - began_ns >= age_end_ns
        or in_flight >= flight_end
        or depth >= depth_end
    ):
        # Near a limit, each is looked at, with what was granted beyond it.
        denied = _denied(limits, row.counting(steps, tool_calls, in_flight, last_ns), parent, at_ns)
        if denied is not None:
            return denied
    entered = _made(RunRow, (*row[:5], last_ns, steps + 1, tool_calls, in_flight + 1, *row[9:]))
    return _made(RunEntry, (entered, parent, None, is_new, False))


def _begun(ask: RunAsk, tenant: str, at_ns: int, above: Sequence[RunRow]) -> tuple[RunRow, RunRow | None]:
    """Make the row of a run that begins, and that of its parent with one child more; None without a parent."""
    if not ask.parent:
        return RunRow(tenant, ask.run, at_ns, since_ns=at_ns, last_ns=at_ns, prefix=ask.prefix), None
    known = above[0] if above and above[0].run == ask.parent else None
    parent = known or RunRow(tenant, ask.parent, at_ns, since_ns=at_ns, last_ns=at_ns)
    row = RunRow(
        tenant,
        ask.run,
        at_ns,
        since_ns=at_ns,
        last_ns=at_ns,
        parent=ask.parent,
        depth=parent.depth + 1,
        prefix=ask.prefix,
    )
    return row, parent._replace(children=parent.children + 1)


def _denied(limits: RunLimitSet, row: RunRow, parent: RunRow | None, at_ns: int) -> RunEntry | None:
    """Find the first limit that one call more would pass. Waiting for calls in flight is asked last."""
    contended = None
    for limit in limits:
        guard = limit.guard
        if guard is _CHILDREN:
            if parent is not None and parent.children > parent.most_of(limit):
                return RunEntry(row, denial=RunDenial(row, guard, parent.children, parent.most_of(limit)))
            continue
        figure, most = row.figure_of(guard, at_ns), row.most_of(limit)
        if figure < most or (guard is _DEPTH and figure == most):
            continue
        denial = RunDenial(row, guard, figure, most)
        if guard is _PARALLEL:
            contended = contended or RunEntry(row, denial=denial)
        elif guard in _TRIPPING:
            return _tripped(row, denial, at_ns, is_parking=limit.is_parking)
        else:
            return RunEntry(row, denial=denial)
    return contended


def _tripped(row: RunRow, denial: RunDenial, at_ns: int, *, is_parking: bool) -> RunEntry:
    """Park or stop a run at the limit that it would pass."""
    state = _PARKED if is_parking else _STOPPED
    tripped = row._replace(state=state, since_ns=at_ns, guard=str(denial.guard), figure=denial.figure)
    return RunEntry(tripped, denial=replace(denial, row=tripped), is_tripped=True)


def left(row: RunRow, at_ns: int, tool_calls: int, *, is_released: bool) -> RunRow:
    """Give the row after one of its calls ended; one that was never answered for is no step."""
    last_ns, steps, counted, in_flight = row[5:9]
    if is_released and steps > 0:
        steps -= 1
    if in_flight > 0:
        in_flight -= 1
    return row.counting(steps, counted + tool_calls, in_flight, max(last_ns, at_ns))


class RunVerb(StrEnum):
    """What people, and guards that look at more than the row, do to a run."""

    PARK = "park"
    APPROVE = "approve"
    STOP = "stop"
    FINISH = "finish"


_R, _P, _S, _F = RunState.RUNNING, RunState.PARKED, RunState.STOPPED, RunState.FINISHED
TABLE: Mapping[tuple[RunState, RunVerb], RunState | None] = MappingProxyType(
    {
        (_R, RunVerb.PARK): _P,
        (_R, RunVerb.APPROVE): _R,  # more is granted before it is asked for
        (_R, RunVerb.STOP): _S,
        (_R, RunVerb.FINISH): _F,
        (_P, RunVerb.PARK): _P,
        (_P, RunVerb.APPROVE): _R,
        (_P, RunVerb.STOP): _S,
        (_P, RunVerb.FINISH): _F,
        (_S, RunVerb.PARK): _S,  # a guard never lets go on what was stopped
        (_S, RunVerb.APPROVE): _R,
        (_S, RunVerb.STOP): _S,
        (_S, RunVerb.FINISH): _F,
        (_F, RunVerb.PARK): None,
        (_F, RunVerb.APPROVE): None,
        (_F, RunVerb.STOP): _S,
        (_F, RunVerb.FINISH): _F,
    }
)
"""The state after each verb; None where it makes no sense and is refused."""


@dataclass(frozen=True, slots=True)
class RunChange:
    """One explicit act on a run."""

    verb: RunVerb
    at_ns: int
    guard: str = ""
    reason: str = ""
    outcome: str = ""
    figure: int = 0
    grants: tuple[tuple[Guard, int], ...] = ()
    """What an approval adds to limits; without any, the guard that stopped the run gives as much again."""
    begins_ns: int | None = None
    """Where no guard has seen the run: since when it has been there. Without it such a run is not found."""
    since_ns: int | None = None
    """Only as long as the state is the one set at this instant: what a link was made for is done once."""


def begun_by(tenant: str, run: str, change: RunChange) -> RunRow | None:
    """Give the row of a run of which a change is the first that is heard; None where that is none of its business."""
    if change.begins_ns is None:
        return None
    return RunRow(tenant, run, change.begins_ns, since_ns=change.begins_ns, last_ns=change.at_ns)


def changed(row: RunRow, change: RunChange) -> RunRow:
    """Apply a verb by the table. Raises HoldConflict where it makes no sense any more."""
    state = TABLE[row.state, change.verb]
    if state is None:
        raise HoldConflict(f"run {row.run} is {row.state}: it cannot be changed by {change.verb}")
    if change.since_ns is not None and change.since_ns != row.since_ns:
        raise HoldConflict(f"run {row.run} has been decided on since: it is {row.state}")
    if change.verb is RunVerb.APPROVE:
        return _approved(row, change)
    if change.verb is RunVerb.FINISH:
        return row._replace(state=state, since_ns=change.at_ns, outcome=change.outcome, reason=change.reason)
    if state is row.state:
        return row
    return row._replace(
        state=state, since_ns=change.at_ns, guard=change.guard, reason=change.reason, figure=change.figure
    )


def _approved(row: RunRow, change: RunChange) -> RunRow:
    extras = dict(row.extras)
    if row.state is not RunState.RUNNING:
        # The time that people took to decide is none of the run's.
        waited = -(-max(0, change.at_ns - row.since_ns) // NS)
        if row.guard in _TRIPPING and not change.grants:
            extras[row.guard] = max(extras.get(row.guard, 0), row.figure)
        extras[Guard.SECONDS] = extras.get(Guard.SECONDS, 0) + waited
    for guard, more in change.grants:
        extras[guard] = extras.get(guard, 0) + more
    return row._replace(
        state=RunState.RUNNING,
        since_ns=max(change.at_ns, row.since_ns + 1),
        guard="",
        reason=change.reason,
        figure=0,
        extras=MappingProxyType(extras),
    )
