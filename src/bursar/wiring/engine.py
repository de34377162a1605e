"""Everything between the doors, from settings: store, prices, stages, jobs, and their start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

from bursar.config.settings import Settings
from bursar.errors import StoreUnavailable
from bursar.guards.board import RunBoard
from bursar.guards.loops.watch import Loops
from bursar.jobs.upkeep import Upkeep
from bursar.pipeline.account import Accounts
from bursar.pipeline.call import Call, Next, Reply
from bursar.pipeline.hold import HoldStage
from bursar.pipeline.ports import Clock
from bursar.pipeline.shortened import OnShort
from bursar.pipeline.stages import StageParts, chained, stages
from bursar.pipeline.waiting import WaitingRoom
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.upstream.choice import ProviderChoice
from bursar.upstream.http import HttpUpstream
from bursar.wiring.control import LiveControl
from bursar.wiring.ending import Ending
from bursar.wiring.parts import UpkeepStore, open_loops, open_parts
from bursar.wiring.retarget import Retarget
from bursar.wiring.runs import StoredRuns
from bursar.wiring.telemetry import Scraper, open_telemetry
from bursar.wiring.wires import Wires

__all__ = ["Engine"]

log = logging.getLogger("bursar.engine")


@dataclass(slots=True)
class Engine:
    """Everything between the doors: parse with one of `wires`, choose with `choice`, then `handle` the call."""

    settings: Settings
    on_short: OnShort | None = None
    wires: Wires = field(init=False)
    choice: ProviderChoice = field(init=False)
    upstream: HttpUpstream = field(init=False)
    ledger: SqliteLedger | MemoryLedger = field(init=False)
    clock: Clock = field(init=False)
    control: LiveControl = field(init=False)
    scraper: Scraper = field(init=False)
    _stage: HoldStage = field(init=False)
    _way: Next = field(init=False)
    _upkeep: Upkeep = field(init=False)
    _accounts: Accounts = field(init=False)
    _face: ThreadedStore | DirectStore = field(init=False)
    _stopping: asyncio.Event = field(init=False)
    _jobs: tuple[asyncio.Task[None], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.wires = Wires(self.settings.limits.body_bytes_max)

    @property
    def store(self) -> ThreadedStore | DirectStore:
        """The ledger's asynchronous face."""
        return self._face

    async def start(self) -> None:
        """Open the ledger, begin the budgets, start the jobs. Raises StoreUnavailable."""
        settings, limits = self.settings, self.settings.limits
        telemetry = open_telemetry(settings)
        parts = open_parts(settings)
        ledger, process = parts.ledger, parts.process
        self.ledger, self.clock = ledger, parts.clock
        self._face = ThreadedStore(ledger) if isinstance(ledger, SqliteLedger) else DirectStore(ledger)
        self.control = LiveControl(settings, ledger, self._face, self.clock)
        self.control.start()
        in_force = self.control.in_force
        waiting = WaitingRoom(limits.hold_wait_s, limits.waiting_max)
        self.choice = ProviderChoice(settings.providers)
        self.upstream = HttpUpstream(limits.connections_max)
        await self.upstream.start()
        loops = open_loops(settings)
        observers = (*telemetry.observers, *((loops,) if loops else ()))
        board = RunBoard()
        accounts = self._accounts = Accounts(
            self._face, waiting, parts.facts, self.clock, observers, board=board, on_short=self.on_short
        )
        self.scraper = Scraper(
            telemetry,
            accounts,
            waiting,
            lambda: in_force.budgets.all,
            ledger,
            self._face,
            process,
            settings.store.timeout_s,
        )
        quoter = parts.quoter(in_force)
        self._stage = HoldStage(quoter, accounts, waiting, self.upstream, limits.answer_bytes_max)
        self.control.on_change = Ending(accounts, in_force, ledger, self._face)
        self._way = chained(stages(self._parts(accounts, loops)), self._hold)
        self._upkeep = Upkeep(
            UpkeepStore(ledger, self._face),
            process,
            self.clock,
            accounts.close_kept,
            limits.heartbeat_s,
            limits.lapse_s,
        )
        self._stopping = asyncio.Event()
        self._jobs = (
            asyncio.create_task(self._upkeep.run(self._stopping)),
            asyncio.create_task(self.control.run(self._stopping)),
        )

    def _parts(self, accounts: Accounts, loops: Loops | None) -> StageParts:
        in_force = self.control.in_force
        return StageParts(
            guards=self.settings.guards,
            runs=StoredRuns(self.ledger, self._face),
            clock=self.clock,
            board=accounts.board,
            is_run_counted=lambda: in_force.budgets.has_runs,
            retarget=Retarget(self.choice, self.wires),
            loops=loops,
        )

    async def stop(self) -> None:
        """Stop the jobs and let go of connections and file; what is still open is presumed."""
        self._stopping.set()
        await asyncio.gather(*self._jobs)
        await self._accounts.close_kept()
        for lost in self._accounts.unclosed:
            cost = lost.charge.amounts.cost_nano if lost.charge else 0
            log.error("call %s could not be recorded: %s, %d nano-USD", lost.asked.id, lost.verb, cost)
        with contextlib.suppress(StoreUnavailable):
            await self._upkeep.leave()
        await self.upstream.stop()
        await self.scraper.telemetry.stop()
        if isinstance(self._face, ThreadedStore):
            await asyncio.get_running_loop().run_in_executor(None, self._face.stop)
        self.ledger.close_store()

    async def handle(self, call: Call) -> Reply:
        """Run a call through the stages."""
        return await self._way(call)

    async def _hold(self, call: Call) -> Reply:
        return await self._stage(call)
