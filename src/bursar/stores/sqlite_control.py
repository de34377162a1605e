"""What was set while bursar runs, in a SQLite ledger: documents and the record of their changes.

Owns the tables `control` and `audit`. A change and its audit row are one transaction. It knows nothing of what the
documents say.
"""

from __future__ import annotations

from collections.abc import Sequence

from bursar.core.control import AuditRow, Change, Document, Kind, Place, shown_before
from bursar.stores.sqlite_read import SqliteReads

__all__ = ["SqliteControl"]

SEQ_MAX = 2**63 - 1


class SqliteControl(SqliteReads):
    """The part of a SqliteLedger that keeps what was set. `core/control.py` has the contract."""

    def change(self, changes: Sequence[Change], seen: int | None = None) -> int:
        with self.transaction():
            version = self.control_version()
            if seen is not None and seen != version:
                return 0
            for change, before in zip(changes, shown_before(changes, self._shown), strict=True):
                self._put(change)
                self.run(
                    "audit_add",
                    at_ns=change.at_ns,
                    tenant=change.tenant,
                    actor=change.actor,
                    action=change.action,
                    kind=str(change.kind),
                    name=change.name,
                    before=before,
                    after=change.shown,
                )
            return self.control_version()

    def _shown(self, place: Place) -> str | None:
        kind, tenant, name = place
        row = self.run("control_find", kind=str(kind), tenant=tenant, name=name).fetchone()
        return None if row is None else str(row[0])

    def _put(self, change: Change) -> None:
        place = {"kind": str(change.kind), "tenant": change.tenant, "name": change.name}
        if change.body is None:
            self.run("control_remove", **place)
        else:
            self.run("control_put", body=change.body, shown=change.shown, changed_ns=change.at_ns, **place)

    def control_version(self) -> int:
        return int(self._read("control_version")[0][0])

    def documents(self, kind: Kind | None = None) -> Sequence[Document]:
        rows = self._read("control_list", kind=None if kind is None else str(kind))
        return [Document(Kind(row[0]), *row[1:]) for row in rows]

    def audit(self, tenant: str | None, most: int, before_seq: int | None = None) -> Sequence[AuditRow]:
        limits = {"most": most, "before_seq": SEQ_MAX if before_seq is None else before_seq}
        rows = (
            self._read("audit_list", **limits)
            if tenant is None
            else self._read("audit_list_of", tenant=tenant, **limits)
        )
        return [
            AuditRow(seq, at_ns, whose, actor, action, Kind(kind), name, before, after)
            for seq, at_ns, whose, actor, action, kind, name, before, after in rows
        ]
