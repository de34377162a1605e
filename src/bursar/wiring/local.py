"""Everything behind the library's door, from settings: the same parts and stages as the gateway's, and no server.

Owns the ways in which a call, and whatever else costs something, can be held inside somebody else's process. What is
done beside them stands in `keeper.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from bursar.actions.runs import checked_outcome, checked_reason
from bursar.config.settings import Durability, Settings
from bursar.core.admission import Balance, Line
from bursar.core.budget import Budget
from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.labels import Labels
from bursar.core.ledger import Granted, Note, Refused, Reservation, SpendQuery, SpendRow
from bursar.core.provider import Provider
from bursar.core.run import RunChange, RunRow, RunVerb
from bursar.errors import StoreUnavailable
from bursar.guards.board import RunBoard
from bursar.guards.loops.watch import Loops
from bursar.guards.tools import Tools
from bursar.jobs.upkeep import Upkeep
from bursar.pipeline.account import Account, Accounts
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.call import Call, Reply, Stage
from bursar.pipeline.hold import HoldStage
from bursar.pipeline.patience import AsyncioPatience, PlainPatience
from bursar.pipeline.ports import Clock, Waiting
from bursar.pipeline.quote import Quote, Quoter
from bursar.pipeline.shortened import OnShort
from bursar.pipeline.stages import StageParts, chained, stages
from bursar.pipeline.turns import ThreadTurn
from bursar.pipeline.unclosed import Unclosed
from bursar.pipeline.waiting import Queues, WaitingRoom
from bursar.stores.joined import InlineStore, JoinedStore
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.telemetry.outbox import Outbox
from bursar.telemetry.record import Observer
from bursar.upstream.choice import ProviderChoice
from bursar.wire.base import Refusal
from bursar.wiring.behind import AccountsBehind, QuietAccounts
from bursar.wiring.control import LiveControl
from bursar.wiring.driving import Way, drive
from bursar.wiring.ending import Ending
from bursar.wiring.events import open_events
from bursar.wiring.handed import Handed, handed
from bursar.wiring.keeper import Keeper
from bursar.wiring.ledger import TENANT
from bursar.wiring.parts import Parts, UpkeepStore, open_loops, open_parts
from bursar.wiring.retarget import Retarget
from bursar.wiring.runs import StoredRuns
from bursar.wiring.unwritten import Unwritten
from bursar.wiring.wires import Wires

__all__ = ["TENANT", "LocalEngine"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Ports:
    """What the stages run over in one way of driving."""

    accounts: Accounts
    written: Accounts
    """The same, but for what may be written behind the program's back."""
    waiting: Waiting
    way: Callable[[Call], Coroutine[Any, Any, Reply]]
    """Through all stages; each call brings its own way to the provider along."""
    face: ThreadedStore | DirectStore


def _to_run(run: Handed) -> OnShort | None:
    """Let the run inside which this process is hear of answers that were ended; None without one."""

    def tell(call: Call, refusal: Refusal, share_ns: int) -> None:
        run.tell_short(refusal.message, refusal.budget, call.budgets, share_ns)

    return tell if run.pipes else None


async def _block(seconds: float) -> None:
    """Pause where nobody else runs in this thread."""
    time.sleep(seconds)  # noqa: ASYNC251 - it is driven without a loop


@dataclass
class LocalEngine:
    """One process's engine. Make it, `start` it, `handle` calls from any thread or loop, `stop` it."""

    settings: Settings
    is_behind: bool = True
    """What calls came to is written behind the program's back; else before it has its answer."""
    addresses: dict[tuple[str, str], Provider] = field(default_factory=dict)
    """By base URL and wire: whose prices count there, as far as it was asked."""
    tools: Tools = field(default_factory=Tools)
    """How many tools of its own the program has used in each run."""
    wires: Wires = field(init=False)
    choice: ProviderChoice = field(init=False)
    control: LiveControl = field(init=False)
    clock: Clock = field(init=False)
    _parts: Parts = field(init=False)
    _face: InlineStore | DirectStore = field(init=False)
    """How the engine's own thread, and asyncio's loops, reach the ledger."""
    _quoter: Quoter = field(init=False)
    _ports: dict[Way, _Ports] = field(init=False)
    _keeper: Keeper = field(init=False)
    _unwritten: Unwritten = field(init=False)
    _events: Outbox | None = field(init=False)

    def start(self) -> None:
        """Open the ledger, begin the budgets, start the thread. Raises StoreUnavailable and UsageError."""
        settings = self.settings
        self.wires, self.choice = Wires(settings.limits.body_bytes_max), ProviderChoice(settings.providers)
        self._events = open_events(settings.telemetry.otlp)
        parts = self._parts = open_parts(settings)
        ledger, self.clock = parts.ledger, parts.clock
        # A commit that waits for the disk is nothing for an event loop.
        is_quick = settings.store.durability is not Durability.POWER
        # The rungs of a ladder are stepped on by what has been spent, not by what there is room for.
        is_ahead = not settings.guards.is_early
        self._face = (
            InlineStore(ledger, is_inline=is_quick, is_ahead=is_ahead)
            if isinstance(ledger, SqliteLedger)
            else DirectStore(ledger)
        )
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
            self._ports[Way.ASYNCIO].written.close_kept,
            settings.limits.heartbeat_s,
            settings.limits.lapse_s,
        )
        self._keeper = Keeper(upkeep, self.control)
        self._keeper.start()

    def _open_ports(self) -> dict[Way, _Ports]:
        """Make the ways of driving; they share one order of waiting, and what could not be closed."""
        limits, parts, queues = self.settings.limits, self._parts, Queues()
        held: dict[str, Account] = {}
        board, loops = RunBoard(), open_loops(self.settings)
        heard: tuple[Observer | None, ...] = (self._events, loops)
        observers = tuple(each for each in heard if each is not None)
        unclosed = self._unwritten = Unwritten(self.settings)
        on_short = _to_run(handed())

        learnt = (parts.facts, parts.clock)
        queue = self._face
        direct = JoinedStore(queue) if isinstance(queue, InlineStore) else queue

        def ports(face: ThreadedStore | DirectStore, waiting: Waiting, way: Way) -> _Ports:
            known = (face, waiting, *learnt, observers, held, unclosed, board, on_short)
            accounts = written = QuietAccounts(*known)
            if self.is_behind and isinstance(queue, InlineStore):
                accounts = AccountsBehind(*known, queue=queue)
            patience = AsyncioPatience() if way is Way.ASYNCIO else PlainPatience()
            hold = HoldStage(self._quoter, accounts, waiting, None, limits.answer_bytes_max, patience)
            before = self._stages(face, way, board, loops)
            return _Ports(accounts, written, waiting, chained(before, hold), face)

        wait_s, most = limits.hold_wait_s, limits.waiting_max
        return {
            Way.BLOCKING: ports(direct, WaitingRoom(wait_s, most, ThreadTurn, queues), Way.BLOCKING),
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

    def handle(self, call: Call, way: Way) -> Coroutine[Any, Any, Reply]:
        """Run a call through the stages, and send it by its own client; begun when it is awaited."""
        return self._ports[way].way(call)

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

    async def admit(self, asked: Reservation, way: Way) -> Granted | Refused:
        """Hold as a call is held: while the money is only in flight it waits its turn. Raises StoreUnavailable."""
        ports = self._ports[way]
        return await ports.waiting.admit(asked.lines, partial(ports.accounts.store.reserve, asked), lambda: False)

    async def settle(self, asked: Reservation, charge: Charge | None, way: Way, note: Note | None = None) -> None:
        """End such a hold with what it came to; None releases it. What the ledger cannot take now is kept for later."""
        ports = self._ports[way]
        verb = Verb.RELEASE if charge is None else Verb.SETTLE
        try:
            # Written before anybody goes on: carving counts on the order.
            await ports.written.close(Unclosed(asked, verb, self.clock(), charge, note or Note()))
        finally:
            ports.waiting.freed(asked.lines)

    async def balance(self, line: Line, way: Way) -> Balance:
        """Read one line. Raises StoreUnavailable."""
        return await self._ports[way].face.run(partial(self._parts.ledger.balance, TENANT, line))

    async def run_row(self, run: str, way: Way) -> RunRow | None:
        """Read how a run stands; None when no guard has seen it. Raises StoreUnavailable."""
        return await StoredRuns(self._parts.ledger, self._ports[way].face).row(TENANT, run)

    def finish(self, run: str, outcome: str, reason: str, begins_ns: int) -> None:
        """Record how a run ended. Raises UsageError and StoreUnavailable."""
        checked_outcome(outcome)
        at_ns = self.clock()
        change = RunChange(
            RunVerb.FINISH, at_ns, reason=checked_reason(reason), outcome=outcome, begins_ns=min(begins_ns, at_ns)
        )
        self.catch_up()
        self._parts.ledger.change_run(TENANT, run, change)

    def budgets(self, labels: Labels, brought: Sequence[Budget]) -> tuple[Budget, ...]:
        """Give the budgets that count what has these labels: those in force, and those that it brings along."""
        return (*self.control.in_force.budgets.matching(TENANT, labels), *brought)

    def lines(self, budgets: Sequence[Budget], labels: Labels) -> tuple[Line, ...]:
        """Give the lines of budgets at this moment."""
        return self.control.in_force.budgets.lines(budgets, labels, self.clock())

    def quote(self, call: Call) -> Quote | Refusal:
        """Say what a call may cost, and hold nothing."""
        return self._quoter.quote(call)

    def paused(self, labels: Labels) -> Refusal | None:
        """Refuse what somebody paused; None when nobody did."""
        return self.control.in_force.stopped(TENANT, labels)

    @property
    def link(self) -> str:
        """Where people ask for more."""
        return self.control.in_force.link

    def tend(self, job: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Let the engine's own thread do a job again and again until it says that it is done."""
        self._keeper.tend(job)

    # --- what can be read ---------------------------------------------------------------------------------------------

    @cached_property
    def known_addresses(self) -> frozenset[str]:
        """The base URLs of the providers that are configured."""
        return frozenset(provider.base_url.rstrip("/").lower() for provider in self.settings.providers)

    @property
    def is_shareable(self) -> bool:
        """Tell whether other processes can count in the same ledger."""
        return not isinstance(self._parts.ledger, MemoryLedger)

    def balances(self, budget: Budget) -> Sequence[tuple[Line, Balance]]:
        """Read what counts against a budget that is not split. Raises StoreUnavailable."""
        lines = Budgets(()).lines((budget,), Labels({}), self.clock())
        self.catch_up()
        return [(line, self._parts.ledger.balance(budget.tenant, line)) for line in lines]

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        """Sum calls by their labels. Raises StoreUnavailable."""
        self.catch_up()
        return self._parts.ledger.spend(query)

    def catch_up(self) -> None:
        """Let the ledger have all that calls came to so far."""
        if isinstance(self._face, InlineStore):
            self._face.catch_up()
        kept = self._ports[Way.BLOCKING].written
        if kept.unclosed:
            drive(kept.close_kept())

    def adopt(self, ending: Coroutine[Any, Any, None]) -> None:
        """Take over the end of an answer that nobody reads any more. Safe at any moment, also inside a `__del__`."""
        self._keeper.adopt(ending)

    def let_go(self) -> None:
        """Keep the ledger shut while this process is copied; `take_up` opens it again in the parent."""
        (self._face if isinstance(self._face, InlineStore) else self._parts.ledger).let_go()

    def take_up(self) -> None:
        """Open the ledger again. Raises StoreUnavailable."""
        (self._face if isinstance(self._face, InlineStore) else self._parts.ledger).take_up()

    def stop(self) -> None:
        """End the thread and let go of the file; what is still open is presumed, until its own truth comes."""
        self._keeper.stop()
        if isinstance(self._face, ThreadedStore):
            self._face.stop()
        ledger = self._parts.ledger
        with contextlib.suppress(StoreUnavailable):
            while ledger.lapse(self.process, self.clock()):
                """What was held since the thread has left the ledger."""
        ledger.close_store()
        self._unwritten.end(self._ports[Way.BLOCKING].written)
        if self._events is not None:
            self._events.stop()
