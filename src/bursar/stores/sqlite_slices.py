"""Slices in a SQLite ledger: what is held at once for some calls that are about to follow each other.

Owns them until they end. A slice is an open hold like any other, so its money is counted against every budget, and a
process that is killed leaves it to be presumed in full. Calls are held out of it without the file; as soon as anything
is decided or read, each of them gets a row of its own, and the rest is no longer held.
"""

from __future__ import annotations

from dataclasses import replace
from operator import sub
from pathlib import Path
from time import time_ns
from typing import Final

from bursar.core.admission import Ask, Cover, grant_within
from bursar.core.budget import Unit
from bursar.core.charge import AMOUNT_COUNTABLE_MAX, Amounts
from bursar.core.hold import Hold, State, Verb, apply
from bursar.core.ledger import Granted, Reservation, slice_id
from bursar.core.run import RunRow, RunState, admit_run
from bursar.core.run_limits import RunLimitSet
from bursar.errors import NotFound
from bursar.stores.sqlite_ahead import OpenHold, SqliteAhead, hold_values
from bursar.stores.sqlite_balances import Counted

__all__ = ["SLICE_CALLS", "SqliteSlices"]

SLICE_CALLS = 7
"""For so many calls money is set aside at once. With the one before them, eight calls are one transaction."""
SHARE = 16
"""A slice takes at most this part of what any budget of it has left, and of the steps that a run has left."""
_OPEN: Final = State.OPEN
_RUNNING: Final = RunState.RUNNING
_TOKENS, _OUTPUT_TOKENS = Unit.TOKENS, Unit.OUTPUT_TOKENS
_OF_OUTPUT = frozenset({Unit.USD, _TOKENS, _OUTPUT_TOKENS})
"""What may limit output."""
_made = tuple.__new__


class Slice:
    """What is set aside in one set of balances, for calls of one run with the same labels."""

    __slots__ = ("counted", "free", "id", "is_bounded", "is_over", "key", "labels", "left", "run", "taken", "tenant")

    def __init__(self, asked: Reservation, counted: Counted, total: Amounts) -> None:
        self.id = slice_id(asked.id, SLICE_CALLS)
        self.tenant = asked.tenant
        self.labels = asked.labels
        self.run = "" if asked.run is None else asked.run.run
        self.key = self.tenant, self.run
        self.counted = counted
        self.is_bounded = _TOKENS in counted.units or _OUTPUT_TOKENS in counted.units
        """Some limit is on output, whatever that costs."""
        self.free: dict[Unit, int] = {}
        """What its balances have left beside it."""
        self.left: tuple[int, ...] = total
        """What no call has taken, field by field."""
        self.taken: dict[str, tuple[Reservation, int]] = {}
        """The calls that were held out of it by their ids, with the output tokens that each has."""
        self.is_over = False
        """Nobody takes from it any more."""

    @property
    def spare(self) -> int:
        """Tell how many calls may still take from it."""
        return SLICE_CALLS - len(self.taken)

    def room(self, cover: Cover, ask: Ask) -> int:
        """Say for how many tokens there is room where a call is given all that it would like to have; -1 where that is
        not plain to see."""
        if ask.at_least < ask.at_most:
            # A slice is so small a part of what there is that a share of that is ample for whatever fits into it.
            return ask.at_most if ask.share < SHARE and (self.is_bounded or cover.output_pico > 0) else -1
        # It may grow as it goes.
        verdict = grant_within(cover, ask, self.free)
        return -1 if verdict is None or not ask.is_ample(verdict) else verdict.room


class SqliteSlices(SqliteAhead):
    """The part of a SqliteLedger that sets money aside for calls to come."""

    def __init__(self, path: Path, *, is_power_safe: bool = False, timeout_s: float = 5.0) -> None:
        self.slices: dict[Counted, Slice] = {}
        """From these calls may be held, by the balances in which they count."""
        self._coming: list[Slice] = []
        """Those that the transaction that runs has made: nobody takes from them before it is committed."""
        self._ending: dict[str, Slice] = {}
        """Those that the transaction that runs ends, or one that failed was to end: nobody takes from them any more."""
        self._is_slicing = False
        """The transaction that runs ends slices."""
        super().__init__(path, is_power_safe=is_power_safe, timeout_s=timeout_s)

    @property
    def is_sliced(self) -> bool:
        """Tell whether something is set aside. Any thread."""
        return bool(self.slices or self._ending or self._coming)

    def end_slices(self) -> None:
        """Hold nothing but what calls hold. Raises StoreUnavailable."""
        if self.is_sliced:
            with self.transaction():
                """Every transaction begins with that."""

    def take(self, asked: Reservation) -> Granted | None:
        """Hold a call out of what is set aside for such calls; None, and nothing changed, where that is not plain.

        It waits for nobody, and the file is not asked. Its id is one that was just made. It is not told its balances.
        """
        if not self.slices or not self.lock.acquire(blocking=False):
            return None
        try:
            return self._take(asked)
        finally:
            self.lock.release()

    def _take(self, asked: Reservation) -> Granted | None:
        if self.inside:
            return None  # It is for the transaction around this to say what is held.
        tenant, id_, cover, ask = asked.tenant, asked.id, asked.cover, asked.ask
        counted = self.known_counted(tenant, asked.lines)
        found = None if counted is None else self.slices.get(counted)
        if found is None or counted is None or asked.labels != found.labels:
            return None
        tokens, was = ask.at_most, found.left
        room = found.room(cover, ask)
        left = tuple(map(sub, was, cover.amounts(tokens)))
        if room < 0 or min(left) < 0 or id_ in self._open_holds or id_ in self._lately or id_ in found.taken:
            return None
        run = None
        if asked.run is not None or found.run:
            run = self._step_of(asked, found)
            if run is None:
                return None
        known = _made(OpenHold, (Hold(id_, _OPEN, cover, tokens), counted, tenant, found.run, 0, "", ""))
        granted = _made(Granted, (tokens, room, (), run))
        if found.is_over or found.left is not was:
            return None  # What has interrupted this has held something itself.
        # Nothing can come in between: the interpreter looks for signals behind a call, and this has one.
        found.left = left
        found.taken[id_] = asked, tokens
        self.remember_open(known)
        return granted

    def _step_of(self, asked: Reservation, found: Slice) -> RunRow | None:
        """Give the run's row with this call in it, as if nothing were set aside; None where it is for the ordinary verb
        to look at it."""
        asking = asked.run
        if asking is None or asking.run != found.run:
            return None
        row = self._runs.get(found.key)
        if row is None:
            return None
        spare = SLICE_CALLS - len(found.taken)
        if asking.turns > row[6] - spare or asking.tool_calls > row[7]:
            return None  # Its conversation shows more than was counted.
        run, _, denial, _, _ = admit_run(asking, found.tenant, asked.at_ns, row, (), spare)
        return run if denial is None else None

    def set_aside(self, asked: Reservation, tokens: int) -> None:
        """Hold for more calls like one that holds so many output tokens, where there is room for very many of them.

        Raises StoreUnavailable.
        """
        with self.transaction():
            counted = self.find_counted(asked.tenant, asked.lines)
            if counted is None or tokens != asked.ask.at_most or any(each.counted is counted for each in self._coming):
                return
            one = asked.cover.amounts(tokens)
            total = _made(Amounts, [SLICE_CALLS * amount for amount in one])
            free = self.free_in(counted)
            if max(total) > AMOUNT_COUNTABLE_MAX or _OF_OUTPUT.isdisjoint(free):
                return
            if any(total.amount(unit) * SHARE > left for unit, left in free.items()):
                return
            row = None
            if asked.run is not None:
                row = self._run_row(asked.tenant, asked.run.run)
                if row is None or not _has_room(row, asked):
                    return
            self._open_slice(asked, counted, one, total, row)

    def _open_slice(
        self, asked: Reservation, counted: Counted, one: Amounts, total: Amounts, row: RunRow | None
    ) -> None:
        cost, read, _, _, output, _, _ = one
        # Whole figures for each call, so that they add up to it.
        cover, tokens = Cover(cost * 1000, 0, read), SLICE_CALLS * output
        made = Slice(asked, counted, total)
        values = hold_values(replace(asked, id=made.id, cover=cover), tokens, counted.packed, made.run)
        self.pending.insert_slice((*values, SLICE_CALLS))
        self.hold_more(counted, total, is_bounded=True)
        if row is not None:
            last_ns, steps, tool_calls, in_flight = row[5:9]
            self._count_run(row.counting(steps + SLICE_CALLS, tool_calls, in_flight + SLICE_CALLS, last_ns))
        hold = Hold(made.id, _OPEN, cover, tokens, SLICE_CALLS)
        self.remember_open(OpenHold(hold, counted, asked.tenant, made.run))
        made.free = dict(self.free_in(counted))
        self._is_slicing = True
        self._coming.append(made)

    def _begin_verbs(self) -> None:
        """End all slices: what is decided or read from here on counts what calls hold, and nothing else."""
        if self.slices or self._ending or self._coming:
            self._is_slicing = True
            for each in (*self.slices.values(), *self._coming):
                each.is_over = True
                self._ending[each.id] = each
            self.slices, self._coming = {}, []
            for each in self._ending.values():
                self._end_slice(each)

    def _end_slice(self, ending: Slice) -> None:
        """Give each call that was held out of a slice its own row, and hold the rest no longer."""
        try:
            known = self._find(ending.id)
        except NotFound:
            return  # A transaction that was interrupted after its commit has done it.
        was = known.hold.state
        if was is _OPEN:
            self._give_back(known, ending)
        elif was is State.PRESUMED:
            self._withdraw(known, ending)
        # Else it was withdrawn before, by a transaction that was interrupted after its commit; or a person has
        # corrected it: that stands, and what its calls come to is recorded as of calls that the ledger never saw.

    def _give_back(self, known: OpenHold, ending: Slice) -> None:
        """End a slice that is open."""
        self.close_in(known.counted, apply(known.hold, Verb.RELEASE))
        self.pending.drop_hold(ending.id)
        self.forget_open(ending.id)
        self._hold_taken(known.counted, ending, -ending.spare)

    def _withdraw(self, known: OpenHold, ending: Slice) -> None:
        """Tell the truth late of a slice that was presumed: others took this process for dead."""
        effect = apply(known.hold, Verb.RELEASE)
        self.close_in(known.counted, effect)
        (presumed_ns,) = self.run_aside("hold_closed", id=ending.id).fetchone()
        self._record(effect, known, max(presumed_ns, time_ns()), None)
        self._hold_taken(known.counted, ending, len(ending.taken))

    def _hold_taken(self, counted: Counted, ending: Slice, in_flight: int) -> None:
        """Hold the calls that were held out of a slice by themselves, so many more in flight in their run."""
        for asked, tokens in ending.taken.values():
            self.pending.open_hold(hold_values(asked, tokens, counted.packed, ending.run))
            self.hold_more(counted, asked.cover.amounts(tokens), is_bounded=False)
            hold = Hold(asked.id, _OPEN, asked.cover, tokens)
            self.remember_open(OpenHold(hold, counted, asked.tenant, ending.run))
        row = self._run_row(ending.tenant, ending.run) if ending.run else None
        if row is not None:
            last_ns, steps, tool_calls, flying = row[5:9]
            steps, flying = max(0, steps - ending.spare), max(0, flying + in_flight)
            self._count_run(row.counting(steps, tool_calls, flying, last_ns))

    def _committed(self) -> None:
        if self._is_slicing:
            self._is_slicing = False
            self._ending = {}
            self.slices.update({each.counted: each for each in self._coming})
            self._coming = []

    def _roll_back(self) -> None:
        if self._is_slicing:
            self._is_slicing = False
            # Of a commit that was interrupted nobody knows whether it was one: the next transaction looks.
            self._ending.update({each.id: each for each in self._coming})
            self._coming = []
        super()._roll_back()


def _has_room(row: RunRow, asked: Reservation) -> bool:
    """Tell whether a run is so far from its limits that some calls more in flight change nothing for anybody."""
    assert asked.run is not None
    limits = asked.run.limits
    steps_end, _, _, flight_end, _ = (limits if type(limits) is RunLimitSet else RunLimitSet(limits)).bounds
    return (
        row.state is _RUNNING
        and not row.parent
        and row.steps + SLICE_CALLS * SHARE <= steps_end
        and row.in_flight + SLICE_CALLS * 2 <= flight_end
    )
