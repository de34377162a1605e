"""The ledger in one SQLite file: the embedded default, safe with several processes on it.

Owns the transactions and the verbs. Every verb is one `BEGIN IMMEDIATE … COMMIT` (or a part of a batch that
is), so what it decides on cannot change under it. Blocking: an event loop reaches it through `stores/threaded.py`.
The file itself stands in `sqlite_book.py`, what only reads in `sqlite_read.py`, what begins a budget in `sqlite_define.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace
from typing import Any

from bursar.core.admission import Balance, Cover, Denial, Line, admit, room_for
from bursar.core.budget import Budget
from bursar.core.charge import FLAGS, Amounts, Charge
from bursar.core.hold import Book, Effect, Hold, State, Verb, apply
from bursar.core.ledger import Closed, Extension, Granted, Note, Refused, Reservation
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.stores.sqlite_define import start_budgets
from bursar.stores.sqlite_read import SqliteReads

__all__ = ["SqliteLedger"]


class SqliteLedger(SqliteReads):
    """A ledger in one file. See `pipeline/ports.py` for the contract, `SqliteBook` for what the constructor takes."""

    def define(self, budgets: Iterable[Budget], at_ns: int) -> None:
        with self.transaction():
            start_budgets(self, tuple(budgets), at_ns)

    def reserve(self, asked: Reservation) -> Granted | Refused:
        with self.transaction():
            known = self.run("hold_find", id=asked.id).fetchone()
            if known is not None:
                return self._again(known, asked)
            ids = [self.balance_id(asked.tenant, line) for line in asked.lines]
            balances = [Balance(*self.run("balance_read", id=number).fetchone()) for number in ids]
            verdict = admit(asked.cover, asked.ask, asked.lines, balances)
            if isinstance(verdict, Denial):
                return Refused(asked.lines[verdict.index], balances[verdict.index], verdict.is_exhausted)
            held = asked.cover.amounts(verdict.tokens)
            after = tuple(self._hold(number, line, held) for number, line in zip(ids, asked.lines, strict=True))
            self._insert(asked, verdict.tokens, ids)
            return Granted(verdict.tokens, verdict.room, after)

    def _hold(self, number: int, line: Line, held: Amounts) -> Balance:
        row = self.run("balance_hold", id=number, amount=held.amount(line.unit), limit=line.limit).fetchone()
        if row is None:
            raise StoreUnavailable(
                f"budget {line.budget} has no room for what was admitted: the ledger is inconsistent"
            )
        return Balance(*row)

    def _insert(self, asked: Reservation, tokens: int, ids: Sequence[int]) -> None:
        cover = asked.cover
        self.run(
            "hold_insert",
            id=asked.id,
            tenant=asked.tenant,
            process=asked.process,
            opened_ns=asked.at_ns,
            balances=",".join(map(str, ids)),
            asked=_fingerprint(asked),
            fixed_pico=cover.fixed_pico,
            output_pico=cover.output_pico,
            cover_input=cover.input_tokens,
            choices=cover.choices,
            tokens=tokens,
            labels=json.dumps(dict(asked.labels), separators=(",", ":"), ensure_ascii=False),
        )

    def _again(self, row: tuple[Any, ...], asked: Reservation) -> Granted:
        if row[18] != _fingerprint(asked):
            raise HoldConflict(f"the id {asked.id} belongs to another call")
        tokens = row[5]
        balances = tuple(Balance(*self.run("balance_read", id=number).fetchone()) for number in _ids(row[14]))
        return Granted(tokens, tokens, balances)

    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        with self.transaction():
            hold, ids, _ = self._find(asked.id)
            if hold.state is not State.OPEN:
                return Extension(hold.tokens, is_granted=False)
            others = []
            for line, number in zip(asked.lines, ids, strict=False):
                balance = Balance(*self.run("balance_read", id=number).fetchone())
                others.append(replace(balance, held=balance.held - hold.held.amount(line.unit)))
            room = room_for(hold.cover, asked.lines, others, attempts)
            if room < at_least:
                return Extension(hold.tokens, is_granted=False)
            longer = replace(hold, tokens=min(room, at_most), attempts=attempts)
            for number in ids:
                self.move(number, held=longer.held - hold.held)
            self.run("hold_extend", id=hold.id, tokens=longer.tokens, attempts=attempts)
            return Extension(longer.tokens, is_granted=True)

    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        with self.transaction():
            hold, ids, row = self._find(hold_id)
            effect = apply(hold, verb, charge)
            if not effect.is_change and effect.hold.state is hold.state:
                balances = tuple(Balance(*self.run("balance_read", id=number).fetchone()) for number in ids)
                return Closed(hold.state, hold.settled, is_change=False, balances=balances)
            balances = tuple(
                self.move(number, -effect.freed, effect.delta(Book.SETTLED), effect.delta(Book.PRESUMED))
                for number in ids
            )
            self._record(effect, row, at_ns, note)
            return Closed(effect.hold.state, effect.hold.settled, is_change=True, balances=balances)

    def _find(self, hold_id: str) -> tuple[Hold, list[int], tuple[Any, ...]]:
        row = self.run("hold_find", id=hold_id).fetchone()
        if row is None:
            raise NotFound(f"no call {hold_id}")
        hold = Hold(hold_id, State(row[0]), Cover(*row[1:5]), row[5], row[6], Amounts(*row[7:14]))
        return hold, _ids(row[14]), row

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
            note=row[17] if note is None else json.dumps(astuple(note), separators=(",", ":")),
            **effect.hold.settled.as_dict(),
        )

    def beat(self, process: str, at_ns: int) -> None:
        with self.transaction():
            self.run("process_beat", id=process, beat_ns=at_ns)

    def lapse(self, process: str, at_ns: int) -> int:
        """Presume every open hold of a process that is gone, and forget it. Returns how many there were."""
        with self.transaction():
            ids = [hold_id for (hold_id,) in self.run("hold_open_of", process=process).fetchall()]
            for hold_id in ids:
                self.close(hold_id, Verb.PRESUME, at_ns)
            self.run("process_delete", id=process)
            return len(ids)


def flag_bits(flags: Iterable[str]) -> int:
    """Pack flags into the integer that rows keep; the order of FLAGS is part of the format."""
    return sum(1 << FLAGS.index(flag) for flag in flags)


def _ids(packed: str) -> list[int]:
    return [int(number) for number in packed.split(",")] if packed else []


def _fingerprint(asked: Reservation) -> str:
    """Say what must be the same when an id comes again: all but the instant and the windows that follow from it."""
    cover, ask = asked.cover, asked.ask
    amounts = [cover.fixed_pico, cover.output_pico, cover.input_tokens, cover.choices, ask.at_least, ask.at_most]
    label = asked.labels.get
    return json.dumps([asked.tenant, label("provider", ""), label("model", ""), *amounts], separators=(",", ":"))
