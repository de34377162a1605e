"""The ledger in one SQLite file: the embedded default, safe with several processes on it.

Owns the transactions and the verbs. Every verb is one `BEGIN IMMEDIATE … COMMIT` (or a part of a batch that
is), so what it decides on cannot change under it. Blocking: an event loop reaches it through `stores/threaded.py`.
The file itself stands in `sqlite_book.py`, balances in `sqlite_balances.py`, what only reads in `sqlite_read.py`, what
begins a budget in `sqlite_define.py`, what was set while bursar runs in `sqlite_control.py`, runs in `sqlite_run.py`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from threading import get_ident
from typing import Any, Final

from bursar.core.admission import (
    Ask,
    Cover,
    Denial,
    Line,
    admit,
    free_of,
    grant_within,
    line_without_room,
    room_for,
)
from bursar.core.budget import Budget, Unit
from bursar.core.charge import Amounts, Charge
from bursar.core.hold import Effect, Hold, State, Verb, apply
from bursar.core.ledger import (
    BEGIN_MAX,
    LAPSE_MAX,
    Closed,
    Extension,
    Granted,
    Note,
    Refused,
    Reservation,
    calls_in,
    refuse_run,
)
from bursar.core.run import RunEntry, RunRow
from bursar.errors import BursarError, HoldConflict, StoreUnavailable
from bursar.stores.sqlite_ahead import OpenHold, hold_values, numbers_of
from bursar.stores.sqlite_balances import Counted
from bursar.stores.sqlite_define import begin_budgets, declare_budgets, finish_budgets
from bursar.stores.sqlite_slices import SqliteSlices

__all__ = ["SqliteLedger"]

_OPEN: Final = State.OPEN
_made = tuple.__new__
"""Makes a named tuple at half the price: the class itself does so in Python, and a call makes half a dozen of them."""


class SqliteLedger(SqliteSlices):
    """A ledger in one file. See `pipeline/ports.py` for the contract, `SqliteBook` for what the constructor takes."""

    def define(self, budgets: Iterable[Budget], at_ns: int) -> None:
        """Put exactly these budgets in force, and let each new one begin with what its window has already."""
        new = self.declare(tuple(budgets))
        place = self.begin(new, at_ns)
        while place is not None:
            place = self.begin(new, at_ns, place)
        self.finish(new)

    def declare(self, budgets: Sequence[Budget]) -> tuple[Budget, ...]:
        """Let exactly these budgets be defined. Give those that have not begun."""
        with self.transaction():
            return declare_budgets(self, budgets)

    def begin(
        self, budgets: Sequence[Budget], at_ns: int, after: tuple[int, str] | None = None, most: int = BEGIN_MAX
    ) -> tuple[int, str] | None:
        """Count calls that came before budgets, in their windows at `at_ns`, a bounded number of them at a time.

        Looks at the calls that follow `after` (an instant of opening, and an id) in the order of their opening, and
        gives the `after` of the next chunk; None when there is none. A call that a budget counts already stays as it
        is, so this may be done again, by any process, before and while the budgets are in force.
        """
        with self.transaction():
            try:
                return begin_budgets(self, budgets, at_ns, after, most)
            finally:
                self._open_holds.clear()  # They may count against more than they did.

    def finish(self, budgets: Sequence[Budget]) -> None:
        """Record that budgets have counted all that came before them; until then a restart begins them again."""
        with self.transaction():
            finish_budgets(self, budgets)

    def reserve(self, asked: Reservation) -> Granted | Refused:
        if self.inside == get_ident():
            granted, count = None, self.pending.count
            try:
                granted = self._hold_new(asked)
            except BursarError as error:
                self._refuse_torn(error, count)
                raise
            if granted is not None:
                return granted
        with self.transaction():
            granted = self._hold_new(asked)
            if granted is not None:
                return granted
            known = self._asked(asked.id)
            return self._reserve(asked) if known is None else self._again(known, asked)

    def _hold_new(self, asked: Reservation) -> Granted | None:
        """Hold without a look whether the id is known; None, and nothing written, where it is or nothing is granted.

        A second row of an id cannot be written. In a batch that shows at its end, and it is done again one by one.
        """
        counted = self.find_counted(asked.tenant, asked.lines)
        if counted is None or asked.id in self._open_holds or self.pending.has_hold(asked.id):
            return None
        entry = None if asked.run is None else self.look_up_run(asked)
        if entry is not None and entry.denial is not None:
            return None
        free, cover = self.free_in(counted), asked.cover
        verdict = grant_within(cover, asked.ask, free)
        if verdict is None:
            return None
        tokens, room = verdict.tokens, verdict.room
        held = cover.amounts(tokens)
        self._refuse_beyond(free, held)
        try:
            self._insert(asked, tokens, counted, entry)
        except sqlite3.IntegrityError:
            return None
        run = self._count(asked, tokens, counted, held, entry)
        return Granted(tokens, room, self.balances_of(counted), run)

    def _reserve(self, asked: Reservation) -> Granted | Refused:
        """Hold under an id that nobody has asked for before."""
        entry = self.look_up_run(asked)
        if entry is not None and entry.denial is not None:
            self.trip_run(entry)
            return refuse_run(asked, entry.denial)
        found = [self.find_balance(asked.tenant, line) for line in asked.lines]
        balances = self.read_balances(found)
        verdict = admit(asked.cover, asked.ask, asked.lines, balances)
        if isinstance(verdict, Denial):
            return Refused(asked.lines[verdict.index], balances[verdict.index], verdict.is_exhausted)
        counted = self.open_counted(asked.tenant, asked.lines)
        held = asked.cover.amounts(verdict.tokens)
        self._refuse_beyond(self.free_in(counted), held)
        self._insert(asked, verdict.tokens, counted, entry)
        run = self._count(asked, verdict.tokens, counted, held, entry)
        return Granted(verdict.tokens, verdict.room, self.balances_of(counted), run)

    def _insert(self, asked: Reservation, tokens: int, counted: Counted, entry: RunEntry | None) -> None:
        """Write the row of a new hold. Raises IntegrityError when its id has one already; in a batch at the end."""
        row = hold_values(asked, tokens, counted.packed, "" if entry is None else entry.row.run)
        if self.is_batch:
            self.pending.open_hold(row)
        else:
            self.pending.insert_hold(row)

    def _count(
        self, asked: Reservation, tokens: int, counted: Counted, held: Amounts, entry: RunEntry | None
    ) -> RunRow | None:
        """Count a hold whose row is written in its balances and its run; gives the run."""
        self.hold_more(counted, held, is_bounded=True)
        run = None if entry is None else self.enter_run(entry)
        hold = Hold(asked.id, _OPEN, asked.cover, tokens)
        self.remember_open(_made(OpenHold, (hold, counted, asked.tenant, "" if run is None else run.run, 0, "", "")))
        return run

    def _refuse_beyond(self, free: Mapping[Unit, int], more: Amounts) -> None:
        """Raise StoreUnavailable where more is to be held than is left: the last guard, whatever was computed."""
        for unit, left in free.items():
            amount = more.amount(unit)
            if amount and amount > left:
                raise StoreUnavailable(f"{self.path}: no room for what was admitted, the ledger is inconsistent")

    def _asked(self, hold_id: str) -> tuple[Any, ...] | None:
        """Read what was asked for under an id before; of what is still pending it is written first."""
        find = self.run if self.pending.has_hold(hold_id) else self.run_aside
        row: tuple[Any, ...] | None = find("hold_asked", id=hold_id).fetchone()
        return row

    def _again(self, row: tuple[Any, ...], asked: Reservation) -> Granted:
        state, tokens, packed, tenant, labels, *cover, ask = row
        if not asked.is_same(tenant, json.loads(labels), Cover(*cover), Ask(*numbers_of(ask))):
            raise HoldConflict(f"the id {asked.id} belongs to another call")
        if state != State.OPEN:
            raise HoldConflict(f"hold {asked.id} is {State(state).name.lower()}: its id cannot be held again")
        return Granted(tokens, tokens, tuple(self.read_balances(numbers_of(packed))))

    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        with self.transaction():
            known = self._find(asked.id)
            hold, counted = known.hold, known.counted
            if hold.state is not State.OPEN:
                return Extension(hold.tokens, is_granted=False)
            if hold.covers(at_least, attempts):
                return Extension(hold.tokens, is_granted=True)
            # An extension never takes away what is covered already.
            at_least, attempts = max(at_least, hold.tokens), max(attempts, hold.attempts)
            lines = (*asked.lines, *(self._line(number) for number in counted.ids[len(asked.lines) :]))
            held, balances = hold.held, self.balances_of(counted)
            others = [
                balance._replace(held=balance.held - held.amount(line.unit))
                for line, balance in zip(lines, balances, strict=True)
            ]
            room = room_for(hold.cover, lines, others, attempts)
            if room < at_least:
                line = line_without_room(hold.cover, lines, others, at_least, attempts)
                return Extension(hold.tokens, is_granted=False, line=line)
            longer = replace(hold, tokens=min(room, max(at_least, at_most)), attempts=attempts)
            more = longer.held - held
            places = [(line.unit, line.limit, each) for line, each in zip(lines, balances, strict=True)]
            self._refuse_beyond(free_of(places), more)
            self.hold_more(counted, more, is_bounded=False)
            self.run("hold_extend", id=hold.id, tokens=longer.tokens, attempts=longer.attempts)
            if hold.id in self._open_holds:
                self.remember_open(known._replace(hold=longer))
            return Extension(longer.tokens, is_granted=True)

    def _line(self, number: int) -> Line:
        """Give the line of a budget that began while a hold was open, as it was defined."""
        name, identity, scope, starts_ns, ends_ns, unit, limit = self.run("balance_line", id=number).fetchone()
        return Line(name, identity, scope, starts_ns, ends_ns, Unit(unit), limit)

    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        if self.inside == get_ident() and hold_id in self._open_holds:
            return self._closed(*self._close_inside(hold_id, verb, at_ns, charge, note))
        with self.transaction():
            known = self._find(hold_id)
            return self._closed(known, self._close(known, verb, at_ns, charge, note))

    def end(self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None) -> None:
        """Close a hold, for one who does not ask what the balances are then."""
        if self.inside == get_ident() and hold_id in self._open_holds:
            self._close_inside(hold_id, verb, at_ns, charge, note)
            return
        with self.transaction():
            self._close(self._find(hold_id), verb, at_ns, charge, note)

    def _close_inside(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None, note: Note | None
    ) -> tuple[OpenHold, Effect]:
        """Close a hold that is known to be open, in a transaction of many verbs."""
        known, count = self._open_holds[hold_id], self.pending.count
        try:
            return known, self._close(known, verb, at_ns, charge, note)
        except BursarError as error:
            self._refuse_torn(error, count)
            raise

    def _closed(self, known: OpenHold, effect: Effect) -> Closed:
        return Closed(effect.state, effect.settled, effect.is_change, self.balances_of(known.counted))

    def _refuse_torn(self, error: BursarError, count: int) -> None:
        """Take the whole transaction down with a verb that is refused after it has written (StoreUnavailable)."""
        if self.pending.count != count and not isinstance(error, StoreUnavailable):
            raise StoreUnavailable(f"an operation was refused after it had written: {error}") from error

    def _close(self, known: OpenHold, verb: Verb, at_ns: int, charge: Charge | None, note: Note | None) -> Effect:
        effect, counted = apply(known.hold, verb, charge), known.counted
        if not effect.is_change:
            return effect
        self.close_in(counted, effect)
        self._record(effect, known, at_ns, note)
        if known.run and known.hold.state is _OPEN:
            self.leave_run(known.tenant, known.run, effect.state, at_ns, note)
        return effect

    def beat(self, process: str, at_ns: int) -> None:
        self.check_file()
        with self.transaction():
            self.run("process_beat", id=process, beat_ns=at_ns)

    def lapse(self, process: str, at_ns: int) -> int:
        with self.transaction():
            ids = [hold_id for (hold_id,) in self.run("hold_open_of", process=process, most=LAPSE_MAX).fetchall()]
            for hold_id in ids:
                known = self._find(hold_id)
                effect = self._close(known, Verb.PRESUME, at_ns, None, None)
                for _ in range(1, calls_in(hold_id) if known.run else 1):
                    self.leave_run(known.tenant, known.run, effect.state, at_ns, None)
            if len(ids) < LAPSE_MAX:
                self.run("process_delete", id=process)
            return len(ids)
