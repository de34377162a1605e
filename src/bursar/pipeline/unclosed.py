"""A close that the store could not take yet. Owns its shape; who keeps it is `account.py`."""

from __future__ import annotations

from collections.abc import Sequence

from bursar.core.admission import Balance
from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Note, Reservation
from bursar.core.value import value

__all__ = ["Unclosed"]


@value
class Unclosed:
    """A close, kept until the store has taken it."""

    asked: Reservation
    verb: Verb
    at_ns: int
    charge: Charge | None
    note: Note

    def expected(self, balances: Sequence[Balance]) -> tuple[Balance, ...]:
        """Say what the ledger will settle it to, as far as its balances are known: where nobody waits for its word."""
        if self.charge is None:
            return tuple(balances)
        amounts = self.charge.amounts
        return tuple(
            balance._replace(settled=balance.settled + amounts.amount(line.unit))
            for line, balance in zip(self.asked.lines, balances, strict=False)
        )
