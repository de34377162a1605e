"""What is read from a SQLite ledger: balances, calls, spend, and the proof that the balances are right.

Owns the reads; it never writes. Spend is summed from the calls' own rows, which `verify` proves equal to the entries.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from bursar.core.admission import Balance, Cover, Line
from bursar.core.budget import Unit
from bursar.core.charge import FLAGS, ZERO, Amounts
from bursar.core.hold import Hold, State
from bursar.core.labels import NONE, OTHER, Labels
from bursar.core.ledger import (
    CARVE,
    LAST_PLACE,
    BalanceRow,
    HoldRow,
    Mismatch,
    Note,
    ProcessRow,
    SpendQuery,
    SpendRow,
)
from bursar.errors import NotFound, StoreUnavailable
from bursar.stores.sqlite_fork import SqliteFork

__all__ = ["SqliteReads"]


class SqliteReads(SqliteFork):
    """The reading half of a SqliteLedger."""

    def _read(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._lock, self._reading():
            return self.run(query, **values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if not self.inside:
            # Where the file cannot be written now, it is read as it is: what is set aside is held in it.
            with suppress(StoreUnavailable):
                self.end_slices()
        try:
            self.be_patient()
            self.end_view()
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {self.path} cannot be read: {error}") from error

    def latest_ns(self) -> int:
        return int(self._read("hold_latest")[0][0])

    def processes(self) -> Sequence[ProcessRow]:
        return [ProcessRow(*row) for row in self._read("process_list")]

    def latest(self, most: int) -> Sequence[HoldRow]:
        """List the latest settled calls of all tenants, the latest first."""
        return [_hold_row(row) for row in self._read("hold_latest_settled", most=most)]

    def tenants(self) -> Sequence[str]:
        """List the tenants that have calls, by name. It looks at every call: for people, not on a call's path."""
        return [tenant for (tenant,) in self._read("hold_tenants")]

    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]:
        """List the balances of windows that end after an instant."""
        rows = self._read("balance_list", tenant=tenant, after_ns=after_ns)
        return [
            BalanceRow(name, identity, scope, starts_ns, ends_ns, Unit(unit), Balance(*sums))
            for name, identity, scope, starts_ns, ends_ns, unit, *sums in rows
        ]

    def hold(self, tenant: str, hold_id: str) -> HoldRow:
        rows = self._read("hold_row", tenant=tenant, id=hold_id)
        if not rows:
            raise NotFound(f"no call {hold_id}")
        return _hold_row(rows[0])

    def response(self, tenant: str, response_id: str) -> HoldRow | None:
        """Give the call of a tenant's response; None when it is not known, or another tenant's."""
        rows = self._read("response_find", tenant=tenant, id=response_id)
        return _hold_row(rows[0]) if rows else None

    def balance(self, tenant: str, line: Line) -> Balance:
        """Read the balance of one line; one that nobody has used yet is at zero."""
        named = {"identity": line.identity, "unit": str(line.unit), "starts_ns": line.starts_ns, "scope": line.scope}
        rows = self._read("balance_of", tenant=tenant, **named)
        return Balance(*rows[0]) if rows else Balance()

    def holds(
        self, tenant: str, states: Sequence[State], most: int, before: tuple[int, str] = LAST_PLACE
    ) -> Sequence[HoldRow]:
        """List calls, the latest first; `before`, an instant of opening and an id, is where the page before ended."""
        states_json = json.dumps([int(state) for state in states])
        where = {"tenant": tenant, "states": states_json, "before_ns": before[0], "before_id": before[1]}
        return [_hold_row(row) for row in self._read("hold_list", most=most, **where)]

    def in_flight(self, tenant: str, most: int) -> Sequence[HoldRow]:
        """List open calls, the oldest first."""
        return [_hold_row(row) for row in self._read("hold_open_list", tenant=tenant, most=most)]

    def ended(self, tenant: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]:
        """List the calls that ended, or were corrected, in `[since, until)`, the latest first."""
        span = {"since_ns": since_ns, "until_ns": until_ns}
        return [_hold_row(row) for row in self._read("hold_ended", tenant=tenant, most=most, **span)]

    def run_calls(self, tenant: str, run: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]:
        """List the calls of a run that were opened in `[since, until)`, the first first."""
        span = {"tenant": tenant, "needle": _needle({"run": run}), "since_ns": since_ns, "until_ns": until_ns}
        rows = (_hold_row(row) for row in self._read("hold_of_run", most=most, **span))
        return [row for row in rows if row.labels.get("run") == run]

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        sums: dict[tuple[str, ...], tuple[Amounts, Amounts, int]] = {}
        span = {"tenant": query.tenant, "since_ns": query.since_ns, "until_ns": query.until_ns}
        rows = self._read("spend_read", needle=_needle(query.match), **span)
        for packed, state, *numbers in rows:
            labels = Labels(json.loads(packed))
            if labels["wire"] == CARVE or any(labels[name] != value for name, value in query.match.items()):
                continue
            values = tuple(labels[name] for name in query.by)
            settled, presumed, calls = sums.get(values, (ZERO, ZERO, 0))
            if state == State.PRESUMED:
                presumed += _held(*numbers[:6])
            sums[values] = (settled + Amounts(*numbers[6:]), presumed, calls + 1)
        return [SpendRow(values, *sums_of) for values, sums_of in sums.items()]

    def verify(self) -> Sequence[Mismatch]:
        """Fold every entry and every open hold, and name each balance that differs (promise P7)."""
        with self._lock, self._reading(), self._moment():
            kept = self._read("balance_all")
            units = {row[0]: Unit(row[4]) for row in kept}
            folded = {number: [0, 0, 0] for number in units}
            for side, amounts, packed in self._postings():
                for number in packed.split(",") if packed else ():
                    folded[int(number)][side] += amounts.amount(units[int(number)])
        return [
            Mismatch(row[1], row[2], row[3], units[row[0]], side, row[5 + index], folded[row[0]][index])
            for row in kept
            for index, side in enumerate(("settled", "presumed", "held"))
            if row[5 + index] != folded[row[0]][index]
        ]

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """Let all reads inside see the same moment."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("ROLLBACK")

    def _postings(self) -> Iterator[tuple[int, Amounts, str]]:
        for book, *numbers, packed in self.db.execute(self.q["entry_fold"]):
            yield (0 if book == "settled" else 1), Amounts(*numbers), packed
        for *numbers, packed in self.db.execute(self.q["hold_open_all"]):
            yield 2, _held(*numbers), packed


def _needle(match: Mapping[str, str]) -> str:
    """Give a text that the labels of every matching call contain, as the ledger writes them; "" for none."""
    for name, value in match.items():
        if value not in (NONE, OTHER):
            return json.dumps({name: value}, separators=(",", ":"), ensure_ascii=False)[1:-1]
    return ""


def _held(fixed_pico: int, output_pico: int, cover_input: int, choices: int, tokens: int, attempts: int) -> Amounts:
    return Cover(fixed_pico, output_pico, cover_input, choices).amounts(tokens, attempts)


def _hold_row(row: tuple[Any, ...]) -> HoldRow:
    hold = Hold(row[0], State(row[3]), Cover(*row[7:11]), row[11], row[12], Amounts(*row[13:20]))
    flags = frozenset(name for bit, name in enumerate(FLAGS) if row[20] >> bit & 1)
    note = Note(*json.loads(row[22])) if row[22] else Note()
    return HoldRow(
        row[0],
        row[1],
        row[2],
        hold.state,
        row[4],
        row[5],
        json.loads(row[6]),
        hold.held,
        hold.settled,
        flags,
        row[21],
        note,
    )
