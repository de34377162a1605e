"""Who changed what, and when.

Owns the reading of the audit log. Nothing changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bursar.core.control import AuditRow

__all__ = ["Ledger", "audit_since"]

PAGE_ROWS = 500


class Ledger(Protocol):
    """What this reads."""

    def audit(self, tenant: str | None, most: int, before_seq: int | None = None) -> Sequence[AuditRow]: ...


def audit_since(ledger: Ledger, tenant: str | None, most: int, since_ns: int = 0) -> tuple[AuditRow, ...]:
    """Give the latest changes from an instant on, at most `most`, the latest first; None: those of all tenants."""
    found: list[AuditRow] = []
    before_seq: int | None = None
    while len(found) < most:
        page = ledger.audit(tenant, min(PAGE_ROWS, most - len(found)), before_seq)
        recent = [row for row in page if row.at_ns >= since_ns]
        found += recent
        if not page or len(recent) < len(page):
            break
        before_seq = page[-1].seq
    return tuple(found)
