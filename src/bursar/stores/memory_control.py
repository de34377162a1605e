"""What was set while bursar runs, in memory: documents and the record of their changes.

Owns both, under the ledger's lock. It knows nothing of what the documents say.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from bursar.core.control import AuditRow, Change, Document, Kind, Place, shown_before

__all__ = ["MemoryControl"]


class MemoryControl:
    """The part of a MemoryLedger that keeps what was set. `core/control.py` has the contract."""

    _lock: threading.RLock

    def __init__(self) -> None:
        self._documents: dict[Place, Document] = {}
        self._audit: list[AuditRow] = []

    def change(self, changes: Sequence[Change], seen: int | None = None) -> int:
        with self._lock:
            if seen is not None and seen != len(self._audit):
                return 0
            for change, before in zip(changes, shown_before(changes, self._shown), strict=True):
                self._put(change)
                seq = len(self._audit) + 1
                about = (change.at_ns, change.tenant, change.actor, change.action, change.kind, change.name)
                self._audit.append(AuditRow(seq, *about, before, change.shown))
            return len(self._audit)

    def _shown(self, place: Place) -> str | None:
        document = self._documents.get(place)
        return None if document is None else document.shown

    def _put(self, change: Change) -> None:
        place = (change.kind, change.tenant, change.name)
        if change.body is None:
            self._documents.pop(place, None)
        else:
            self._documents[place] = Document(*place, change.body, change.shown, change.at_ns)

    def control_version(self) -> int:
        with self._lock:
            return len(self._audit)

    def documents(self, kind: Kind | None = None) -> Sequence[Document]:
        with self._lock:
            found = [self._documents[place] for place in sorted(self._documents)]
        return [each for each in found if kind is None or each.kind is kind]

    def audit(self, tenant: str | None, most: int, before_seq: int | None = None) -> Sequence[AuditRow]:
        with self._lock:
            rows = self._audit[: None if before_seq is None else max(0, before_seq - 1)]
        return [row for row in reversed(rows) if tenant is None or row.tenant == tenant][:most]
