"""What calls add to their balances, before it is written and before the remembered sums have it.

Owns those additions by unit: all balances of a unit that a call counts against move alike, so ten of them are three
additions. It neither reads nor decides. What was held by the limits is written only where each balance has the room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["BOUNDLESS", "EACH_MAX", "BalanceMove", "UnitMoves"]

EACH_MAX = 16
"""Up to so many rows, a statement for each is cheaper than one that makes a table of them first: 10 of them take 10 µs
against 17."""
BOUNDLESS = 2**63 - 1
"""More than any balance comes to."""
BalanceMove: TypeAlias = tuple[int, int, int, int, int]
"""Held, settled and presumed more, the id of the row, and the most that it may have come to before."""
_NOTHING = [0, 0, 0]


class UnitMoves:
    """Held, settled and presumed more in each unit, some of it written and some not."""

    __slots__ = ("_last", "_owed", "_places", "_rows", "_written", "is_bounded", "is_plain")

    def __init__(self, places: Sequence[Sequence[tuple[int, int]]] = ()) -> None:
        """`places`: id and limit of each balance, by unit."""
        self._places = places
        ids = [number for each in places for number, _ in each]
        self.is_plain = len(set(ids)) == len(ids) <= EACH_MAX
        """Each balance is there once, and they are few."""
        self._last: list[list[int]] = []
        self._rows: list[BalanceMove] = []
        """What was written last, and the rows of that: the calls of an agent are often alike."""
        self.forget()

    def forget(self) -> None:
        """Take nothing for added."""
        self._owed = [_NOTHING[:] for _ in self._places]
        """What is not written yet."""
        self._written = [_NOTHING[:] for _ in self._places]
        """What is written, and not in the sums."""
        self.is_bounded = True
        """What is not written yet was all held, and by the limits of the places."""

    def hold(self, amounts: Sequence[int], *, is_bounded: bool) -> None:
        """Hold more in each unit, by the limits of the places or by others."""
        if not is_bounded:
            self.is_bounded = False
        for owed, amount in zip(self._owed, amounts, strict=True):
            owed[0] += amount

    def add(self, changes: Sequence[Sequence[int]]) -> None:
        """Add to each unit what is held, settled and presumed more."""
        self.is_bounded = False
        for owed, (held, settled, presumed) in zip(self._owed, changes, strict=True):
            owed[0] += held
            owed[1] += settled
            owed[2] += presumed

    def write(self) -> list[BalanceMove]:
        """Take all for written; gives what was not, in rows."""
        owed = self._owed
        self._owed = [_NOTHING[:] for _ in owed]
        for written, (held, settled, presumed) in zip(self._written, owed, strict=True):
            written[0] += held
            written[1] += settled
            written[2] += presumed
        if not self.is_bounded:
            self.is_bounded, self._last = True, []
            pairs = zip(owed, self._places, strict=True)
            return [
                (held, settled, presumed, number, BOUNDLESS)
                for (held, settled, presumed), each in pairs
                for number, _ in each
            ]
        if owed != self._last:
            self._last = owed
            pairs = zip(owed, self._places, strict=True)
            self._rows = [(held, 0, 0, number, limit - held) for (held, _, _), each in pairs for number, limit in each]
        return self._rows

    def fold(self) -> tuple[list[list[int]], list[BalanceMove]]:
        """Leave nothing; gives what the sums do not have in each unit, and in rows what is not written."""
        rows = self.write() if any(map(any, self._owed)) else []
        behind = self._written
        self.forget()
        return behind, rows
