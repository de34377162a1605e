"""What is set now, kept up with while the gateway runs: keys, budgets, top-ups, prices, pauses.

Owns the moment at which a change counts. Every process looks for a new version twice a second, and at once after a
change of its own. What cannot be read now leaves the last known state in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from bursar.actions.control import ControlState, state_of
from bursar.config.settings import Settings
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT
from bursar.errors import ConfigError, StoreUnavailable
from bursar.identity.keys import Keyring
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.in_force import InForce
from bursar.pipeline.ports import Clock
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.wiring.ledger import TENANT
from bursar.wiring.pepper import open_keyring
from bursar.wiring.prices import open_prices

__all__ = ["LiveControl", "budgets_for"]

log = logging.getLogger("bursar.control")

LOOK_S = 0.5
"""How often each process looks: a pause or a revoked key stops new calls everywhere within a second."""


def budgets_for(settings: Settings, state: ControlState) -> Iterator[Budget]:
    """Give every budget in force, one for each tenant where it is every tenant's."""
    tenants = {TENANT, *(key.tenant for key in state.keys)}
    for budget in state.all_budgets(settings.budgets):
        linked = replace(budget, link=budget.link or settings.link)
        if budget.tenant == EVERY_TENANT:
            yield from (replace(linked, tenant=tenant) for tenant in sorted(tenants))
        else:
            yield linked


@dataclass(slots=True)
class LiveControl:
    """Keeps `in_force` and `keyring` at what is set. Replaced as wholes, so that nobody sees half of a change."""

    settings: Settings
    ledger: SqliteLedger | MemoryLedger
    face: ThreadedStore | DirectStore
    clock: Clock
    in_force: InForce = field(init=False)
    keyring: Keyring = field(init=False)
    state: ControlState = field(init=False)
    _lock: asyncio.Lock = field(init=False)

    def start(self) -> None:
        """Read what is set, and begin the budgets. Raises StoreUnavailable, and ConfigError when keys lack their
        pepper."""
        self._lock = asyncio.Lock()
        self.state = state_of(self.ledger)
        self.keyring = open_keyring(self.settings, self.state.keys)
        budgets = tuple(budgets_for(self.settings, self.state))
        self.ledger.define(budgets, self.clock())
        prices = open_prices(self._priced(self.state))
        self.in_force = InForce(Budgets(budgets, self.state.all_top_ups(self.settings.budgets)), prices, self.state.pauses)
        self._tell(self.state.problems)

    async def refresh(self) -> None:
        """Let what has been set since count from now on. Raises StoreUnavailable."""
        async with self._lock:
            version = await self.face.run(self.ledger.control_version)
            if version != self.state.version:
                await self._take(await self.face.run(partial(state_of, self.ledger)))

    async def _take(self, state: ControlState) -> None:
        before = {budget.identity for budget in self.in_force.budgets.all}
        budgets = tuple(budgets_for(self.settings, state))
        keyring = self._keyring(state)
        prices = self.in_force.prices
        if state.prices != self.state.prices:
            prices = open_prices(self._priced(state))
        self.in_force.budgets = Budgets(budgets, state.all_top_ups(self.settings.budgets))
        self.in_force.prices, self.in_force.pauses = prices, state.pauses
        self.keyring, self.state = keyring, state
        # Calls count against a new budget before it begins, and its beginning counts those that it has not seen. Every
        # process begins it for itself, since until its own look it took calls in without it.
        new = {budget.identity for budget in budgets} - before
        await self._define(budgets, new)
        self._tell(state.problems)

    async def _define(self, budgets: tuple[Budget, ...], new: Collection[str]) -> None:
        await self.face.run(partial(self.ledger.define, budgets, self.clock(), new))

    def _keyring(self, state: ControlState) -> Keyring:
        try:
            return open_keyring(self.settings, state.keys)
        except ConfigError as error:
            log.error("no key opens the door: %s", error.message)
            return Keyring()

    def _priced(self, state: ControlState) -> Settings:
        return replace(self.settings, prices=state.all_prices(self.settings.prices))

    def _tell(self, problems: Iterable[str]) -> None:
        for problem in problems:
            log.error("set, but not in force: %s", problem)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look for changes until told to stop."""
        while not stopping.is_set():
            try:
                async with asyncio.timeout(LOOK_S):
                    await stopping.wait()
            except TimeoutError:
                await self._look()

    async def _look(self) -> None:
        try:
            await self.refresh()
        except StoreUnavailable as error:
            log.warning("what is set cannot be read, the last state stands: %s", error.message)
