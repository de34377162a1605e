"""Answers that run are ended when somebody says so: a pause with `now`, or a run that was stopped.

Owns the look at what is in flight after each change of what is set, in every process. It ends streams as a used-up
budget does; a call that has not begun to stream ends by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from bursar.core.run import RunState
from bursar.errors import StoreUnavailable
from bursar.pipeline.account import Account, Accounts
from bursar.pipeline.in_force import InForce
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore

__all__ = ["Ending"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Of one process."""

    accounts: Accounts
    in_force: InForce
    ledger: SqliteLedger | MemoryLedger
    face: ThreadedStore | DirectStore
    is_waking: bool = True
    """This runs in the loop that drives the calls; elsewhere an answer ends with its next bytes."""

    async def __call__(self) -> None:
        """End what is to end now."""
        running = list(self.accounts.held.values())
        self._end_paused(running)
        with contextlib.suppress(StoreUnavailable):
            await self._end_stopped(running)

    def _end_paused(self, running: Iterable[Account]) -> None:
        pauses = [pause for pause in self.in_force.pauses if pause.is_now]
        if not pauses:
            return
        for account in running:
            if any(pause.stops(account.call.tenant, account.call.labels) for pause in pauses):
                account.watch.end(self.accounts.clock(), is_waking=self.is_waking)

    async def _end_stopped(self, running: Iterable[Account]) -> None:
        by_run: dict[tuple[str, str], list[Account]] = {}
        for account in running:
            if account.watch.row is not None:
                by_run.setdefault((account.call.tenant, account.watch.row.run), []).append(account)
        for key, accounts in by_run.items():
            row = await self.face.run(partial(self.ledger.run_row, *key))
            if row is not None and row.state is RunState.STOPPED:
                for account in accounts:
                    account.watch.end(self.accounts.clock(), is_waking=self.is_waking)
