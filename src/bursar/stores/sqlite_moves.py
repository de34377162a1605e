"""What calls add to their balances, before it is written and before the remembered sums have it.

Owns those additions by unit: all balances of a unit that a call counts against move alike, so ten of them are three
additions. It neither reads nor decides. What was held by the limits is written only where each balance has the room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bursar.core.budget import Unit
from bursar.core.charge import ZERO, Amounts
from bursar.core.hold import Book, Effect

__all__ = ["BOUNDLESS", "EACH_MAX", "BalanceHold", "BalanceMove", "UnitMoves"]

EACH_MAX = 16
"""Up to so many rows, a statement for each is cheaper than one that makes a table of them first: 10 of them take 10 µs
against 17."""
BEHIND_MAX = 64
"""How many holds the sums may be behind before these are added up."""
BOUNDLESS = 2**63 - 1
"""More than any balance comes to."""
_SETTLED = Book.SETTLED
BalanceMove: TypeAlias = tuple[int, int, int, int, int]
"""Held, settled and presumed more, the id of the row, and the most that it may have come to before."""
BalanceHold: TypeAlias = tuple[int, int, int]
"""Held more, the id of the row, and the most that it may have come to before."""
Change: TypeAlias = tuple[int, int, int]
"""Held, settled and presumed more."""
_made = tuple.__new__


class _Log:
    """Amounts, as they came: added up only when somebody asks, and then all at once."""

    __slots__ = ("freed", "held", "presumed", "settled")

    def __init__(self) -> None:
        self.held: list[Amounts] = []
        self.freed: list[Amounts] = []
        """Held no longer."""
        self.settled: list[Amounts] = []
        self.presumed: list[Amounts] = []

    def sums(self, units: Sequence[Unit]) -> list[Change]:
        """Say what goes with each unit by all of it."""
        if not self.freed and len(self.held) == 1:
            more = self.held[0]
            return [(more.amount(unit), 0, 0) for unit in units]
        held, freed, settled = _total(self.held), _total(self.freed), _total(self.settled)
        presumed = _total(self.presumed) if self.presumed else ZERO
        return [(held.amount(unit) - freed.amount(unit), settled.amount(unit), presumed.amount(unit)) for unit in units]

    def shorten(self) -> None:
        """Keep the sums alone."""
        self.held, self.freed = [_total(self.held)], [_total(self.freed)]
        self.settled, self.presumed = [_total(self.settled)], [_total(self.presumed)]


class UnitMoves:
    """What one set of balances is moved by: holds, and what became of them, some of it written and some not."""

    __slots__ = (
        "_alike", "_behind", "_is_alike", "_is_each_once", "_last", "_owed", "_places", "_rows", "_units", "is_behind",
        "is_bounded", "is_owing", "is_plain",
    )  # fmt: skip

    def __init__(self, units: Sequence[Unit] = (), places: Sequence[Sequence[tuple[int, int]]] = ()) -> None:
        """`places`: id and limit of each balance, by unit."""
        self._units = units
        self._places = places
        ids = [number for each in places for number, _ in each]
        self._is_each_once = len(set(ids)) == len(ids)
        self.is_plain = self._is_each_once and len(ids) <= EACH_MAX
        """Each balance is there once, and they are few."""
        self._last: Amounts | None = None
        self._rows: list[BalanceHold] = []
        """What was written last for a hold, and the rows of that: the calls of an agent are often alike."""
        self.forget()

    def forget(self) -> None:
        """Take nothing for added."""
        self._owed = _Log()
        """What is not written yet."""
        self.is_owing = False
        """Something is not written yet."""
        self._behind = _Log()
        """What the sums do not have yet."""
        self.is_behind = False
        """There is something that they do not have."""
        self.is_bounded = True
        """That was all held, and by the limits of the places."""
        self._is_alike = True
        """What is not written and what the sums do not have is the same."""
        self._alike: list[Change] | None = None
        """What is not written in each unit, where that was added up for the sums."""

    def hold(self, more: Amounts, *, is_bounded: bool) -> None:
        """Hold more, by the limits of the places or by others."""
        self._alike = None
        self._owed.held.append(more)
        self._behind.held.append(more)
        self.is_owing = self.is_behind = True
        if not is_bounded or not self._is_each_once:
            self.is_bounded = False

    def hold_now(self, more: Amounts) -> list[BalanceHold]:
        """Take more for held by the limits, and for written where nothing else is owed; gives that in rows."""
        if more != self._last:
            pairs = zip(self._units, self._places, strict=True)
            amounts = [(more.amount(unit), each) for unit, each in pairs]
            self._last, self._rows = more, [(held, at, limit - held) for held, each in amounts for at, limit in each]
        self._is_alike, held = False, self._behind.held
        held.append(more)
        self.is_behind = True
        if len(held) > BEHIND_MAX:
            self._behind.shorten()
        return self._rows

    def close(self, effect: Effect) -> None:
        """Add what a verb does to a hold."""
        self.is_owing, self.is_bounded, self.is_behind = True, False, True
        self._alike = None
        _, _, _, freed, postings = effect
        for log in (self._owed, self._behind):
            log.freed.append(freed)
            for book, amounts, _, _ in postings:
                (log.settled if book is _SETTLED else log.presumed).append(amounts)

    def write(self) -> list[BalanceMove]:
        """Take all for written; gives what was not, in rows."""
        changes, is_bounded = self._alike or self._owed.sums(self._units), self.is_bounded
        self._owed, self.is_owing, self.is_bounded = _Log(), False, True
        self._alike, self._is_alike = None, not self.is_behind
        return self._rows_of(changes, is_bounded=is_bounded)

    def behind(self) -> list[Change]:
        """Give what the sums do not have in each unit, and take it for added."""
        changes = self._behind.sums(self._units)
        if self._is_alike:
            self._alike = changes
        self._behind, self.is_behind, self._is_alike = _Log(), False, not self.is_owing
        return changes

    def _rows_of(self, changes: Sequence[Change], *, is_bounded: bool) -> list[BalanceMove]:
        return [
            (held, settled, presumed, number, limit - held if is_bounded else BOUNDLESS)
            for (held, settled, presumed), each in zip(changes, self._places, strict=True)
            for number, limit in each
        ]


def _total(amounts: Sequence[Amounts]) -> Amounts:
    if len(amounts) > 1:
        return _made(Amounts, map(sum, zip(*amounts, strict=True)))
    return amounts[0] if amounts else ZERO
