"""The balances' rows in a SQLite ledger: which of them is which line, and what they say.

Owns the memory of both. What a row says is remembered as long as nobody else writes to the file; it knows no verb.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from bursar.core.admission import Balance, Line, free_of
from bursar.core.budget import Unit
from bursar.core.charge import Amounts
from bursar.core.hold import Effect
from bursar.core.labels import OTHER
from bursar.stores.sqlite_book import IDS_MAX, SqliteBook
from bursar.stores.sqlite_moves import BOUNDLESS, BalanceHold, UnitMoves

__all__ = ["Counted", "SqliteBalances", "Sums", "counted_in"]

COUNTED_MAX = 2_000
"""For how many sets of lines their balances are remembered together; beyond it the memory starts anew."""


Sums: TypeAlias = list[int]
"""One balance: settled, presumed, held, and the id of its row."""
_made = tuple.__new__
"""Makes a Balance at half the price: the class itself does so in Python, and a call makes half a dozen of them."""


class Counted:
    """The balances that a call counts against, in the order of its lines."""

    __slots__ = ("by_unit", "free", "ids", "limits", "memory", "moves", "packed", "places", "turn", "units")

    def __init__(self, ids: tuple[int, ...], units: tuple[Unit, ...], limits: tuple[int, ...], packed: str) -> None:
        self.ids = ids
        self.units = units
        self.packed = packed
        """The ids as the row of a hold keeps them."""
        self.limits = limits
        """The most that each may come to, by the lines that were asked for; 0 where nobody has asked."""
        self.places: list[tuple[Unit, int, Sums]] = []
        """Unit, limit and sums of each."""
        self.by_unit: list[tuple[Unit, list[tuple[int, Sums]]]] = []
        """The same, those of a unit together: limit and sums of each."""
        self.free: dict[Unit, int] = {}
        """What is left in each unit, as of the ledger's `turn`."""
        self.turn = -1
        self.moves = UnitMoves()
        """What its sums do not have yet."""
        self.memory: object = None
        """The memory in which the sums were found; they are no longer true where it is not the ledger's any more."""


def counted_in(ids: tuple[int, ...], lines: Sequence[Line]) -> Counted:
    """Say which balances these lines count in."""
    packed = ",".join(map(str, ids))
    return Counted(ids, tuple(line.unit for line in lines), tuple(line.limit for line in lines), packed)


NOTHING = Counted((), (), (), "")


class SqliteBalances(SqliteBook):
    """The part of a ledger that keeps balances."""

    def __init__(self, path: Path, *, is_power_safe: bool = False, timeout_s: float = 5.0) -> None:
        self._ids: dict[tuple[str, str, str, int, Unit], int] = {}
        self._counted: dict[tuple[str, tuple[Line, ...]], Counted] = {}
        self._rows: dict[int, tuple[Unit, int]] = {}
        self._sums: dict[int, Sums] = {}
        self._turn = 0
        """How often sums were changed."""
        self._near: Counted | None = None
        """The one set of balances whose sums need not have its moves: most calls of a program count in the same."""
        self._last: tuple[str, tuple[Line, ...], Counted] = ("", (), NOTHING)
        """The lines that were asked for last. Most calls of a program count in the same."""
        super().__init__(path, is_power_safe=is_power_safe, timeout_s=timeout_s)

    def _forget_sums(self) -> None:
        super()._forget_sums()
        # Another one, by which whoever found sums in it knows that they are true no longer.
        self._sums = {}
        if self._near is not None:
            self._near.moves.forget()
            self._near = None

    def forget(self) -> None:
        """Forget which row is which line."""
        self._ids.clear()
        self._counted.clear()
        self._last = ("", (), NOTHING)
        self._rows.clear()

    def places_of(self, counted: Counted) -> list[tuple[Unit, int, Sums]]:
        """Read the sums of a call's balances. Only within a transaction: what was read in an earlier one is remembered
        as long as nobody else writes, and what is pending is remembered until it is written."""
        self._catch_up()
        self.know(counted)
        return counted.places

    def know(self, counted: Counted) -> None:
        """Find the sums of a call's balances, where that has not been done."""
        if counted.memory is self._sums:
            return
        sums = self._read_sums(counted.ids)
        counted.places = list(zip(counted.units, counted.limits, sums, strict=True))
        of_unit: dict[Unit, list[tuple[int, Sums]]] = {}
        for unit, limit, each in counted.places:
            of_unit.setdefault(unit, []).append((limit, each))
        counted.by_unit = list(of_unit.items())
        ids = [[(each[-1], limit) for limit, each in places] for places in of_unit.values()]
        counted.moves = UnitMoves(tuple(of_unit), ids)
        counted.memory = self._sums
        counted.turn = -1

    def free_in(self, counted: Counted) -> dict[Unit, int]:
        """Say what is left in each unit, as `free_of` does; within a transaction, as `places_of`."""
        if counted.turn != self._turn or counted.memory is not self._sums:
            counted.free = free_of(self.places_of(counted))
            counted.turn = self._turn
        return counted.free

    def close_in(self, counted: Counted, effect: Effect) -> None:
        """Let a call's balances have what became of its hold."""
        self.know(counted)
        self._come_near(counted)
        counted.moves.close(effect)
        if counted.turn == self._turn:
            free, (_, _, _, freed, postings) = counted.free, effect
            for unit in free:
                # All balances of a unit move alike, so the one with the least room stays the one.
                free[unit] += freed.amount(unit) - sum([amounts.amount(unit) for _, amounts, _, _ in postings])
            counted.turn += 1
        self._turn += 1

    def hold_more(self, counted: Counted, more: Amounts, *, is_bounded: bool) -> None:
        """Hold these amounts more in a call's balances, by its limits or by others."""
        self._come_near(counted)
        counted.moves.hold(more, is_bounded=is_bounded)
        if counted.turn == self._turn:
            free = counted.free
            for unit in free:
                free[unit] -= more.amount(unit)
            counted.turn += 1
        # Whoever shares a balance with these looks again at what is left.
        self._turn += 1

    def hold_now(self, counted: Counted, more: Amounts, beside: BalanceHold | None) -> None:
        """Hold these amounts more in a call's balances by its limits, and `beside` in another row, and write that at
        once: in a transaction of its own, in which nothing else moves them. Raises StoreUnavailable where one has no
        room."""
        moves = counted.moves
        if not moves.is_plain:
            if beside is not None:
                self.pending.write_holds([beside], self.path)
            self.hold_more(counted, more, is_bounded=True)
            return
        if self._near is not counted:
            self._fold()
            self._near = counted
        rows = moves.hold_now(more)
        self.pending.write_holds(rows if beside is None else [*rows, beside], self.path)
        # As in `hold_more`: a call of its own would be dearer than what it does.
        if counted.turn == self._turn:
            free = counted.free
            for unit in free:
                free[unit] -= more.amount(unit)
            counted.turn += 1
        self._turn += 1

    def _come_near(self, counted: Counted) -> None:
        """Let this be the one set of balances whose sums need not have its moves yet."""
        pending = self.pending
        pending.count += 1
        pending.is_empty = False
        if self._near is not counted:
            self._fold()
            self._near = counted

    def _catch_up(self) -> None:
        """Bring the sums of the near balances up to date."""
        near = self._near
        if near is not None and near.moves.is_behind:
            for (_, places), (held, settled, presumed) in zip(near.by_unit, near.moves.behind(), strict=True):
                if settled or presumed:
                    for _, sums in places:
                        sums[0] += settled
                        sums[1] += presumed
                        sums[2] += held
                else:
                    for _, sums in places:
                        sums[2] += held

    def _fold(self) -> None:
        """Let the near balances be as all others: their sums up to date, and their moves those of rows."""
        near = self._near
        if near is not None:
            self._catch_up()
            self._near = None
            if near.moves.is_owing:
                self.pending.move(near.moves.write())

    def _write_rows(self) -> None:
        if self._near is not None and self._near.moves.is_owing:
            moves = self._near.moves
            if self.pending.has_moves or not moves.is_plain:
                self._fold()
            else:
                self.pending.moved = moves.write()
        super()._write_rows()

    def balances_of(self, counted: Counted) -> tuple[Balance, ...]:
        """Read a call's balances; within a transaction, as `places_of`."""
        return tuple([_made(Balance, sums[:3]) for _, _, sums in self.places_of(counted)])

    def read_balances(self, found: Sequence[int | None]) -> list[Balance]:
        """Read balances by their rows, as `places_of` does; one that is not opened yet (None) is at zero."""
        read = iter(self._read_sums([number for number in found if number is not None]))
        return [Balance() if number is None else Balance(*next(read)[:3]) for number in found]

    def _read_sums(self, ids: Sequence[int]) -> list[Sums]:
        self._catch_up()
        if len(self._sums) >= IDS_MAX and self.pending.is_empty:
            self._sums = {}
        known = self._sums
        unknown = [number for number in dict.fromkeys(ids) if number not in known]
        if unknown:
            for number, *sums in self.run_list("balance_read", unknown):
                known[number] = [*sums, number]
        return [known[number] for number in ids]

    def find_counted(self, tenant: str, lines: tuple[Line, ...]) -> Counted | None:
        """Find the balances of a call's lines; None while one of them is not there."""
        counted = self.known_counted(tenant, lines)
        if counted is None:
            found = [self.find_balance(tenant, line) for line in lines]
            ids = tuple(number for number in found if number is not None)
            if len(ids) < len(lines):
                return None
            if len(self._counted) >= COUNTED_MAX:
                self._counted.clear()
            counted = self._counted[tenant, lines] = counted_in(ids, lines)
            self._last = (tenant, lines, counted)
        return counted

    def known_counted(self, tenant: str, lines: tuple[Line, ...]) -> Counted | None:
        """Find them where they were found before."""
        last_tenant, last_lines, counted = self._last
        if lines is last_lines and tenant == last_tenant:
            return counted
        found = self._counted.get((tenant, lines))
        if found is not None:
            self._last = (tenant, lines, found)
        return found

    def open_counted(self, tenant: str, lines: tuple[Line, ...]) -> Counted:
        """Find the balances of a call's lines, opened at zero where they are not there yet."""
        return counted_in(tuple(self.open_balance(tenant, line) for line in lines), lines)

    def move_balances(self, moves: Sequence[tuple[int, int, int, int]]) -> None:
        """Add (held, settled, presumed) to the balance with the id that comes last, many of them at once."""
        if not self.pending.is_empty:
            self._write_pending()
        self.db.executemany(self.q["balance_move"], [(*move, BOUNDLESS) for move in moves])
        self._forget_sums()

    def find_balance(self, tenant: str, line: Line) -> int | None:
        """Find the balance of a line, beyond `values_max` scopes the shared `(other)`; None while it is not there."""
        key = _key(tenant, line)
        number = self._ids.get(key)
        if number is None:
            budget_id = self._budget_id(tenant, line)
            if budget_id is None:
                return None
            row = self._balance_row(budget_id, line.starts_ns, self._scope(budget_id, line))
            if row is None:
                return None
            number = self._remember(key, int(row[0]))
        return number

    def open_balance(self, tenant: str, line: Line) -> int:
        """Find the balance of a line, or open it at zero."""
        number = self.find_balance(tenant, line)
        if number is not None:
            return number
        self._has_opened = True
        budget_id = self._budget_id(tenant, line)
        if budget_id is None:
            named = {"tenant": tenant, "identity": line.identity, "unit": str(line.unit), "name": line.budget}
            budget_id = self.run("budget_insert", limit_amount=line.limit, **named).lastrowid
            assert budget_id is not None
        scope = self._scope(budget_id, line)
        place = {"budget_id": budget_id, "starts_ns": line.starts_ns, "ends_ns": line.ends_ns}
        number = self.run("balance_insert", scope=scope, **place).lastrowid
        assert number is not None
        return self._remember(_key(tenant, line), number)

    def _remember(self, key: tuple[str, str, str, int, Unit], number: int) -> int:
        """Remember the row of a line."""
        if len(self._ids) >= IDS_MAX:
            self._ids.clear()
        self._ids[key] = number
        return number

    def _budget_id(self, tenant: str, line: Line) -> int | None:
        row = self.run("budget_find", tenant=tenant, identity=line.identity, unit=str(line.unit)).fetchone()
        return None if row is None else int(row[0])

    def _balance_row(self, budget_id: int, starts_ns: int, scope: str) -> tuple[int] | None:
        row: tuple[int] | None = self.run(
            "balance_find", budget_id=budget_id, starts_ns=starts_ns, scope=scope
        ).fetchone()
        return row

    def _scope(self, budget_id: int, line: Line) -> str:
        """Say which scope a line counts in: its own, as long as there is room for it beside the others.

        Once a window has an `(other)`, what has no row of its own stays there: some of it may be its own.
        """
        if not line.values_max or self._balance_row(budget_id, line.starts_ns, line.scope) is not None:
            return line.scope
        if self._balance_row(budget_id, line.starts_ns, OTHER) is not None:
            return OTHER
        (count,) = self.run("balance_count", budget_id=budget_id, starts_ns=line.starts_ns).fetchone()
        return line.scope if count < line.values_max else OTHER

    def unit_of(self, number: int) -> Unit:
        """Tell the unit that a balance counts."""
        return self._row_of(number)[0]

    def budget_of(self, number: int) -> int:
        """Tell the row of the budget that a balance belongs to."""
        return self._row_of(number)[1]

    def _row_of(self, number: int) -> tuple[Unit, int]:
        row = self._rows.get(number)
        if row is None:
            if len(self._rows) >= IDS_MAX:
                self._rows.clear()
            unit, budget_id = self.run("balance_budget", id=number).fetchone()
            row = self._rows[number] = (Unit(unit), budget_id)
        return row


def _key(tenant: str, line: Line) -> tuple[str, str, str, int, Unit]:
    return tenant, line.identity, line.scope, line.starts_ns, line.unit
