"""A process that was killed leaves open holds: they become presumed exactly once, and a late truth is welcome."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.conformance.kit import call, charge, line
from tests.race.crowd import child

from bursar.core.hold import State, Verb
from bursar.core.ledger import ProcessRow
from bursar.jobs.upkeep import Upkeep
from bursar.processes import process_name
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import ThreadedStore
from bursar.testing.clock import START_NS, FixedClock

pytestmark = pytest.mark.slow


class Store(ThreadedStore):
    """A store as upkeep sees it."""

    def __init__(self, ledger: SqliteLedger) -> None:
        super().__init__(ledger)
        self.ledger = ledger

    async def processes(self) -> list[ProcessRow]:
        return list(await self.run(self.ledger.processes))


def upkeep(store: Store, name: str, clock: FixedClock) -> Upkeep:
    async def nothing_kept() -> int:
        return 0

    return Upkeep(store, name, clock, nothing_kept, heartbeat_s=5, lapse_s=30)


def leave_open_holds(path: Path, name: str) -> list[str]:
    """Let a process be killed in the middle of its calls; give the ids that are open."""
    process = child("tests.crash.worker", path, name, "direct", "in_commit:20")
    output, _ = process.communicate(timeout=60)
    assert process.returncode < 0
    ledger = SqliteLedger(path)
    ids = [row.id for row in ledger.holds("default", (State.OPEN,), 1000)]
    assert ids
    assert all(f"reserved {id_}\n" in output for id_ in ids)
    ledger.close_store()
    return ids


async def test_open_holds_of_a_killed_process_are_presumed_once_by_whoever_looks_first(tmp_path: Path) -> None:
    path, clock = tmp_path / "ledger.db", FixedClock()
    # A name as it would have on this machine; no process has this number.
    dead = ":".join([process_name().rpartition(":")[0].rpartition(":")[0], "4194999", "1"])
    ids = leave_open_holds(path, dead)
    ledgers = [SqliteLedger(path) for _ in range(3)]
    stores = [Store(ledger) for ledger in ledgers]
    await asyncio.gather(*(upkeep(store, f"alive-{n}", clock).once() for n, store in enumerate(stores)))
    first = ledgers[0]
    assert sorted(row.id for row in first.holds("default", (State.PRESUMED,), 1000)) == sorted(ids)
    assert first.verify() == []
    entries = first.db.execute("SELECT hold_id, count(*) FROM entry WHERE book = 'presumed' GROUP BY 1").fetchall()
    assert sorted(entries) == sorted((id_, 1) for id_ in ids)

    closed = first.close(ids[0], Verb.SETTLE, START_NS, charge(3))
    assert (closed.state, closed.is_change) == (State.SETTLED, True)
    assert first.verify() == []
    for store, ledger in zip(stores, ledgers, strict=True):
        await asyncio.to_thread(store.stop)
        ledger.close_store()


async def test_a_process_elsewhere_lapses_only_when_its_heartbeat_does(tmp_path: Path) -> None:
    ledger, clock = SqliteLedger(tmp_path / "ledger.db"), FixedClock()
    store = Store(ledger)
    ledger.beat("elsewhere/1:2:3", clock())
    ledger.reserve(call(line(), id="a", process="elsewhere/1:2:3"))
    mine = upkeep(store, "me", clock)
    clock.advance(seconds=30)
    await mine.once()
    assert ledger.hold("default", "a").state is State.OPEN
    clock.advance(ns=1)
    await mine.once()
    assert ledger.hold("default", "a").state is State.PRESUMED
    assert [row.id for row in ledger.processes()] == ["me"]
    await asyncio.to_thread(store.stop)
    ledger.close_store()
