"""Many at once in one process: tasks of one loop, threads on one ledger. The numbers are exact, whoever wins."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.kit import call, charge, cost, line, sums

from bursar.core.admission import Balance
from bursar.core.budget import Unit
from bursar.core.hold import Verb
from bursar.core.ledger import Granted, Refused
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.testing.clock import START_NS

THREADS = 100


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    opened = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger.db")
    yield opened
    assert opened.verify() == []
    opened.close_store()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        ledger: Any = MemoryLedger()
        face: Any = DirectStore(ledger)
    else:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        face = ThreadedStore(ledger)
    face.ledger = ledger
    yield face
    if isinstance(face, ThreadedStore):
        face.stop()
    assert ledger.verify() == []
    ledger.close_store()


def all_at_once(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """Run `work` in that many threads that start at the same moment."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


async def test_of_a_thousand_tasks_exactly_a_hundred_are_admitted(store: Any) -> None:
    """R01"""
    answers = await asyncio.gather(*(store.reserve(call(line(limit=100))) for _ in range(1_000)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 100
    assert sums(store.ledger)["all", "", "requests"] == Balance(held=100)


def test_of_a_hundred_threads_exactly_so_many_are_admitted_as_the_limit_says(ledger: Any) -> None:
    """R01"""
    answers = all_at_once(lambda number: ledger.reserve(call(line(limit=37), id=str(number))))
    assert sum(isinstance(answer, Granted) for answer in answers) == 37
    assert sums(ledger)["all", "", "requests"] == Balance(held=37)


async def test_with_random_sizes_the_limit_holds_and_no_refused_call_would_still_fit(store: Any) -> None:
    """R02"""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    sizes = [random.Random(seed + number).randint(1, 500) for number in range(400)]
    usd = line("usd", 20_000, Unit.USD)
    answers = await asyncio.gather(*(store.reserve(call(usd, cover=cost(size))) for size in sizes))
    admitted = sum(size for size, answer in zip(sizes, answers, strict=True) if isinstance(answer, Granted))
    refused = [size for size, answer in zip(sizes, answers, strict=True) if isinstance(answer, Refused)]
    assert admitted <= 20_000
    assert sums(store.ledger)["usd", "", "usd"] == Balance(held=admitted)
    assert not refused or admitted + min(refused) > 20_000, "P2"


def test_scopes_in_opposite_order_never_lock_and_never_hold_in_part(ledger: Any) -> None:
    """R04"""
    one, two = line("one", 30), line("two", 30)

    def work(number: int) -> int:
        done = 0
        for turn in range(100):
            lines = (one, two) if (number + turn) % 2 else (two, one)
            asked = call(*lines, id=f"{number}-{turn}")
            if isinstance(ledger.reserve(asked), Granted):
                ledger.close(asked.id, Verb.RELEASE, START_NS)
                done += 1
        return done

    assert sum(all_at_once(work, 20)) > 0
    assert set(sums(ledger).values()) == {Balance()}


def test_of_many_threads_with_the_same_id_all_get_the_one_hold(ledger: Any) -> None:
    answers = all_at_once(lambda _: ledger.reserve(call(line(limit=1), id="a")))
    assert all(isinstance(answer, Granted) for answer in answers)
    assert sums(ledger)["all", "", "requests"] == Balance(held=1)


def test_a_hold_that_all_close_at_once_is_closed_once(ledger: Any) -> None:
    ledger.reserve(call(line(limit=1), id="a"))
    closed = all_at_once(lambda _: ledger.close("a", Verb.SETTLE, START_NS, charge()))
    assert sum(one.is_change for one in closed) == 1
    assert sums(ledger)["all", "", "requests"] == Balance(settled=1)


def test_a_run_of_two_hundred_agents_stays_within_run_agent_and_all_at_once(ledger: Any) -> None:
    """R57"""
    everyone, run = line("all", 9_000, Unit.USD), line("run", 5_000, Unit.USD, scope="run=r")

    def work(number: int) -> int:
        agent = line("agent", 60, Unit.USD, scope=f"agent=a{number}")
        spent = 0
        for turn in range(5):
            asked = call(everyone, run, agent, id=f"{number}-{turn}", cover=cost(20))
            if isinstance(ledger.reserve(asked), Granted):
                ledger.close(asked.id, Verb.SETTLE, START_NS, charge(15))
                spent += 15
        return spent

    with ThreadPoolExecutor(20) as pool:
        spent = list(pool.map(work, range(200)))
    kept = sums(ledger)
    assert kept["all", "", "usd"] == kept["run", "run=r", "usd"] == Balance(settled=sum(spent))
    assert 4_980 < sum(spent) <= 5_000
    assert max(spent) <= 60


def test_with_ten_thousand_open_holds_admission_and_lapsing_are_right(ledger: Any) -> None:
    """R58"""
    for number in range(10_000):
        ledger.reserve(call(line(limit=10_001), id=f"{number:05}", process="dead"))
    assert isinstance(ledger.reserve(call(line(limit=10_001), id="last")), Granted)
    assert isinstance(ledger.reserve(call(line(limit=10_001), id="beyond")), Refused)
    lapsed = all_at_once(lambda _: sum(iter(lambda: ledger.lapse("dead", START_NS), 0)), 5)
    assert sum(lapsed) == 10_000, "each once"
    assert sums(ledger)["all", "", "requests"] == Balance(presumed=10_000, held=1)
    assert [row.id for row in ledger.processes()] == ["here"]
