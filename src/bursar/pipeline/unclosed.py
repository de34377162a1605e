"""A close that the store could not take yet. Owns its shape; who keeps it is `account.py`."""

from __future__ import annotations

from dataclasses import dataclass

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Note, Reservation

__all__ = ["Unclosed"]


@dataclass(frozen=True, slots=True)
class Unclosed:
    """A close, kept until the store has taken it."""

    asked: Reservation
    verb: Verb
    at_ns: int
    charge: Charge | None
    note: Note
