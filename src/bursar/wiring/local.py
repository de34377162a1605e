"""Everything behind the library's door, from settings: the same parts and stages as the gateway's, and no server.

Owns the ways in which a call can be driven inside somebody else's process, and the one thread that keeps this process's
part of the ledger in order: its heartbeat, what is set meanwhile, and the holds of answers that nobody reads any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property, partial
from typing import Any, TypeVar

from bursar.config.settings import Settings
from bursar.core.admission import Balance, Line
from bursar.core.budget import Budget
from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.labels import Labels
from bursar.core.ledger import Granted, Note, Refused, Reservation, SpendQuery, SpendRow
from bursar.core.provider import Provider
from bursar.errors import BursarError, StoreUnavailable
from bursar.guards.board import RunBoard
from bursar.guards.loops.watch import Loops
from bursar.jobs.upkeep import Upkeep
from bursar.pipeline.account import Account, Accounts
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.call import Call, Reply, Stage
from bursar.pipeline.hold import HoldStage
from bursar.pipeline.patience import AsyncioPatience, PlainPatience
from bursar.pipeline.ports import Upstream, Waiting
from bursar.pipeline.quote import Quoter
from bursar.pipeline.stages import StageParts, chained, stages
from bursar.pipeline.turns import ThreadTurn
from bursar.pipeline.unclosed import Unclosed
from bursar.pipeline.waiting import Queues, WaitingRoom
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.telemetry.outbox import Outbox
from bursar.telemetry.record import Observer
from bursar.upstream.choice import ProviderChoice
from bursar.wiring.control import LiveControl
from bursar.wiring.ending import Ending
from bursar.wiring.events import open_events
from bursar.wiring.ledger import TENANT, StoreClock
from bursar.wiring.parts import Parts, UpkeepStore, open_loops, open_parts
from bursar.wiring.retarget import Retarget
from bursar.wiring.runs import StoredRuns
from bursar.wiring.wires import Wires

__all__ = ["TENANT", "LocalEngine", "Way", "drive"]

log = logging.getLogger("bursar.library")

T = TypeVar("T")

LEAVE_S = 5.0
"""How long the end of a program waits until what is open is settled."""
UNCLOSED_MAX = 100_000
TEND_S = 0.1
"""How long a job that is not done yet waits for its next turn."""


class Way(Enum):
    """How a call is driven."""

    BLOCKING = auto()
    """In the caller's thread, without an event loop: nothing in it ever suspends."""
    ASYNCIO = auto()
    """In asyncio's event loop, which never waits for the file."""
    FOREIGN = auto()
    """In another event loop: the provider is awaited there, the ledger is asked at once, nothing else is waited for."""


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine over blocking ports to its end, in this thread. It never suspends."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise RuntimeError("a stage waited for an event loop where there is none")


@dataclass(frozen=True, slots=True)
class _Ports:
    """What the stages run over in one way of driving."""

    accounts: Accounts
    waiting: Waiting
    patience: AsyncioPatience | PlainPatience
    before: tuple[Stage, ...]
    """The stages before the hold."""
    face: ThreadedStore | DirectStore


async def _block(seconds: float) -> None:
    """Pause where nobody else runs in this thread."""
    time.sleep(seconds)  # noqa: ASYNC251 - it is driven without a loop


@dataclass
class LocalEngine:
    """One process's engine. Make it, `start` it, `handle` calls from any thread or loop, `stop` it."""

    settings: Settings
    addresses: dict[tuple[str, str], Provider] = field(default_factory=dict)
    """By base URL and wire: whose prices count there, as far as it was asked."""
    wires: Wires = field(init=False)
    choice: ProviderChoice = field(init=False)
    control: LiveControl = field(init=False)
    _parts: Parts = field(init=False)
    _face: ThreadedStore | DirectStore = field(init=False)
    _quoter: Quoter = field(init=False)
    _ports: dict[Way, _Ports] = field(init=False)
    _keeper: _Keeper = field(init=False)
    _events: Outbox | None = field(init=False)

    def start(self) -> None:
        """Open the ledger, begin the budgets, start the thread. Raises StoreUnavailable and UsageError."""
        settings = self.settings
        self.wires, self.choice = Wires(settings.limits.body_bytes_max), ProviderChoice(settings.providers)
        self._events = open_events(settings.telemetry.otlp)
        parts = self._parts = open_parts(settings)
        ledger = parts.ledger
        self._face = ThreadedStore(ledger) if isinstance(ledger, SqliteLedger) else DirectStore(ledger)
        self.control = LiveControl(settings, ledger, self._face, parts.clock, has_door=False)
        self.control.start()
        self._quoter = parts.quoter(self.control.in_force)
        self._ports = self._open_ports()
        asyncio_accounts = self._ports[Way.ASYNCIO].accounts
        self.control.on_change = Ending(asyncio_accounts, self.control.in_force, ledger, self._face, is_waking=False)
        upkeep = Upkeep(
            UpkeepStore(ledger, self._face),
            parts.process,
            parts.clock,
            asyncio_accounts.close_kept,
            settings.limits.heartbeat_s,
            settings.limits.lapse_s,
        )
        self._keeper = _Keeper(upkeep, self.control)
        self._keeper.start()

    def _open_ports(self) -> dict[Way, _Ports]:
        """Make the ways of driving; they share one order of waiting, and what could not be closed."""
        limits, parts, queues = self.settings.limits, self._parts, Queues()
        held: dict[str, Account] = {}
        board, loops = RunBoard(), open_loops(self.settings)
        heard: tuple[Observer | None, ...] = (self._events, loops)
        observers = tuple(each for each in heard if each is not None)
        unclosed: deque[Unclosed] = deque(maxlen=UNCLOSED_MAX)

        def ports(face: ThreadedStore | DirectStore, waiting: Waiting, way: Way) -> _Ports:
            learnt = (parts.facts, parts.estimates, parts.usuals, parts.clock)
            accounts = Accounts(face, waiting, *learnt, observers, held, unclosed, board)
            patience = AsyncioPatience() if way is Way.ASYNCIO else PlainPatience()
            return _Ports(accounts, waiting, patience, self._stages(face, way, board, loops), face)

        direct, wait_s, most = DirectStore(parts.ledger), limits.hold_wait_s, limits.waiting_max
        blocking = WaitingRoom(wait_s, most, ThreadTurn, queues)
        return {
            Way.BLOCKING: ports(direct, blocking, Way.BLOCKING),
            Way.ASYNCIO: ports(self._face, WaitingRoom(wait_s, most, queues=queues), Way.ASYNCIO),
            Way.FOREIGN: ports(direct, WaitingRoom(0, most, ThreadTurn, queues), Way.FOREIGN),
        }

    def _stages(
        self, face: ThreadedStore | DirectStore, way: Way, board: RunBoard, loops: Loops | None
    ) -> tuple[Stage, ...]:
        guards, in_force = self.settings.guards, self.control.in_force
        if way is Way.FOREIGN:
            # There, nothing of ours can wait without holding up everybody else.
            guards = replace(guards, park_wait_s=0.0)
        parts = StageParts(
            guards=guards,
            runs=StoredRuns(self._parts.ledger, face),
            clock=self.clock,
            board=board,
            is_run_counted=lambda: in_force.budgets.has_runs,
            retarget=Retarget(self.choice, self.wires, is_in_place=True),
            sleep=asyncio.sleep if way is Way.ASYNCIO else _block,
            loops=loops,
        )
        return stages(parts)

    async def handle(self, call: Call, upstream: Upstream, way: Way) -> Reply:
        """Run a call through the stages, and send it by `upstream`."""
        ports = self._ports[way]
        most = self.settings.limits.answer_bytes_max
        hold = HoldStage(self._quoter, ports.accounts, ports.waiting, upstream, most, ports.patience)
        return await chained(ports.before, hold)(call)

    # --- what is held for something else than a call ------------------------------------------------------------------

    @property
    def process(self) -> str:
        """Name this process in the ledger."""
        return self._parts.process

    async def reserve(self, asked: Reservation, way: Way, *, attempts: int = 1) -> Granted | Refused:
        """Hold at once or not at all, so many times over. Raises StoreUnavailable."""
        store = self._ports[way].accounts.store
        verdict = await store.reserve(asked)
        if isinstance(verdict, Refused) or attempts == 1:
            return verdict
        extension = await store.extend(asked, 0, 0, attempts)
        if extension.is_granted:
            return verdict
        await self.settle(asked, None, way)
        return Refused(asked.lines[0], verdict.balances[0], is_exhausted=False)

    async def settle(self, asked: Reservation, charge: Charge | None, way: Way, note: Note | None = None) -> None:
        """End such a hold with what it came to; None releases it. What the ledger cannot take now is kept for later."""
        ports = self._ports[way]
        verb = Verb.RELEASE if charge is None else Verb.SETTLE
        try:
            await ports.accounts.close(Unclosed(asked, verb, self.clock(), charge, note or Note()))
        finally:
            ports.waiting.freed(asked.lines)

    async def balance(self, line: Line, way: Way) -> Balance:
        """Read one line. Raises StoreUnavailable."""
        return await self._ports[way].face.run(partial(self._parts.ledger.balance, TENANT, line))

    def tend(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Let the engine's own thread do a job again and again until it says that it is done."""
        self._keeper.tend(job)

    # --- what can be read ---------------------------------------------------------------------------------------------

    @cached_property
    def known_addresses(self) -> frozenset[str]:
        """The base URLs of the providers that are configured."""
        return frozenset(provider.base_url.rstrip("/").lower() for provider in self.settings.providers)

    @property
    def clock(self) -> StoreClock:
        return self._parts.clock

    @property
    def is_shareable(self) -> bool:
        """Tell whether other processes can count in the same ledger."""
        return not isinstance(self._parts.ledger, MemoryLedger)

    def balances(self, budget: Budget) -> Sequence[tuple[Line, Balance]]:
        """Read what counts against a budget that is not split. Raises StoreUnavailable."""
        lines = Budgets(()).lines((budget,), Labels({}), self.clock())
        return [(line, self._parts.ledger.balance(budget.tenant, line)) for line in lines]

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        """Sum calls by their labels. Raises StoreUnavailable."""
        return self._parts.ledger.spend(query)

    def adopt(self, ending: Coroutine[Any, Any, None]) -> None:
        """Take over the end of an answer that nobody reads any more. Safe at any moment, also inside a `__del__`."""
        self._keeper.adopt(ending)

    def let_go(self) -> None:
        """Keep the ledger shut while this process is copied; `take_up` opens it again in the parent."""
        self._parts.ledger.let_go()

    def take_up(self) -> None:
        """Open the ledger again. Raises StoreUnavailable."""
        self._parts.ledger.take_up()

    def stop(self) -> None:
        """End the thread and let go of the file; what is still open is presumed."""
        self._keeper.stop()
        if isinstance(self._face, ThreadedStore):
            self._face.stop()
        self._parts.ledger.close_store()
        if self._events is not None:
            self._events.stop()


class _Keeper:
    """The one thread of the library: an event loop of its own, in which the gateway's jobs run as they are."""

    def __init__(self, upkeep: Upkeep, control: LiveControl) -> None:
        self._upkeep = upkeep
        self._control = control
        self._orphans: deque[Coroutine[Any, Any, None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._wake: asyncio.Event | None = None
        self._is_ready = threading.Event()
        self._tended: dict[Callable[[], Coroutine[Any, Any, bool]], asyncio.Task[None]] = {}
        """What is tried again until it is done, and a last time at the end."""
        self._thread = threading.Thread(target=self._work, name="bursar-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._is_ready.wait()

    def adopt(self, ending: Coroutine[Any, Any, None]) -> None:
        # A deque's append and a write to the loop's pipe are all that a finalizer may do: it can run inside anything.
        self._orphans.append(ending)
        self._call(self._wake)

    def stop(self) -> None:
        self._call(self._stopping)
        self._thread.join(LEAVE_S)

    def tend(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended.
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._begin, job)

    def _begin(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        self._tended[job] = asyncio.create_task(self._repeat(job))

    async def _repeat(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        stopping = self._stopping
        assert stopping is not None, "it began in the loop"
        while not stopping.is_set():
            if await self._is_done(job):
                self._tended.pop(job, None)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TEND_S):
                    await stopping.wait()

    async def _is_done(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        try:
            return await job()
        except Exception:
            # The outermost frame of this job.
            log.exception("what was to be done later failed")
            return True

    def _call(self, event: asyncio.Event | None) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended.
            if self._loop is not None and event is not None:
                self._loop.call_soon_threadsafe(event.set)

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._keep())

    async def _keep(self) -> None:
        self._stopping, self._wake = asyncio.Event(), asyncio.Event()
        self._is_ready.set()
        jobs = [
            asyncio.create_task(self._upkeep.run(self._stopping)),
            asyncio.create_task(self._control.run(self._stopping)),
            asyncio.create_task(self._bury(self._stopping, self._wake)),
        ]
        await asyncio.gather(*jobs)
        await self._end_orphans()
        for job in list(self._tended):
            await self._tended[job]
            await self._is_done(job)
        with contextlib.suppress(StoreUnavailable):
            await self._upkeep.close_kept()
            await self._upkeep.leave()

    async def _bury(self, stopping: asyncio.Event, wake: asyncio.Event) -> None:
        """End what nobody reads any more, as soon as that is known."""
        stopped = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            waking = asyncio.create_task(wake.wait())
            await asyncio.wait({stopped, waking}, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            wake.clear()
            await self._end_orphans()

    async def _end_orphans(self) -> None:
        while self._orphans:
            try:
                await self._orphans.popleft()
            except BursarError as error:
                log.error("the end of an answer could not be recorded: %s", error.message)
            except Exception:
                # The outermost frame of this job.
                log.exception("the end of an answer failed")
