"""Prove the ledger, and say what in it waits for a person.

Owns the audit: every balance against the fold of the entries (promise P7), holds whose process is gone, what is only
presumed, and how many of the latest calls carry a flag. It changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.core.charge import ZERO, Amounts
from bursar.core.hold import State
from bursar.core.ledger import BalanceRow, HoldRow, Mismatch, SpendQuery, SpendRow
from bursar.core.window import FOREVER_NS
from bursar.processes import is_gone

__all__ = ["FLAGGED_MAX", "LISTED_MAX", "Audit", "Ledger", "audit"]

FLAGGED_MAX = 10_000
"""How many of a tenant's latest calls are looked at for flags."""
LISTED_MAX = 10_000
"""How many open and presumed holds of a tenant are looked at."""


class Ledger(Protocol):
    """What this reads."""

    def verify(self) -> Sequence[Mismatch]: ...
    def tenants(self) -> Sequence[str]: ...
    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]: ...
    def holds(self, tenant: str, states: Sequence[State], most: int) -> Sequence[HoldRow]: ...
    def spend(self, query: SpendQuery) -> Sequence[SpendRow]: ...


@dataclass(frozen=True, slots=True)
class Audit:
    """The state of a ledger at one moment."""

    mismatches: tuple[Mismatch, ...]
    balances: int
    calls: int
    """Settled and presumed calls that were folded."""
    settled: Amounts
    presumed: Amounts
    presumed_calls: int
    open_calls: int
    orphans: tuple[str, ...]
    """Ids of open holds whose process is gone from this machine."""
    flags: Mapping[str, int]
    """Flag to number of calls, among the latest `flags_of` calls."""
    flags_of: int
    tenants: tuple[str, ...] = ()
    """Whose calls these are."""

    @property
    def is_proven(self) -> bool:
        """Tell whether every balance equals its entries."""
        return not self.mismatches


def audit(ledger: Ledger, tenant: str | None) -> Audit:
    """Look at the whole ledger: at the balances of all, and at the calls of one tenant or (None) of every one."""
    tenants = tuple(ledger.tenants()) if tenant is None else (tenant,)

    def listed(states: Sequence[State], most: int) -> list[HoldRow]:
        return [row for each in tenants for row in ledger.holds(each, states, most)]

    totals = [row for each in tenants for row in ledger.spend(SpendQuery(each, (), 0, FOREVER_NS))]
    open_rows = listed((State.OPEN,), LISTED_MAX)
    gone = {process: is_gone(process) for process in {row.process for row in open_rows}}
    latest = listed((State.SETTLED, State.PRESUMED), FLAGGED_MAX)
    return Audit(
        tuple(ledger.verify()),
        balances=sum(len(ledger.balances(each)) for each in tenants),
        calls=sum(row.calls for row in totals),
        settled=sum((row.settled for row in totals), ZERO),
        presumed=sum((row.presumed for row in totals), ZERO),
        presumed_calls=len(listed((State.PRESUMED,), LISTED_MAX)),
        open_calls=len(open_rows),
        orphans=tuple(row.id for row in open_rows if gone[row.process]),
        flags=Counter(flag for row in latest for flag in row.flags),
        flags_of=len(latest),
        tenants=tenants,
    )
