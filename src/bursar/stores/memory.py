"""The ledger in memory: for tests, for a library without a file, and as the plainest reading of the contract.

Owns balances, holds and entries in dictionaries under one lock. It keeps everything until the process ends. What is
read from it stands in `memory_read.py`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from operator import itemgetter
from typing import TypeAlias

from bursar.core.admission import Balance, Denial, Line, admit, line_without_room, room_for
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.charge import Charge
from bursar.core.hold import Effect, Hold, Move, State, Verb, apply
from bursar.core.labels import OTHER, Labels
from bursar.core.ledger import (
    BEGIN_MAX,
    CARVE,
    LAPSE_MAX,
    Closed,
    Extension,
    Granted,
    Note,
    ProcessRow,
    Refused,
    Reservation,
    refuse_run,
)
from bursar.core.window import FOREVER_NS, Span
from bursar.errors import HoldConflict, NotFound
from bursar.stores.memory_read import Account, Key, MemoryReads, Record, fold
from bursar.stores.memory_run import MemoryRuns

__all__ = ["MemoryLedger"]

LIMITLESS = 2**63 - 1
"""What a balance is measured by whose budget is no longer in force."""
_NOTHING = Balance()
_LimitName: TypeAlias = tuple[str, str, Unit]


class MemoryLedger(MemoryReads, MemoryRuns):
    """A ledger in this process. All verbs are atomic; see `pipeline/ports.py` for the contract."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._accounts: dict[Key, Account] = {}
        self._responses: dict[tuple[str, str], str] = {}
        self._scopes: Counter[tuple[str, str, int, Unit]] = Counter()
        self._records: dict[str, Record] = {}
        self._open: dict[str, dict[str, Record]] = {}
        self._beats: dict[str, int] = {}
        self._limits: dict[_LimitName, int] = {}
        self._begun: set[_LimitName] = set()

    def define(self, budgets: Iterable[Budget], at_ns: int) -> None:
        new = self.declare(tuple(budgets))
        place = self.begin(new, at_ns)
        while place is not None:
            place = self.begin(new, at_ns, place)
        self.finish(new)

    def declare(self, budgets: Sequence[Budget]) -> tuple[Budget, ...]:
        with self._lock:
            self._limits = {name: limit.amount for budget in budgets for name, limit in _limits(budget)}
            self._begun.intersection_update(self._limits)
            return tuple(budget for budget in budgets if any(name not in self._begun for name, _ in _limits(budget)))

    def finish(self, budgets: Sequence[Budget]) -> None:
        with self._lock:
            named = {name for budget in budgets for name, _ in _limits(budget)}
            self._begun.update(named.intersection(self._limits))

    def begin(
        self, budgets: Sequence[Budget], at_ns: int, after: tuple[int, str] | None = None, most: int = BEGIN_MAX
    ) -> tuple[int, str] | None:
        with self._lock:
            begins = [(budget, budget.window.span(at_ns)) for budget in budgets]
            first = (min((span.starts_ns for _, span in begins), default=FOREVER_NS), "")
            since = first if after is None else max(first, after)
            places = (((record.reservation.at_ns, id_), record) for id_, record in self._records.items())
            chunk = nsmallest(most, (each for each in places if each[0] > since), key=itemgetter(0))
            for _, record in chunk:
                for budget, span in begins:
                    self._count(record, budget, span)
            return chunk[-1][0] if len(chunk) == most else None

    def _count(self, record: Record, budget: Budget, span: Span) -> None:
        """Count a call in a budget that began after it, unless it counts there already."""
        asked = record.reservation
        labels = Labels(asked.labels)
        if (
            labels["wire"] == CARVE
            or asked.at_ns not in span
            or asked.tenant != budget.tenant
            or not budget.matches(labels)
        ):
            return
        values_max = budget.values_max if budget.is_capped_in_values else 0
        scope, identity = budget.scope(labels), budget.identity
        for limit in budget.limits:
            if any(key[1] == identity and key[4] is limit.unit for key in record.keys):
                continue
            line = Line(
                budget.name, identity, scope, span.starts_ns, span.ends_ns, limit.unit, limit.amount, values_max
            )
            key = self._open_account(asked.tenant, line)
            record.keys.append(key)
            self._post((key,), {limit.unit: fold(record, limit.unit)})

    def reserve(self, asked: Reservation) -> Granted | Refused:
        with self._lock:
            known = self._records.get(asked.id)
            if known is not None:
                return self._again(known, asked)
            entry = self.look_up_run(asked)
            if entry is not None and entry.denial is not None:
                return refuse_run(asked, entry.denial)
            keys = [self._key(asked.tenant, line) for line in asked.lines]
            known_accounts = self._accounts
            balances = [known_accounts[key].balance if key in known_accounts else _NOTHING for key in keys]
            verdict = admit(asked.cover, asked.ask, asked.lines, balances)
            if isinstance(verdict, Denial):
                return Refused(asked.lines[verdict.index], balances[verdict.index], verdict.is_exhausted)
            keys = [self._open_account(asked.tenant, line) for line in asked.lines]
            hold = Hold(asked.id, State.OPEN, asked.cover, verdict.tokens)
            record = self._records[asked.id] = Record(asked, hold, keys)
            self._open.setdefault(asked.process, {})[asked.id] = record
            held = hold.held
            after = self._post(keys, {key[4]: Move(held.amount(key[4]), 0, 0) for key in keys})
            entered = self.enter_run(asked, entry)
            return Granted(verdict.tokens, verdict.room, after, entered)

    def _again(self, known: Record, asked: Reservation) -> Granted:
        was, hold = known.reservation, known.hold
        if not asked.is_same(was.tenant, was.labels, was.cover, was.ask):
            raise HoldConflict(f"the id {asked.id} belongs to another call")
        if hold.state is not State.OPEN:
            raise HoldConflict(f"hold {asked.id} is {hold.state.name.lower()}: its id cannot be held again")
        return Granted(hold.tokens, hold.tokens, self._balances_of(known))

    def _key(self, tenant: str, line: Line) -> Key:
        """Name the balance of a line: beyond `values_max` scopes the shared `(other)`, until the window ends."""
        key = (tenant, line.identity, line.scope, line.starts_ns, line.unit)
        if not line.values_max or key in self._accounts:
            return key
        other = (tenant, line.identity, OTHER, line.starts_ns, line.unit)
        is_full = other in self._accounts or self._scopes[_place(key)] >= line.values_max
        return other if is_full else key

    def _open_account(self, tenant: str, line: Line) -> Key:
        key = self._key(tenant, line)
        if key not in self._accounts:
            self._accounts[key] = Account(line.budget, line.ends_ns)
            if key[2] != OTHER:
                self._scopes[_place(key)] += 1
        return key

    def _balances_of(self, record: Record) -> tuple[Balance, ...]:
        return tuple(self._accounts[key].balance for key in record.keys)

    def _post(self, keys: Sequence[Key], moves: Mapping[Unit, Move]) -> tuple[Balance, ...]:
        """Move balances, each by what its unit says; gives them as they are then."""
        after = []
        for key in keys:
            account = self._accounts[key]
            was_settled, was_presumed, was_held = account.balance
            held, settled, presumed = moves[key[4]]
            account.balance = now = Balance(was_settled + settled, was_presumed + presumed, was_held + held)
            assert now.settled >= 0 and now.presumed >= 0 and now.held >= 0, (key, account)
            after.append(now)
        return tuple(after)

    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        with self._lock:
            record = self._record(asked.id)
            hold = record.hold
            if hold.state is not State.OPEN:
                return Extension(hold.tokens, is_granted=False)
            if hold.covers(at_least, attempts):
                return Extension(hold.tokens, is_granted=True)
            # An extension never takes away what is covered already.
            at_least, attempts = max(at_least, hold.tokens), max(attempts, hold.attempts)
            lines = (*asked.lines, *(self._line(key) for key in record.keys[len(asked.lines) :]))
            held = hold.held
            others = [
                balance._replace(held=balance.held - held.amount(line.unit))
                for line, balance in zip(lines, self._balances_of(record), strict=True)
            ]
            room = room_for(hold.cover, lines, others, attempts)
            if room < at_least:
                line = line_without_room(hold.cover, lines, others, at_least, attempts)
                return Extension(hold.tokens, is_granted=False, line=line)
            record.hold = longer = replace(hold, tokens=min(room, max(at_least, at_most)), attempts=attempts)
            more = longer.held - held
            self._post(record.keys, {key[4]: Move(more.amount(key[4]), 0, 0) for key in record.keys})
            return Extension(longer.tokens, is_granted=True)

    def _line(self, key: Key) -> Line:
        """Give the line of a budget that began while a hold was open, as it was defined."""
        account = self._accounts[key]
        limit = self._limits.get((key[0], key[1], key[4]), LIMITLESS)
        return Line(account.budget, key[1], key[2], key[3], account.ends_ns, key[4], limit)

    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        with self._lock:
            record = self._record(hold_id)
            effect = apply(record.hold, verb, charge)
            if effect.is_change:
                self._write(record, effect, at_ns)
                self.leave_run(hold_id, effect.hold.state, at_ns, note)
                record.note = note or record.note
                if note is not None and note.response_id:
                    self._responses.setdefault((record.reservation.tenant, note.response_id), hold_id)
            return Closed(effect.hold.state, effect.hold.settled, effect.is_change, self._balances_of(record))

    def _write(self, record: Record, effect: Effect, at_ns: int) -> None:
        self._post(record.keys, {unit: effect.move(unit) for unit in {key[4] for key in record.keys}})
        if record.hold.state is State.OPEN:
            self._forget_open(record)
        record.hold = effect.hold
        record.closed_ns = at_ns
        record.entries.extend(effect.postings)
        for posting in effect.postings:
            record.flags |= posting.flags
            record.price = posting.price or record.price

    def _forget_open(self, record: Record) -> None:
        mine = self._open[record.reservation.process]
        del mine[record.reservation.id]
        if not mine:
            del self._open[record.reservation.process]

    def _record(self, hold_id: str) -> Record:
        try:
            return self._records[hold_id]
        except KeyError:
            raise NotFound(f"no call {hold_id}") from None

    def beat(self, process: str, at_ns: int) -> None:
        with self._lock:
            self._beats[process] = max(at_ns, self._beats.get(process, 0))

    def processes(self) -> Sequence[ProcessRow]:
        with self._lock:
            return [ProcessRow(name, self._beats.get(name, 0)) for name in {**self._beats, **self._open}]

    def lapse(self, process: str, at_ns: int) -> int:
        with self._lock:
            records = list(islice(self._open.get(process, {}).values(), LAPSE_MAX))
            for record in records:
                self._write(record, apply(record.hold, Verb.PRESUME), at_ns)
                self.leave_run(record.reservation.id, record.hold.state, at_ns, None)
            if len(records) < LAPSE_MAX:
                self._beats.pop(process, None)
            return len(records)

    def let_go(self) -> None:
        """Let nobody near it until `take_up`."""
        self._lock.acquire()

    def take_up(self) -> None:
        """Let others in again."""
        self._lock.release()

    def close_store(self) -> None:
        """Nothing to let go of."""


def _place(key: Key) -> tuple[str, str, int, Unit]:
    tenant, identity, _, starts_ns, unit = key
    return (tenant, identity, starts_ns, unit)


def _limits(budget: Budget) -> Iterator[tuple[_LimitName, Limit]]:
    identity = budget.identity
    return (((budget.tenant, identity, limit.unit), limit) for limit in budget.limits)
