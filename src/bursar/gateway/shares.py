"""How many calls of one tenant may be in flight at once in this process.

Owns the counts. It knows no money: a tenant that floods is told to come back, so that it cannot take every connection
and all memory from the others. It must never make a call wait.
"""

from __future__ import annotations

from bursar.errors import Contended

__all__ = ["RETRY_S", "Shares"]

RETRY_S = 1
"""Short: a place is free again as soon as any call of the tenant ends."""


class Shares:
    """Counts the calls of each tenant from their head to the last byte of their answer."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._in_flight: dict[str, int] = {}

    def take(self, tenant: str) -> None:
        """Take one place of a tenant's share, to be given back. Raises Contended when all are taken."""
        count = self._in_flight.get(tenant, 0)
        if count >= self._calls_max:
            raise Contended(f"{self._calls_max:,} calls of yours are in flight, as many as may be at once")
        self._in_flight[tenant] = count + 1

    def give_back(self, tenant: str) -> None:
        """Give one place back."""
        count = self._in_flight[tenant] - 1
        if count:
            self._in_flight[tenant] = count
        else:
            del self._in_flight[tenant]  # Tenants come and go; only those with calls in flight are kept.
