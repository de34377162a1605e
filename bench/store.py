"""Measure what a hold and its settle cost in each store, beside what the file itself costs.

    python bench/store.py [--pairs 3000] [--rounds 5] [--only pairs,processes,growth] [--entries 10000,100000,1000000]

A pair is one call over five budgets: reserve, then settle. Sync is the bare ledger in one thread; threaded is
`ThreadedStore` from one event loop, with 1 and with 64 callers at once (then a pair's figure is the elapsed time
divided by the pairs: throughput, not latency). The yardstick is a bare loop of BEGIN IMMEDIATE, INSERT of 200 bytes,
COMMIT on a WAL file of its own, measured in between. Rounds are interleaved; each figure is the median over rounds of a
round's median.

Then: pairs a second of one process and of four on one file, each with 16 callers at once; and pairs on ledgers that
have grown (`--entries`; 10^7 takes 8 GB and minutes), with the bytes that a call takes in the file.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parent))

from growth import tell_growth

from bursar.core.admission import Ask, Cover, Line
from bursar.core.budget import Unit
from bursar.core.charge import Amounts, Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Note, Reservation
from bursar.ids import new_id
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import ThreadedStore

DAY_NS = 86_400_000_000_000
AT_NS = 20_454 * DAY_NS
UNITS = (Unit.USD, Unit.USD, Unit.TOKENS, Unit.REQUESTS, Unit.USD)
LINES = tuple(
    Line(
        f"budget-{n}",
        f'["budget-{n}",[],["user"],["day","UTC",0,0,""]]',
        "user=ada",
        AT_NS,
        AT_NS + DAY_NS,
        unit,
        2**52,
    )
    for n, unit in enumerate(UNITS)
)
LABELS = {
    "agent": "coder",
    "task": "issue-4711",
    "run": "r-9f86d081884c7d65",
    "user": "ada@example.com",
    "team": "search",
    "key": "k-search",
    "provider": "openai",
    "model": "gpt-5",
    "wire": "openai.chat",
}
CHARGE = Charge(Amounts(12_345_678, 18_000, 12_000, 0, 900, 400, 1), price="genai-prices 0.2.3")
NOTE = Note(4_000, 9_000, 60_000, 800, 200, "complete", 4_200, 8_192, "9f86d081884c7d65")
numbers = itertools.count()
PARTS = ("pairs", "processes", "growth")
PROCESSES = 4
CALLERS = 16
AFTER_ALL = 20_000_000
"""Milliseconds after the first call: later than the last call of any grown ledger."""


def reservation() -> Reservation:
    at_ns = AT_NS + next(numbers) * 1_000_000
    cover, ask = Cover(45_000_000, 10_000, 20_000), Ask(4_096, 8_192)
    return Reservation(new_id(at_ns), "default", "host/4026531836:4242:123456", at_ns, LABELS, cover, ask, LINES)


def sync(ledger: Any, pairs: int) -> float:
    return statistics.median(sync_times(ledger, pairs))


def sync_times(ledger: Any, pairs: int) -> list[float]:
    times = []
    for asked in [reservation() for _ in range(pairs)]:
        began = time.perf_counter()
        ledger.reserve(asked)
        ledger.close(asked.id, Verb.SETTLE, asked.at_ns, CHARGE, NOTE)
        times.append(time.perf_counter() - began)
    return times


def threaded(ledger: Any, pairs: int, callers: int) -> float:
    store = ThreadedStore(ledger)
    asked = [reservation() for _ in range(pairs)]
    times: list[float] = []

    async def caller(mine: list[Reservation]) -> None:
        for one in mine:
            began = time.perf_counter()
            await store.reserve(one)
            await store.close(one.id, Verb.SETTLE, one.at_ns, CHARGE, NOTE)
            times.append(time.perf_counter() - began)

    async def crowd() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(caller(asked[who::callers]) for who in range(callers)))
        return (time.perf_counter() - began) / pairs

    elapsed = asyncio.run(crowd())
    store.stop()
    return statistics.median(times) if callers == 1 else elapsed


def bare(folder: Path, pairs: int) -> float:
    db = sqlite3.connect(folder / f"bare-{next(numbers)}.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "CREATE TABLE t (row TEXT) STRICT"):
        db.execute(statement)
    times = []
    for _ in range(pairs):
        began = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (?)", ("x" * 200,))
        db.execute("COMMIT")
        times.append(time.perf_counter() - began)
    db.close()
    return statistics.median(times)


def bytes_per_call(path: Path) -> float:
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (calls,) = db.execute("SELECT count(*) FROM hold").fetchone()
    db.close()
    return float(path.stat().st_size / calls)


# --- several processes on one file ------------------------------------------------------------------------------------


def hammer(path: Path, seconds: float, ready: Any, done: Any) -> None:
    """Be one process: pairs from many callers at once for a time; tells how many, and how long it took."""
    store = ThreadedStore(SqliteLedger(path, timeout_s=30))
    count = 0

    async def caller(ends: float) -> None:
        nonlocal count
        while time.perf_counter() < ends:
            one = reservation()
            await store.reserve(one)
            await store.close(one.id, Verb.SETTLE, one.at_ns, CHARGE, NOTE)
            count += 1

    async def crowd() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(caller(began + seconds) for _ in range(CALLERS)))
        return time.perf_counter() - began

    ready.wait()
    elapsed = asyncio.run(crowd())
    store.stop()
    done.put((count, elapsed))


def pairs_per_s(path: Path, processes: int, seconds: float) -> float:
    """Let so many processes write at once; gives the pairs of all of them a second."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=hammer, args=(path, seconds, ready, done)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    found: list[tuple[int, float]] = [done.get(timeout=seconds + 120) for _ in workers]
    for worker in workers:
        worker.join()
    return sum(count for count, _ in found) / max(elapsed for _, elapsed in found)


def tell_processes(folder: Path, rounds: int, seconds: float) -> None:
    found: dict[int, list[float]] = {1: [], PROCESSES: []}
    for number in range(rounds):
        for processes, rates in found.items():
            rates.append(pairs_per_s(folder / f"shared-{processes}-{number}.db", processes, seconds))
    print(f"\n{'pairs a second, ' + str(CALLERS) + ' callers in each process':50}{'median':>8}{'least':>8}{'most':>8}")
    for processes, rates in found.items():
        name = f"{processes} process{'es on one file' if processes > 1 else ''}"
        print(f"{name:50}{statistics.median(rates):8.0f}{min(rates):8.0f}{max(rates):8.0f}")


# --- all --------------------------------------------------------------------------------------------------------------


def tell_pairs(folder: Path, pairs: int, rounds: int) -> None:
    path = folder / "ledger.db"
    ledger, memory = SqliteLedger(path), MemoryLedger()
    variants: Mapping[str, Callable[[], float]] = {
        "bare commit": lambda: bare(folder, pairs),
        "memory, sync": lambda: sync(memory, pairs),
        "sqlite, sync": lambda: sync(ledger, pairs),
        "sqlite, threaded, 1 caller": lambda: threaded(ledger, pairs, 1),
        "sqlite, threaded, 64 callers": lambda: threaded(ledger, pairs, 64),
    }
    found: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, measure in variants.items():
            found[variant].append(measure() * 1e6)
    ledger.close_store()
    yardstick = statistics.median(found["bare commit"])
    print(f"{'hold + settle over five budgets':32}{'µs':>8}{'least':>8}{'most':>8}{'× bare':>8}")
    for variant, times in found.items():
        middle = statistics.median(times)
        print(f"{variant:32}{middle:8.0f}{min(times):8.0f}{max(times):8.0f}{middle / yardstick:8.1f}")
    print(f"bytes per call in the file, indexes included: {bytes_per_call(path):.0f}")


def grow(folder: Path, sizes: list[int], pairs: int, rounds: int) -> None:
    global numbers  # noqa: PLW0603 - one clock for all ledgers of this run
    numbers = itertools.count(AFTER_ALL)

    def first(ledger: SqliteLedger) -> None:
        asked = replace(reservation(), at_ns=AT_NS, id=new_id(AT_NS))
        ledger.reserve(asked)
        ledger.close(asked.id, Verb.SETTLE, AT_NS, CHARGE, NOTE)

    tell_growth(folder, sizes, rounds, first, lambda ledger: sync_times(ledger, pairs))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--pairs", type=int, default=3_000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=3, help="of each burst of several processes")
    words.add_argument("--entries", default="10000,100000,1000000", help="sizes of grown ledgers, the smallest first")
    words.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    asked = words.parse_args()
    parts = asked.only.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "pairs" in parts:
            tell_pairs(folder, asked.pairs, asked.rounds)
        if "processes" in parts:
            tell_processes(folder, asked.rounds, asked.seconds)
        if "growth" in parts:
            grow(folder, [int(size) for size in asked.entries.split(",")], asked.pairs, asked.rounds)


if __name__ == "__main__":
    main()
