"""The asynchronous face: what one operation of a batch does never harms another, and the thread outlives everything."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.kit import call, charge, line, sums

from bursar.core.admission import Balance
from bursar.core.hold import Verb
from bursar.core.ledger import Granted
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.stores import threaded
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.sqlite_pending import Pending, Row
from bursar.stores.threaded import ThreadedStore
from bursar.testing.clock import START_NS


class Torn(Pending):
    """Rows of which one cannot be followed by the rest of its call."""

    def __init__(self, db: sqlite3.Connection, queries: Mapping[str, str], error: Exception) -> None:
        super().__init__(db, queries)
        self._error = error

    def open_hold(self, row: Row) -> None:
        super().open_hold(row)
        self._tear(row)

    def insert_hold(self, row: Row, *, is_new: bool = False) -> None:
        super().insert_hold(row, is_new=is_new)
        self._tear(row)

    def _tear(self, row: Row) -> None:
        if row[0] == "bad":
            raise self._error


class House:
    """A ledger, its face, and a way to make operations wait for each other."""

    def __init__(self, path: Path) -> None:
        self.ledger = SqliteLedger(path, timeout_s=0.05)
        self.store = ThreadedStore(self.ledger)
        self.statements: list[str] = []
        self.ledger.db.set_trace_callback(self.statements.append)

    def break_inserts(self, error: Exception) -> None:
        """Fail a call named `bad` after its own row is written and before its balances are moved."""
        self.ledger.pending = Torn(self.ledger.db, self.ledger.q, error)

    async def together(self, *work: Any) -> list[Any]:
        """Queue all of it before the thread may begin, so that it makes one batch; give what each came to."""
        with self.ledger._lock:
            first = asyncio.ensure_future(self.store.beat("first", START_NS))
            tasks = [asyncio.ensure_future(one) for one in work]
            await asyncio.sleep(0)
            self.statements.clear()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "ledger.db")
    yield opened
    await asyncio.to_thread(opened.store.stop)
    assert opened.ledger.verify() == []
    opened.ledger.close_store()


FAULTS = [HoldConflict("torn"), sqlite3.OperationalError("disk I/O error"), RuntimeError("a bug"), OverflowError("int")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_nothing_of_an_operation_that_fails_in_its_middle_is_committed(house: House, fault: Exception) -> None:
    house.break_inserts(fault)
    work = [house.store.reserve(call(line(limit=100), id=id_)) for id_ in ("a", "bad", "b")]
    first, bad, last = await house.together(*work)
    assert isinstance(first, Granted)
    assert isinstance(last, Granted)
    assert isinstance(bad, type(fault) if isinstance(fault, RuntimeError | OverflowError) else StoreUnavailable)
    assert sums(house.ledger) == {("all", "", "requests"): Balance(held=2)}
    with pytest.raises(NotFound):
        house.ledger.hold("default", "bad")
    after = await house.store.reserve(call(line(limit=100), id="c"))
    assert isinstance(after, Granted), "the thread lives on"
    assert after.balances == (Balance(held=3),), "and remembers nothing of what was undone"


async def test_a_refusal_that_wrote_nothing_leaves_its_batch_alone(house: House) -> None:
    await house.store.reserve(call(line(), id="a"))
    results = await house.together(
        house.store.reserve(call(line(), id="a", tenant="rival")),
        house.store.close("nobody", Verb.SETTLE, START_NS, charge()),
        house.store.close("a", Verb.SETTLE, START_NS, charge()),
        house.store.close("a", Verb.RELEASE, START_NS),
    )
    assert [type(result).__name__ for result in results] == ["HoldConflict", "NotFound", "Closed", "HoldConflict"]
    assert house.statements.count("COMMIT") <= 2, "one transaction for all of them, and one for what came before"
    assert "ROLLBACK" not in house.statements


async def test_a_locked_file_fails_a_batch_after_one_wait_and_recovers(house: House, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    waiting = [house.store.reserve(call(line(limit=100), id=str(number))) for number in range(50)]
    with house.ledger._lock:
        tasks = [asyncio.ensure_future(one) for one in waiting]
        await asyncio.sleep(0)
        other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert house.statements.count("BEGIN IMMEDIATE") <= 2
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(await house.store.reserve(call(line(limit=100), id="0")), Granted)


async def test_what_a_cancelled_caller_asked_for_happens_all_the_same(house: House) -> None:
    with house.ledger._lock:
        task = asyncio.ensure_future(house.store.reserve(call(line(), id="a")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    closed = await house.store.close("a", Verb.RELEASE, START_NS)
    assert closed.is_change


async def test_operations_happen_in_the_order_in_which_they_were_asked_for(house: House) -> None:
    results = await house.together(
        house.store.reserve(call(line(limit=1), id="a")),
        house.store.reserve(call(line(limit=1), id="b")),
        house.store.close("a", Verb.RELEASE, START_NS),
        house.store.reserve(call(line(limit=1), id="b")),
    )
    assert [type(result).__name__ for result in results] == ["Granted", "Refused", "Closed", "Granted"]


async def test_a_stopped_store_says_so_at_once(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    store = ThreadedStore(ledger)
    queued = [asyncio.ensure_future(store.reserve(call(line(limit=1000), id=str(n)))) for n in range(300)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.stop)
    assert all(isinstance(one, Granted) for one in await asyncio.gather(*queued)), "what was queued is done"
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.reserve(call(line()))
    await asyncio.to_thread(store.stop)
    ledger.close_store()


async def test_a_full_queue_is_refused_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threaded, "QUEUE_MAX", 3)
    with house.ledger._lock:
        tasks = [asyncio.ensure_future(house.store.beat(str(n), START_NS)) for n in range(8)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, StoreUnavailable) for result in results) >= 4
    assert results[0] is None


def test_a_loop_that_is_gone_does_not_end_the_thread(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    store = ThreadedStore(ledger)

    async def ask_and_leave() -> None:
        task = asyncio.ensure_future(store.reserve(call(line(), id="a")))
        await asyncio.sleep(0)
        task.cancel()

    with ledger._lock:
        asyncio.run(ask_and_leave())
    again = asyncio.run(store.close("a", Verb.RELEASE, START_NS))
    assert again.is_change
    store.stop()
    ledger.close_store()


def test_one_store_serves_many_loops(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    store = ThreadedStore(ledger)

    async def some(name: int) -> int:
        calls = (store.reserve(call(line(limit=30), id=f"{name}-{n}")) for n in range(20))
        return sum(isinstance(answer, Granted) for answer in await asyncio.gather(*calls))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda name: asyncio.run(some(name)), range(4))) == 30
    store.stop()
    ledger.close_store()
