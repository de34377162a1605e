"""What is set now, kept up with while the gateway runs: keys, budgets, top-ups, prices, pauses.

Owns the moment at which a change counts. Every process looks for a new version twice a second, and at once after a
change of its own. What cannot be read now leaves the last known state in force. How a budget begins is in
`beginnings.py`; nothing else waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bursar.actions.control import ControlState, state_of
from bursar.config.settings import Settings
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT, KeyRow, TopUp
from bursar.errors import ConfigError, StoreUnavailable
from bursar.identity.keys import Keyring
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.in_force import InForce
from bursar.pipeline.ports import Clock
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.wiring.beginnings import Beginnings
from bursar.wiring.ledger import TENANT
from bursar.wiring.pepper import open_keyring
from bursar.wiring.prices import open_prices

__all__ = ["LiveControl", "budgets_for"]

log = logging.getLogger("bursar.control")

LOOK_S = 0.5
"""How often each process looks: a pause or a revoked key stops new calls everywhere within a second."""


def budgets_for(settings: Settings, state: ControlState) -> Iterator[Budget]:
    """Give every budget in force, one for each tenant where it is every tenant's."""
    tenants = _tenants(state.keys)
    for budget in state.all_budgets(settings.budgets):
        linked = replace(budget, link=budget.link or settings.link)
        if budget.tenant == EVERY_TENANT:
            yield from (replace(linked, tenant=tenant) for tenant in sorted(tenants))
        else:
            yield linked


def _tenants(keys: Iterable[KeyRow]) -> set[str]:
    return {TENANT, *(key.tenant for key in keys)}


@dataclass(slots=True)
class LiveControl:
    """Keeps `in_force` and `keyring` at what is set. Replaced as wholes, so that nobody sees half of a change."""

    settings: Settings
    ledger: SqliteLedger | MemoryLedger
    face: ThreadedStore | DirectStore
    clock: Clock
    has_door: bool = True
    """Keys are asked for here; without a door their pepper is not needed either."""
    on_change: Callable[[], Awaitable[None]] | None = None
    """Called when something that was set is in force here."""
    in_force: InForce = field(init=False)
    changed_at_s: float = field(init=False, default=0.0)
    """When something new last came in force here, by the monotonic clock."""
    keyring: Keyring = field(init=False)
    state: ControlState = field(init=False)
    _made_of: tuple[tuple[Budget, ...], tuple[TopUp, ...]] = field(init=False)
    """The budgets and top-ups in force."""
    _beginnings: Beginnings = field(init=False)
    _let_in: set[str] = field(init=False)
    """The tenants that the door is open for."""
    _is_blind: bool = field(init=False, default=False)
    """The last look found a ledger that cannot be read: that is told once, and once when it is over."""
    _lock: asyncio.Lock = field(init=False)
    _has_news: asyncio.Event = field(init=False)

    def start(self) -> None:
        """Read what is set, and begin the budgets. Raises StoreUnavailable, and ConfigError when keys lack their
        pepper."""
        self._lock, self._has_news = asyncio.Lock(), asyncio.Event()
        self.state = state_of(self.ledger)
        self.keyring = open_keyring(self.settings, self.state.keys) if self.has_door else Keyring()
        budgets = tuple(budgets_for(self.settings, self.state))
        self._let_in = _tenants(self.state.keys)
        self._beginnings = Beginnings(self.ledger, self.face, self.clock, self.settings.limits.hold_wait_s)
        self._beginnings.start(budgets)
        prices = open_prices(self._priced(self.state))
        self._made_of = (budgets, self._top_ups(self.state))
        self.in_force = InForce(Budgets(*self._made_of), prices, self.state.pauses, self.settings.link)
        self._tell(self.state.problems)

    async def refresh(self) -> None:
        """Let what has been set since count from now on. Raises StoreUnavailable."""
        await self._see()
        await self._beginnings.run(self._put)

    async def _see(self) -> None:
        async with self._lock:
            version = await self.face.run(self.ledger.control_version)
            if version != self.state.version:
                self._take(await self.face.run(partial(state_of, self.ledger)))
                self._has_news.set()
                self.changed_at_s = time.monotonic()
                if self.on_change is not None:
                    await self.on_change()

    def _take(self, state: ControlState) -> None:
        was = self.state
        prices = self.in_force.prices
        if state.prices != was.prices:
            prices = open_prices(self._priced(state))
        # Two thousand tenants have thousands of budgets: a pause or a key makes none of them anew.
        if state.budgets != was.budgets or _tenants(state.keys) != _tenants(was.keys):
            self._beginnings.take(tuple(budgets_for(self.settings, state)))
        self.in_force.prices, self.in_force.pauses, self.state = prices, state.pauses, state
        self._put()
        self._tell(state.problems)

    def _put(self) -> None:
        """Put in force what has begun. A tenant that is new comes in once its budgets have."""
        made_of = (self._beginnings.in_force(self._made_of[0]), self._top_ups(self.state))
        if made_of != self._made_of:
            self.in_force.budgets, self._made_of = Budgets(*made_of), made_of
            self.changed_at_s = time.monotonic()
        shut = {budget.tenant for budget in self._beginnings.waiting} - self._let_in
        keys = tuple(key for key in self.state.keys if key.tenant not in shut)
        self.keyring, self._let_in = self._keyring(keys), _tenants(keys)

    def _keyring(self, keys: Sequence[KeyRow]) -> Keyring:
        try:
            return open_keyring(self.settings, keys) if self.has_door else Keyring()
        except ConfigError as error:
            log.error("no key opens the door: %s", error.message)
            return Keyring()

    def _top_ups(self, state: ControlState) -> tuple[TopUp, ...]:
        return state.all_top_ups(self.settings.budgets)

    def _priced(self, state: ControlState) -> Settings:
        return replace(self.settings, prices=state.all_prices(self.settings.prices))

    def _tell(self, problems: Iterable[str]) -> None:
        for problem in problems:
            log.error("set, but not in force: %s", problem)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look for changes until told to stop; what takes its time goes on beside it."""
        async with asyncio.TaskGroup() as group:
            beginning = group.create_task(self._begin())
            while not stopping.is_set():
                try:
                    async with asyncio.timeout(LOOK_S):
                        await stopping.wait()
                except TimeoutError:
                    await self._look()
            beginning.cancel()

    async def _begin(self) -> None:
        """Begin what is set as soon as it is seen, and count what comes late."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._has_news.wait()
            self._has_news.clear()
            # While the ledger is down the looks tell so, and this goes on when it is back.
            with contextlib.suppress(StoreUnavailable):
                await self._beginnings.run(self._put)

    async def _look(self) -> None:
        try:
            await self._see()
        except StoreUnavailable as error:
            if not self._is_blind:
                log.warning("what is set cannot be read, the last state stands: %s", error.message)
            self._is_blind = True
        else:
            if self._is_blind:
                log.warning("what is set can be read again")
            self._is_blind = False
