"""How many calls of one tenant may be in flight at once in this process.

Owns the counts. It knows no money: a tenant that floods is told to come back, so that it cannot take every connection
and all memory from the others. It must never make a call wait.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from bursar.errors import Contended

__all__ = ["RETRY_S", "Shares"]

RETRY_S = 1
"""Short: a place is free again as soon as any call of the tenant ends."""


class Shares:
    """Counts the calls of each tenant from their head to the last byte of their answer."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._in_flight: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """Hold one place of a tenant's share while the context lasts. Raises Contended when all are taken."""
        if self._in_flight[tenant] >= self._calls_max:
            raise Contended(f"{self._calls_max:,} calls of yours are in flight, as many as may be at once")
        self._in_flight[tenant] += 1
        try:
            yield
        finally:
            self._in_flight[tenant] -= 1
            if not self._in_flight[tenant]:
                del self._in_flight[tenant]  # Tenants come and go; only those with calls in flight are kept.
