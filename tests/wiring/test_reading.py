"""Reads beside the writer: off the event loop, in bounded number, and never a write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.config.settings import Settings, StoreKind, StoreSettings
from bursar.errors import StoreUnavailable
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.wiring.reading import READERS_MAX, READS_MAX, Readers


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    ledger = SqliteLedger(tmp_path / "bursar.db")
    made = Readers(Settings(store=StoreSettings(path=tmp_path / "bursar.db")), lambda: ledger)
    yield made
    made.close()
    ledger.close_store()


async def test_a_read_runs_in_another_thread_on_a_connection_of_its_own(readers: Readers) -> None:
    thread, ledger = await readers.run(lambda ledger: (threading.get_ident(), ledger))
    assert thread != threading.get_ident()
    assert isinstance(ledger, SqliteLedger)
    assert await readers.run(lambda ledger: ledger.control_version()) == 0


async def test_a_reader_cannot_write(readers: Readers) -> None:
    with pytest.raises((StoreUnavailable, sqlite3.OperationalError)):
        await readers.run(lambda ledger: ledger.beat("process", 1))


async def test_no_more_reads_wait_than_the_limit_and_those_that_do_are_done(readers: Readers) -> None:
    """Counted until the thread is done, also when nobody waits any more."""
    gate = threading.Event()
    running = [asyncio.create_task(readers.run(lambda _: gate.wait(30))) for _ in range(READS_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await readers.run(lambda _: None)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    with pytest.raises(StoreUnavailable):
        await readers.run(lambda _: None)
    gate.set()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await readers.run(lambda _: 7) == 7
                break
            except StoreUnavailable:
                await asyncio.sleep(0)


async def test_readers_do_not_wait_for_each_other(readers: Readers) -> None:
    together = threading.Barrier(READERS_MAX)
    await asyncio.gather(*(readers.run(lambda _: together.wait(30)) for _ in range(READERS_MAX)))


async def test_a_ledger_in_memory_is_read_itself() -> None:
    ledger = MemoryLedger()
    readers = Readers(Settings(store=StoreSettings(kind=StoreKind.MEMORY)), lambda: ledger)
    assert await readers.run(lambda found: found is ledger)
    assert readers.shared() is ledger
    readers.close()
