"""The figures that leave a process, from settings: who observes calls, and what a scrape reads.

Owns the choice of observers, the optional packages behind them, and the reading of the ledger for a scrape. A scrape
answers whatever happens: a ledger that is down is itself a figure.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from bursar.config.settings import Settings
from bursar.core.admission import Balance
from bursar.core.budget import Budget, Unit
from bursar.core.control import EVERY_TENANT
from bursar.core.ledger import BalanceRow
from bursar.core.window import NS
from bursar.errors import StoreUnavailable
from bursar.pipeline.account import Accounts
from bursar.pipeline.waiting import WaitingRoom
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.telemetry.metrics import BudgetFigures, Metrics, Snapshot
from bursar.telemetry.outbox import Outbox
from bursar.telemetry.record import Observer
from bursar.wiring.events import open_events

__all__ = ["Scraper", "Telemetry", "budget_figures", "open_telemetry"]

T = TypeVar("T")

BUDGETS_NS = 5 * NS
"""How old the budgets' figures of a scrape may be: a ledger can have many balances, and anybody may scrape often."""


class Ledger(Protocol):
    """What a scrape reads."""

    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]: ...


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One process's observers."""

    metrics: Metrics | None = None
    outbox: Outbox | None = None

    @property
    def observers(self) -> tuple[Observer, ...]:
        return tuple(one for one in (self.metrics, self.outbox) if one is not None)

    @property
    def dropped(self) -> int:
        """How many events did not arrive."""
        return self.outbox.dropped if self.outbox else 0

    async def stop(self) -> None:
        """Export what is queued, within a few seconds; the event loop goes on meanwhile."""
        if self.outbox is not None:
            await asyncio.to_thread(self.outbox.stop)


def open_telemetry(settings: Settings) -> Telemetry:
    """Make the observers. Raises UsageError when events are to be exported and the packages are not installed."""
    told = settings.telemetry
    worker = str(os.getpid()) if settings.server.workers > 1 else ""
    metrics = Metrics(told.metrics, worker) if told.metrics.enabled else None
    return Telemetry(metrics, open_events(told.otlp))


@dataclass(slots=True)
class Scraper:
    """Reads what a scrape tells beside the counts, and whether the ledger answers at all."""

    telemetry: Telemetry
    accounts: Accounts
    waiting: WaitingRoom
    budgets: Callable[[], Iterable[Budget]]
    """The budgets that hold now."""
    ledger: Ledger
    face: ThreadedStore | DirectStore
    process: str
    timeout_s: float
    _figures: tuple[BudgetFigures, ...] = field(default=(), init=False)
    _read_ns: int = field(default=-BUDGETS_NS, init=False)

    async def page(self) -> bytes | None:
        """Write the metrics as text; None when they are switched off."""
        if self.telemetry.metrics is None:
            return None
        is_up = await self._refresh()
        snapshot = Snapshot(
            in_flight=len(self.accounts.held),
            waiting=self.waiting.count,
            unclosed=len(self.accounts.unclosed),
            dropped=self.telemetry.dropped,
            is_ledger_up=is_up,
            budgets=self._figures if is_up else (),
        )
        return await asyncio.to_thread(self.telemetry.metrics.exposition, snapshot)

    async def probe(self) -> bool:
        """Tell whether the ledger can be written and read within its time limit, by a heartbeat like any other."""

        async def beat() -> Sequence[BalanceRow]:
            await self.face.beat(self.process, self.accounts.clock())
            return await self.face.run(partial(self.ledger.balances, "", self.accounts.clock()))

        try:
            async with asyncio.timeout(self.timeout_s):
                await beat()
        except (StoreUnavailable, TimeoutError):
            return False
        return True

    async def _refresh(self) -> bool:
        """Read the budgets' figures anew when they are old; False when the ledger does not answer."""
        now = self.accounts.clock()
        if now - self._read_ns < BUDGETS_NS:
            return True
        budgets = [budget for budget in self.budgets() if not budget.split and budget.tenant != EVERY_TENANT]
        tenants = {budget.tenant for budget in budgets}
        try:
            async with asyncio.timeout(self.timeout_s):
                rows = {name: await self.face.run(partial(self.ledger.balances, name, now)) for name in tenants}
        except (StoreUnavailable, TimeoutError):
            return False
        self._figures = tuple(budget_figures(budgets, rows, now))
        self._read_ns = now
        return True


def budget_figures(
    budgets: Iterable[Budget], rows: dict[str, Sequence[BalanceRow]], at_ns: int
) -> Iterable[BudgetFigures]:
    """Say how each limit of some unsplit budgets stands in its current window; `rows` are balances by tenant."""
    kept = {
        (tenant, row.identity, row.starts_ns, row.unit): row.balance
        for tenant, found in rows.items()
        for row in found
        if not row.scope
    }
    for budget in budgets:
        span, identity = budget.window.span(at_ns), budget.identity
        for limit in budget.limits_in(span):
            balance = kept.get((budget.tenant, identity, span.starts_ns, limit.unit), Balance())
            unit = "nano_usd" if limit.unit is Unit.USD else str(limit.unit)
            used = balance.settled + balance.presumed
            yield BudgetFigures(budget.tenant, budget.name, unit, used, balance.held, limit.amount)
