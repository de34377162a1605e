"""A close that is to be written. Owns its shape, and how it is written where the store never saw the hold; who keeps
one that cannot be written yet is `account.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Note, Reservation
from bursar.pipeline.ports import Store

__all__ = ["Unclosed", "close_unseen", "taken"]

WITHOUT_LIMIT = 2**62
"""A limit that no sum of the ledger can pass."""


class Unclosed(NamedTuple):
    """A close, kept until the store has taken it."""

    asked: Reservation
    verb: Verb
    at_ns: int
    charge: Charge | None
    note: Note


def taken(kept: deque[Unclosed]) -> Iterator[Unclosed]:
    """Take what was kept by now, one after the other; other threads take from it as well."""
    for _ in range(len(kept)):
        try:
            first = kept.popleft()
        except IndexError:
            return
        yield first


async def close_unseen(store: Store, unclosed: Unclosed) -> Closed | None:
    """Record a hold that the store never saw (it was down, and a setting let the call through), and close it.

    Without limits, a budget's or a run's: truth beats policy. None where there is nothing to record.
    """
    if unclosed.verb is Verb.RELEASE:
        return None
    asked = unclosed.asked
    lines = tuple(line._replace(limit=WITHOUT_LIMIT) for line in asked.lines)
    await store.reserve(replace(asked, lines=lines, run=None))
    return await store.close(asked.id, unclosed.verb, unclosed.at_ns, unclosed.charge, unclosed.note)
