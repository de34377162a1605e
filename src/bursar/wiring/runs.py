"""The rows of runs for guards: a ledger's blocking reads and verbs, run where they block nobody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from bursar.core.run import RunChange, RunRow
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore

__all__ = ["StoredRuns"]


@dataclass(frozen=True, slots=True)
class StoredRuns:
    """Runs of one ledger. See `guards/ports.py` for the contract."""

    ledger: SqliteLedger | MemoryLedger
    face: ThreadedStore | DirectStore

    async def row(self, tenant: str, run: str) -> RunRow | None:
        return await self.face.run(partial(self.ledger.run_row, tenant, run))

    async def latest(self, tenant: str, prefix: str) -> RunRow | None:
        return await self.face.run(partial(self.ledger.latest_run, tenant, prefix))

    async def change(self, tenant: str, run: str, change: RunChange) -> RunRow:
        return await self.face.run(partial(self.ledger.change_run, tenant, run, change))

    async def response_run(self, tenant: str, response_id: str) -> str:
        row = await self.face.response(tenant, response_id)
        return "" if row is None else row.labels.get("run", "")
