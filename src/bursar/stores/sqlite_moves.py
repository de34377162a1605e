"""What calls add to their balances, before it is written and before the remembered sums have it.

Owns those additions by unit: all balances of a unit that a call counts against move alike, so ten of them are three
additions. It neither reads nor decides. What was held by the limits is written only where each balance has the room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bursar.core.budget import Unit
from bursar.core.charge import Amounts

__all__ = ["BOUNDLESS", "EACH_MAX", "BalanceMove", "UnitMoves"]

EACH_MAX = 16
"""Up to so many rows, a statement for each is cheaper than one that makes a table of them first: 10 of them take 10 µs
against 17."""
SINCE_MAX = 64
"""How much may be written before it is added up."""
BOUNDLESS = 2**63 - 1
"""More than any balance comes to."""
BalanceMove: TypeAlias = tuple[int, int, int, int, int]
"""Held, settled and presumed more, the id of the row, and the most that it may have come to before."""
Change: TypeAlias = tuple[int, int, int]
"""Held, settled and presumed more."""


class UnitMoves:
    """What one set of balances is moved by: holds, and what became of them, some of it written and some not."""

    __slots__ = ("_last", "_owed", "_places", "_rows", "_since", "_units", "is_bounded", "is_plain")

    def __init__(self, units: Sequence[Unit] = (), places: Sequence[Sequence[tuple[int, int]]] = ()) -> None:
        """`places`: id and limit of each balance, by unit."""
        self._units = units
        self._places = places
        ids = [number for each in places for number, _ in each]
        self.is_plain = len(set(ids)) == len(ids) <= EACH_MAX
        """Each balance is there once, and they are few."""
        self._last: list[Amounts | Sequence[Change]] = []
        self._rows: list[BalanceMove] = []
        """What was written last by the limits, and the rows of that: the calls of an agent are often alike."""
        self.forget()

    def forget(self) -> None:
        """Take nothing for added."""
        self._owed: list[Amounts | Sequence[Change]] = []
        """What is not written yet: what is held more, or what else goes with each unit."""
        self._since: list[Amounts | Sequence[Change]] = []
        """What is written, and not in the sums."""
        self.is_bounded = True
        """What is not written yet was all held, and by the limits of the places."""

    def hold(self, more: Amounts, *, is_bounded: bool) -> None:
        """Hold more, by the limits of the places or by others."""
        self._owed.append(more)
        if not is_bounded:
            self.is_bounded = False

    def hold_now(self, more: Amounts) -> list[BalanceMove]:
        """Take more for held by the limits, and for written where nothing else is owed; gives that in rows."""
        if self._last != [more]:
            self._last = [more]
            self._rows = self._rows_of(self._last, is_bounded=True)
        self._since.append(more)
        if len(self._since) > SINCE_MAX:
            self._since = [self._sum(self._since)]
        return self._rows

    def add(self, changes: Sequence[Change]) -> None:
        """Add to each unit what is held, settled and presumed more."""
        self._owed.append(changes)
        self.is_bounded = False

    def write(self) -> list[BalanceMove]:
        """Take all for written; gives what was not, in rows."""
        owed = self._owed
        self._since += owed
        self._owed = []
        if not self.is_bounded:
            self.is_bounded = True
            return self._rows_of(owed, is_bounded=False)
        if owed != self._last:
            self._last, self._rows = owed, self._rows_of(owed, is_bounded=True)
        return self._rows

    def fold(self) -> tuple[list[Change], list[BalanceMove]]:
        """Leave nothing; gives what the sums do not have in each unit, and in rows what is not written."""
        rows = self.write() if self._owed else []
        behind = self._sum(self._since)
        self.forget()
        return behind, rows

    def _rows_of(self, moves: Sequence[Amounts | Sequence[Change]], *, is_bounded: bool) -> list[BalanceMove]:
        pairs = zip(self._sum(moves), self._places, strict=True)
        return [
            (held, settled, presumed, number, limit - held if is_bounded else BOUNDLESS)
            for (held, settled, presumed), each in pairs
            for number, limit in each
        ]

    def _sum(self, moves: Sequence[Amounts | Sequence[Change]]) -> list[Change]:
        """Say what goes with each unit by all of these."""
        total = [(0, 0, 0)] * len(self._units)
        for move in moves:
            changes = [(move.amount(unit), 0, 0) for unit in self._units] if isinstance(move, Amounts) else move
            total = [
                (held + more[0], settled + more[1], presumed + more[2])
                for (held, settled, presumed), more in zip(total, changes, strict=True)
            ]
        return total
