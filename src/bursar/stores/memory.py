"""The ledger in memory: for tests, for a library without a file, and as the plainest reading of the contract.

Owns balances, holds and entries in dictionaries under one lock. It keeps everything until the process ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bursar.core.admission import Balance, Denial, Line, admit, room_for
from bursar.core.budget import Budget, Unit
from bursar.core.charge import ZERO, Amounts, Charge
from bursar.core.hold import Book, Effect, Hold, Posting, State, Verb, apply
from bursar.core.labels import OTHER, Labels
from bursar.core.ledger import (
    BalanceRow,
    Closed,
    Extension,
    Granted,
    HoldRow,
    Mismatch,
    Note,
    ProcessRow,
    Refused,
    Reservation,
    SpendQuery,
    SpendRow,
)
from bursar.errors import HoldConflict, NotFound

__all__ = ["MemoryLedger"]

Key = tuple[str, str, str, int, Unit]
"""One balance: tenant, budget identity, scope, start of the window, unit."""


@dataclass(slots=True)
class _Account:
    budget: str
    ends_ns: int
    balance: Balance = field(default_factory=Balance)


@dataclass(slots=True)
class _Record:
    reservation: Reservation
    hold: Hold
    keys: list[Key]
    entries: list[Posting] = field(default_factory=list)
    note: Note = field(default_factory=Note)
    flags: frozenset[str] = frozenset()
    price: str = ""
    closed_ns: int = 0


class MemoryLedger:
    """A ledger in this process. All verbs are atomic; see `pipeline/ports.py` for the contract."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._accounts: dict[Key, _Account] = {}
        self._records: dict[str, _Record] = {}
        self._beats: dict[str, int] = {}
        self._defined: set[tuple[str, str, Unit]] = set()

    def define(self, budgets: Iterable[Budget], at_ns: int) -> None:
        with self._lock:
            wanted = {(budget.tenant, budget.identity, limit.unit) for budget in budgets for limit in budget.limits}
            for budget in budgets:
                for limit in budget.limits:
                    if (budget.tenant, budget.identity, limit.unit) not in self._defined:
                        self._start(budget, limit.unit, at_ns)
            self._defined = wanted

    def _start(self, budget: Budget, unit: Unit, at_ns: int) -> None:
        """Begin a new or redefined budget from what already matches in its current window."""
        span = budget.window.span(at_ns)
        values_max = budget.values_max if budget.is_capped_in_values else 0
        for record in self._records.values():
            asked = record.reservation
            labels = Labels(asked.labels)
            if asked.at_ns not in span or asked.tenant != budget.tenant or not budget.matches(labels):
                continue
            if any(key[1] == budget.identity and key[4] is unit for key in record.keys):
                continue
            line = Line(
                budget.name, budget.identity, budget.scope(labels), span.starts_ns, span.ends_ns, unit, 0, values_max
            )
            key = self._key(asked.tenant, line)
            record.keys.append(key)
            held = record.hold.held if record.hold.state is State.OPEN else ZERO
            self._move(
                key,
                held,
                sum((p.amounts for p in record.entries if p.book is Book.SETTLED), ZERO),
                sum((p.amounts for p in record.entries if p.book is Book.PRESUMED), ZERO),
            )

    def reserve(self, asked: Reservation) -> Granted | Refused:
        with self._lock:
            known = self._records.get(asked.id)
            if known is not None:
                return self._again(known, asked)
            keys = [self._key(asked.tenant, line) for line in asked.lines]
            balances = [self._accounts[key].balance for key in keys]
            verdict = admit(asked.cover, asked.ask, asked.lines, balances)
            if isinstance(verdict, Denial):
                return Refused(asked.lines[verdict.index], balances[verdict.index], verdict.is_exhausted)
            hold = Hold(asked.id, State.OPEN, asked.cover, verdict.tokens)
            self._records[asked.id] = _Record(asked, hold, keys)
            for key in keys:
                self._move(key, held=hold.held)
            return Granted(verdict.tokens, verdict.room, tuple(self._accounts[key].balance for key in keys))

    def _again(self, known: _Record, asked: Reservation) -> Granted:
        if replace(known.reservation, at_ns=0, lines=()) != replace(asked, at_ns=0, lines=()):
            raise HoldConflict(f"the id {asked.id} belongs to another call")
        return Granted(known.hold.tokens, known.hold.tokens, tuple(self._accounts[key].balance for key in known.keys))

    def _key(self, tenant: str, line: Line) -> Key:
        key = (tenant, line.identity, line.scope, line.starts_ns, line.unit)
        if key not in self._accounts:
            if line.values_max:
                same = sum(k[:2] == key[:2] and k[3:] == key[3:] and k[2] != OTHER for k in self._accounts)
                if same >= line.values_max:
                    key = (tenant, line.identity, OTHER, line.starts_ns, line.unit)
            self._accounts.setdefault(key, _Account(line.budget, line.ends_ns))
        return key

    def _move(self, key: Key, held: Amounts = ZERO, settled: Amounts = ZERO, presumed: Amounts = ZERO) -> None:
        account, unit = self._accounts[key], key[4]
        was = account.balance
        account.balance = Balance(
            was.settled + settled.amount(unit), was.presumed + presumed.amount(unit), was.held + held.amount(unit)
        )
        assert min(account.balance.settled, account.balance.presumed, account.balance.held) >= 0, (key, account)

    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        with self._lock:
            record = self._record(asked.id)
            hold = record.hold
            if hold.state is not State.OPEN:
                return Extension(hold.tokens, is_granted=False)
            balances = []
            for line, key in zip(asked.lines, record.keys, strict=False):
                balance = self._accounts[key].balance
                balances.append(replace(balance, held=balance.held - hold.held.amount(line.unit)))
            room = room_for(hold.cover, asked.lines, balances, attempts)
            if room < at_least:
                return Extension(hold.tokens, is_granted=False)
            longer = replace(hold, tokens=min(room, at_most), attempts=attempts)
            for key in record.keys:
                self._move(key, held=longer.held - hold.held)
            record.hold = longer
            return Extension(longer.tokens, is_granted=True)

    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        with self._lock:
            record = self._record(hold_id)
            effect = apply(record.hold, verb, charge)
            self._write(record, effect, at_ns)
            if note is not None and effect.is_change:
                record.note = note
            balances = tuple(self._accounts[key].balance for key in record.keys)
            return Closed(effect.hold.state, effect.hold.settled, effect.is_change, balances)

    def _write(self, record: _Record, effect: Effect, at_ns: int) -> None:
        for key in record.keys:
            self._move(key, -effect.freed, effect.delta(Book.SETTLED), effect.delta(Book.PRESUMED))
        record.hold = effect.hold
        record.entries.extend(effect.postings)
        if effect.is_change:
            record.closed_ns = at_ns
        for posting in effect.postings:
            record.flags = record.flags | posting.flags
            record.price = posting.price or record.price

    def _record(self, hold_id: str) -> _Record:
        try:
            return self._records[hold_id]
        except KeyError:
            raise NotFound(f"no call {hold_id}") from None

    def beat(self, process: str, at_ns: int) -> None:
        with self._lock:
            self._beats[process] = at_ns

    def processes(self) -> Sequence[ProcessRow]:
        with self._lock:
            return [ProcessRow(*item) for item in self._beats.items()]

    def lapse(self, process: str, at_ns: int) -> int:
        with self._lock:
            self._beats.pop(process, None)
            open_records = [
                record
                for record in self._records.values()
                if record.hold.state is State.OPEN and record.reservation.process == process
            ]
            for record in open_records:
                self._write(record, apply(record.hold, Verb.PRESUME), at_ns)
            return len(open_records)

    def latest_ns(self) -> int:
        with self._lock:
            return max((record.reservation.at_ns for record in self._records.values()), default=0)

    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]:
        with self._lock:
            return [
                BalanceRow(account.budget, key[1], key[2], key[3], account.ends_ns, key[4], account.balance)
                for key, account in self._accounts.items()
                if key[0] == tenant and account.ends_ns > after_ns
            ]

    def hold(self, tenant: str, hold_id: str) -> HoldRow:
        with self._lock:
            record = self._record(hold_id)
            if record.reservation.tenant != tenant:
                raise NotFound(f"no call {hold_id}")
            return _row(record)

    def holds(self, tenant: str, states: Sequence[State], most: int) -> Sequence[HoldRow]:
        with self._lock:
            rows = [
                _row(record)
                for record in self._records.values()
                if record.reservation.tenant == tenant and record.hold.state in states
            ]
        return sorted(rows, key=lambda row: (row.opened_ns, row.id), reverse=True)[:most]

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        groups: dict[tuple[str, ...], list[_Record]] = {}
        with self._lock:
            for record in self._matching(query):
                labels = Labels(record.reservation.labels)
                groups.setdefault(tuple(labels[name] for name in query.by), []).append(record)
            return [
                SpendRow(
                    values,
                    sum((record.hold.settled for record in records), ZERO),
                    sum((r.hold.held for r in records if r.hold.state is State.PRESUMED), ZERO),
                    len(records),
                )
                for values, records in groups.items()
            ]

    def _matching(self, query: SpendQuery) -> Iterator[_Record]:
        for record in self._records.values():
            asked = record.reservation
            if (
                asked.tenant == query.tenant
                and record.hold.state in (State.SETTLED, State.PRESUMED)
                and query.since_ns <= asked.at_ns < query.until_ns
                and all(Labels(asked.labels)[name] == value for name, value in query.match.items())
            ):
                yield record

    def verify(self) -> Sequence[Mismatch]:
        folded: dict[Key, Balance] = dict.fromkeys(self._accounts, Balance())
        with self._lock:
            for record in self._records.values():
                settled = sum((p.amounts for p in record.entries if p.book is Book.SETTLED), ZERO)
                presumed = sum((p.amounts for p in record.entries if p.book is Book.PRESUMED), ZERO)
                held = record.hold.held if record.hold.state is State.OPEN else ZERO
                for key in record.keys:
                    was, unit = folded[key], key[4]
                    folded[key] = Balance(
                        was.settled + settled.amount(unit),
                        was.presumed + presumed.amount(unit),
                        was.held + held.amount(unit),
                    )
            return list(_differences(self._accounts, folded))

    def close_store(self) -> None:
        """Nothing to let go of."""


def _differences(accounts: Mapping[Key, _Account], folded: Mapping[Key, Balance]) -> Iterator[Mismatch]:
    for key, account in accounts.items():
        for side in ("settled", "presumed", "held"):
            kept, true = getattr(account.balance, side), getattr(folded[key], side)
            if kept != true:
                yield Mismatch(account.budget, key[2], key[3], key[4], side, kept, true)


def _row(record: _Record) -> HoldRow:
    asked = record.reservation
    return HoldRow(
        asked.id,
        asked.tenant,
        asked.process,
        record.hold.state,
        asked.at_ns,
        record.closed_ns,
        asked.labels,
        record.hold.held,
        record.hold.settled,
        record.flags,
        record.price,
        record.note,
    )
