"""What is read from a ledger in memory: balances, calls, spend, and the proof that the balances are right.

Owns the rows and the reads; it never changes one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bursar.core.admission import Balance, Line
from bursar.core.budget import Unit
from bursar.core.charge import ZERO
from bursar.core.hold import Book, Hold, Move, Posting, State
from bursar.core.labels import Labels
from bursar.core.ledger import (
    CARVE,
    LAST_PLACE,
    BalanceRow,
    HoldRow,
    Mismatch,
    Note,
    Reservation,
    SpendQuery,
    SpendRow,
)
from bursar.errors import NotFound

__all__ = ["Account", "Key", "MemoryReads", "Record", "fold"]

Key: TypeAlias = tuple[str, str, str, int, Unit]
"""One balance: tenant, budget identity, scope, start of the window, unit."""


@dataclass(slots=True)
class Account:
    budget: str
    ends_ns: int
    balance: Balance = field(default_factory=Balance)


@dataclass(slots=True)
class Record:
    reservation: Reservation
    hold: Hold
    keys: list[Key]
    entries: list[Posting] = field(default_factory=list)
    note: Note = field(default_factory=Note)
    flags: frozenset[str] = frozenset()
    price: str = ""
    closed_ns: int = 0


def fold(record: Record, unit: Unit) -> Move:
    """Sum what the entries of a call say, and what it holds."""
    settled = presumed = 0
    for posting in record.entries:
        if posting.book is Book.SETTLED:
            settled += posting.amounts.amount(unit)
        else:
            presumed += posting.amounts.amount(unit)
    return Move(record.hold.held.amount(unit) if record.hold.state is State.OPEN else 0, settled, presumed)


class MemoryReads:
    """The reading half of a MemoryLedger."""

    _lock: threading.RLock
    _accounts: dict[Key, Account]
    _records: dict[str, Record]
    _responses: dict[tuple[str, str], str]

    def latest_ns(self) -> int:
        with self._lock:
            return max((record.reservation.at_ns for record in self._records.values()), default=0)

    def latest(self, most: int) -> Sequence[HoldRow]:
        """List the latest settled calls of all tenants, the latest first."""
        with self._lock:
            rows = [_row(record) for record in self._records.values() if record.hold.state is State.SETTLED]
        return sorted(rows, key=lambda row: (row.opened_ns, row.id), reverse=True)[:most]

    def tenants(self) -> Sequence[str]:
        """List the tenants that have calls, by name."""
        with self._lock:
            return sorted({record.reservation.tenant for record in self._records.values()})

    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]:
        """List the balances of windows that end after an instant."""
        with self._lock:
            rows = [
                BalanceRow(account.budget, key[1], key[2], key[3], account.ends_ns, key[4], account.balance)
                for key, account in self._accounts.items()
                if key[0] == tenant and account.ends_ns > after_ns
            ]
        return sorted(rows, key=lambda row: (row.budget, row.starts_ns, row.scope, row.unit))

    def hold(self, tenant: str, hold_id: str) -> HoldRow:
        with self._lock:
            record = self._records.get(hold_id)
            if record is None or record.reservation.tenant != tenant:
                raise NotFound(f"no call {hold_id}")
            return _row(record)

    def response(self, tenant: str, response_id: str) -> HoldRow | None:
        """Give the call of a tenant's response; None when it is not known, or another tenant's."""
        with self._lock:
            hold_id = self._responses.get((tenant, response_id))
            return None if hold_id is None else _row(self._records[hold_id])

    def balance(self, tenant: str, line: Line) -> Balance:
        """Read the balance of one line; one that nobody has used yet is at zero."""
        with self._lock:
            account = self._accounts.get((tenant, line.identity, line.scope, line.starts_ns, line.unit))
            return Balance() if account is None else account.balance

    def holds(
        self, tenant: str, states: Sequence[State], most: int, before: tuple[int, str] = LAST_PLACE
    ) -> Sequence[HoldRow]:
        """List calls, the latest first; `before`, an instant of opening and an id, is where the page before ended."""
        with self._lock:
            rows = [
                _row(record)
                for record in self._records.values()
                if record.reservation.tenant == tenant
                and record.hold.state in states
                and (record.reservation.at_ns, record.reservation.id) < before
            ]
        return sorted(rows, key=lambda row: (row.opened_ns, row.id), reverse=True)[:most]

    def in_flight(self, tenant: str, most: int) -> Sequence[HoldRow]:
        """List open calls, the oldest first."""
        rows = self.holds(tenant, (State.OPEN,), len(self._records))
        return sorted(rows, key=lambda row: (row.opened_ns, row.id))[:most]

    def ended(self, tenant: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]:
        """List the calls that ended, or were corrected, in `[since, until)`, the latest first."""
        rows = self.holds(tenant, (State.SETTLED, State.RELEASED, State.PRESUMED), len(self._records))
        found = [row for row in rows if since_ns <= row.closed_ns < until_ns]
        return sorted(found, key=lambda row: (row.closed_ns, row.id), reverse=True)[:most]

    def run_calls(self, tenant: str, run: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]:
        """List the calls of a run that were opened in `[since, until)`, the first first."""
        with self._lock:
            rows = [
                _row(record)
                for record in self._records.values()
                if record.reservation.tenant == tenant
                and record.reservation.labels.get("run") == run
                and since_ns <= record.reservation.at_ns < until_ns
            ]
        return sorted(rows, key=lambda row: (row.opened_ns, row.id))[:most]

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        groups: dict[tuple[str, ...], list[Hold]] = {}
        with self._lock:
            for record in self._matching(query):
                labels = Labels(record.reservation.labels)
                groups.setdefault(tuple(labels[name] for name in query.by), []).append(record.hold)
        return [
            SpendRow(
                values,
                sum((hold.settled for hold in holds), ZERO),
                sum((hold.held for hold in holds if hold.state is State.PRESUMED), ZERO),
                len(holds),
            )
            for values, holds in groups.items()
        ]

    def _matching(self, query: SpendQuery) -> Iterator[Record]:
        for record in self._records.values():
            asked = record.reservation
            labels = Labels(asked.labels)
            if (
                asked.tenant == query.tenant
                and record.hold.state in (State.SETTLED, State.PRESUMED)
                and labels["wire"] != CARVE
                and query.since_ns <= asked.at_ns < query.until_ns
                and all(labels[name] == value for name, value in query.match.items())
            ):
                yield record

    def verify(self) -> Sequence[Mismatch]:
        """Fold every entry and every open hold, and name each balance that differs (promise P7)."""
        with self._lock:
            folded = dict.fromkeys(self._accounts, (0, 0, 0))
            for record in self._records.values():
                for key in record.keys:
                    held, settled, presumed = fold(record, key[4])
                    was = folded[key]
                    folded[key] = (was[0] + settled, was[1] + presumed, was[2] + held)
            return [
                Mismatch(account.budget, key[2], key[3], key[4], side, kept, true)
                for key, account in self._accounts.items()
                for side, kept, true in zip(Balance._fields, account.balance, folded[key], strict=True)
                if kept != true
            ]


def _row(record: Record) -> HoldRow:
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
