"""The ledger in one SQLite file: the embedded default, safe with several processes on it.

Owns the transactions and the verbs. Every verb is one `BEGIN IMMEDIATE … COMMIT` (or a part of a batch that
is), so what it decides on cannot change under it. Blocking: an event loop reaches it through `stores/threaded.py`.
The file itself stands in `sqlite_book.py`, what only reads in `sqlite_read.py`, what begins a budget in
`sqlite_define.py`, what was set while bursar runs in `sqlite_control.py`, runs in `sqlite_run.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bursar.core.admission import Ask, Balance, Cover, Denial, Line, admit, room_for
from bursar.core.budget import Budget, Unit
from bursar.core.charge import FLAGS, Amounts, Charge
from bursar.core.hold import Effect, Hold, State, Verb, apply
from bursar.core.ledger import BEGIN_MAX, LAPSE_MAX, Closed, Extension, Granted, Note, Refused, Reservation, refuse_run
from bursar.errors import HoldConflict, NotFound
from bursar.stores.sqlite_define import begin_budgets, declare_budgets, finish_budgets
from bursar.stores.sqlite_run import SqliteRuns

__all__ = ["SqliteLedger"]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class SqliteLedger(SqliteRuns):
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
            return begin_budgets(self, budgets, at_ns, after, most)

    def finish(self, budgets: Sequence[Budget]) -> None:
        """Record that budgets have counted all that came before them; until then a restart begins them again."""
        with self.transaction():
            finish_budgets(self, budgets)

    def reserve(self, asked: Reservation) -> Granted | Refused:
        with self.transaction():
            known = self.run("hold_asked", id=asked.id).fetchone()
            if known is not None:
                return self._again(known, asked)
            entry = self.look_up_run(asked)
            if entry is not None and entry.denial is not None:
                return refuse_run(asked, entry.denial)
            found = [self.find_balance(asked.tenant, line) for line in asked.lines]
            balances = self._read_found(found)
            verdict = admit(asked.cover, asked.ask, asked.lines, balances)
            if isinstance(verdict, Denial):
                return Refused(asked.lines[verdict.index], balances[verdict.index], verdict.is_exhausted)
            ids = [
                self.open_balance(asked.tenant, line) if number is None else number
                for number, line in zip(found, asked.lines, strict=True)
            ]
            held = asked.cover.amounts(verdict.tokens)
            self._hold(ids, [held.amount(line.unit) for line in asked.lines], asked.lines)
            self._insert(asked, verdict.tokens, ids)
            entered = self.enter_run(asked, entry)
            return Granted(verdict.tokens, verdict.room, tuple(self.read_balances(ids)), entered)

    def _read_found(self, found: Sequence[int | None]) -> list[Balance]:
        """Read balances; one that is not opened yet is at zero."""
        known = iter(self.read_balances([number for number in found if number is not None]))
        return [Balance() if number is None else next(known) for number in found]

    def _hold(self, ids: Sequence[int], amounts: Sequence[int], lines: Sequence[Line]) -> None:
        self.hold_balances(
            [(amount, number, line.limit) for number, amount, line in zip(ids, amounts, lines, strict=True)]
        )

    def _insert(self, asked: Reservation, tokens: int, ids: Sequence[int]) -> None:
        cover, ask = asked.cover, asked.ask
        self.run(
            "hold_insert",
            id=asked.id,
            tenant=asked.tenant,
            process=asked.process,
            opened_ns=asked.at_ns,
            balances=",".join(map(str, ids)),
            asked=f"{ask.at_least},{ask.at_most},{ask.middle},{ask.share}",
            fixed_pico=cover.fixed_pico,
            output_pico=cover.output_pico,
            cover_input=cover.input_tokens,
            choices=cover.choices,
            tokens=tokens,
            labels=_encode(dict(asked.labels)),
        )

    def _again(self, row: tuple[Any, ...], asked: Reservation) -> Granted:
        state, tokens, packed, tenant, labels, *cover, ask = row
        if not asked.is_same(tenant, json.loads(labels), Cover(*cover), Ask(*_numbers(ask))):
            raise HoldConflict(f"the id {asked.id} belongs to another call")
        if state != State.OPEN:
            raise HoldConflict(f"hold {asked.id} is {State(state).name.lower()}: its id cannot be held again")
        return Granted(tokens, tokens, tuple(self.read_balances(_numbers(packed))))

    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        with self.transaction():
            hold, ids, _ = self._find(asked.id)
            if hold.state is not State.OPEN:
                return Extension(hold.tokens, is_granted=False)
            if hold.covers(at_least, attempts):
                return Extension(hold.tokens, is_granted=True)
            # An extension never takes away what is covered already.
            at_least, attempts = max(at_least, hold.tokens), max(attempts, hold.attempts)
            lines = (*asked.lines, *(self._line(number) for number in ids[len(asked.lines) :]))
            held = hold.held
            others = [
                balance._replace(held=balance.held - held.amount(line.unit))
                for line, balance in zip(lines, self.read_balances(ids), strict=True)
            ]
            room = room_for(hold.cover, lines, others, attempts)
            if room < at_least:
                return Extension(hold.tokens, is_granted=False)
            longer = replace(hold, tokens=min(room, max(at_least, at_most)), attempts=attempts)
            more = longer.held - held
            self._hold(ids, [more.amount(line.unit) for line in lines], lines)
            self.run("hold_extend", id=hold.id, tokens=longer.tokens, attempts=longer.attempts)
            return Extension(longer.tokens, is_granted=True)

    def _line(self, number: int) -> Line:
        """Give the line of a budget that began while a hold was open, as it was defined."""
        name, identity, scope, starts_ns, ends_ns, unit, limit = self.run("balance_line", id=number).fetchone()
        return Line(name, identity, scope, starts_ns, ends_ns, Unit(unit), limit)

    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        with self.transaction():
            hold, ids, row = self._find(hold_id)
            effect = apply(hold, verb, charge)
            if effect.is_change:
                self._move(ids, effect)
                self._record(effect, row, at_ns, note)
                self.leave_run(hold_id, effect.hold.state, at_ns, note)
            balances = tuple(self.read_balances(ids))
            return Closed(effect.hold.state, effect.hold.settled, effect.is_change, balances)

    def _find(self, hold_id: str) -> tuple[Hold, list[int], tuple[Any, ...]]:
        row = self.run("hold_find", id=hold_id).fetchone()
        if row is None:
            raise NotFound(f"no call {hold_id}")
        hold = Hold(hold_id, State(row[0]), Cover(*row[1:5]), row[5], row[6], Amounts(*row[7:14]))
        return hold, _numbers(row[14]), row

    def _move(self, ids: Sequence[int], effect: Effect) -> None:
        units = [self.unit_of(number) for number in ids]
        moves = {unit: effect.move(unit) for unit in set(units)}
        self.move_balances([(*moves[unit], number) for unit, number in zip(units, ids, strict=True)])

    def _record(self, effect: Effect, row: tuple[Any, ...], at_ns: int, note: Note | None) -> None:
        flags, price = row[15], row[16]
        for posting in effect.postings:
            bits = flag_bits(posting.flags)
            flags, price = flags | bits, posting.price or price
            self.run(
                "entry_insert",
                hold_id=effect.hold.id,
                book=str(posting.book),
                recorded_ns=at_ns,
                flags=bits,
                price=posting.price,
                **posting.amounts.as_dict(),
            )
        self.run(
            "hold_close",
            id=effect.hold.id,
            state=int(effect.hold.state),
            closed_ns=at_ns,
            flags=flags,
            price=price,
            note=row[17] if note is None else _encode(note.as_list()),
            **effect.hold.settled.as_dict(),
        )
        if note is not None and note.response_id:
            self.run("response_insert", id=note.response_id, hold_id=effect.hold.id)

    def beat(self, process: str, at_ns: int) -> None:
        self.check_file()
        with self.transaction():
            self.run("process_beat", id=process, beat_ns=at_ns)

    def lapse(self, process: str, at_ns: int) -> int:
        with self.transaction():
            ids = [hold_id for (hold_id,) in self.run("hold_open_of", process=process, most=LAPSE_MAX).fetchall()]
            for hold_id in ids:
                self.close(hold_id, Verb.PRESUME, at_ns)
            if len(ids) < LAPSE_MAX:
                self.run("process_delete", id=process)
            return len(ids)


def flag_bits(flags: Iterable[str]) -> int:
    """Pack flags into the integer that rows keep; the order of FLAGS is part of the format."""
    return sum(1 << FLAGS.index(flag) for flag in flags)


def _numbers(packed: str) -> list[int]:
    return [int(number) for number in packed.split(",")] if packed else []
