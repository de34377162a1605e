"""A close that the store could not take yet. Owns its shape; who keeps it is `account.py`."""

from __future__ import annotations

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
