"""What both doors share between settings and stages: the ledger, its clock, and what was learnt of earlier calls.

Owns the opening of these. The doors differ in how a call waits and who sends it, and in nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.config.settings import Settings
from bursar.core.ledger import ProcessRow
from bursar.core.window import NS
from bursar.failpoints import arm
from bursar.guards.loops.watch import Loops
from bursar.metering.estimate import InputEstimates
from bursar.metering.usual import UsualAnswers
from bursar.metering.warm import CALLS_MOST, learn_from
from bursar.pipeline.in_force import InForce
from bursar.pipeline.ports import Clock
from bursar.pipeline.quote import Quoter
from bursar.pricing.facts import FactsBook
from bursar.processes import process_name
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.wiring.ledger import open_ledger, store_clock
from bursar.wiring.prices import open_facts

__all__ = ["Parts", "UpkeepStore", "open_loops", "open_parts"]

log = logging.getLogger("bursar.engine")

AHEAD_MOST_NS = 60 * NS
"""How far the ledger may be ahead of this machine's clock before that is reported."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One process's part in a ledger, and what it has learnt."""

    ledger: SqliteLedger | MemoryLedger
    clock: Clock
    process: str
    facts: FactsBook
    estimates: InputEstimates
    usuals: UsualAnswers

    def quoter(self, in_force: InForce) -> Quoter:
        """Make what quotes calls on what is in force."""
        return Quoter(self.process, in_force, self.facts, self.estimates, self.usuals, self.clock)


def open_parts(settings: Settings) -> Parts:
    """Open the ledger, be known there as a process that lives, and learn from the latest calls.

    Raises StoreUnavailable.
    """
    arm(settings.failpoint)
    ledger = open_ledger(settings)
    clock = store_clock(ledger.latest_ns())
    ahead_ns = clock() - time.time_ns()
    if ahead_ns > AHEAD_MOST_NS:
        log.error("the ledger is %d s ahead of this clock: windows stand still until then", ahead_ns // NS)
    process = process_name()
    ledger.beat(process, clock())
    estimates, usuals = InputEstimates(), UsualAnswers()
    learn_from(reversed(ledger.latest(CALLS_MOST)), estimates, usuals)
    return Parts(ledger, clock, process, open_facts(settings), estimates, usuals)


def open_loops(settings: Settings) -> Loops | None:
    """Make what remembers runs for the guard `loops`; None where that is off. It must hear of calls that ended."""
    return Loops(settings.guards.loops.settings) if settings.guards.loops else None


@dataclass(frozen=True, slots=True)
class UpkeepStore:
    """The ledger's asynchronous face, with the reads that jobs need."""

    ledger: SqliteLedger | MemoryLedger
    face: ThreadedStore | DirectStore

    async def beat(self, process: str, at_ns: int) -> None:
        await self.face.beat(process, at_ns)

    async def lapse(self, process: str, at_ns: int) -> int:
        return await self.face.lapse(process, at_ns)

    async def processes(self) -> Sequence[ProcessRow]:
        return await self.face.run(self.ledger.processes)
