"""What runs beside the calls: it beats, presumes what dead processes left, retries closes, and survives a bad round."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bursar.core.ledger import ProcessRow
from bursar.errors import StoreUnavailable
from bursar.jobs.upkeep import Upkeep
from bursar.processes import process_name
from bursar.testing import FixedClock

ME = "me/1:1:1"
S = 1_000_000_000


class Book:
    """Beats and open holds, as a store keeps them."""

    def __init__(self) -> None:
        self.beats: dict[str, int] = {}
        self.holds: dict[str, int] = {}
        self.lapsed: list[str] = []
        self.fails: BaseException | None = None
        self.rounds = 0

    async def beat(self, process: str, at_ns: int) -> None:
        self.rounds += 1
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure
        self.beats[process] = at_ns

    async def lapse(self, process: str, at_ns: int) -> int:
        """Presume a few at a time, as a store that keeps its transactions short does."""
        self.lapsed.append(process)
        self.beats.pop(process, None)
        count = min(2, self.holds.get(process, 0))
        self.holds[process] = self.holds.get(process, 0) - count
        return count

    async def processes(self) -> Sequence[ProcessRow]:
        return [ProcessRow(*row) for row in self.beats.items()]


class Kept:
    """Closes that wait for the ledger."""

    def __init__(self) -> None:
        self.tries = 0
        self.tried = asyncio.Event()

    async def __call__(self) -> int:
        self.tries += 1
        self.tried.set()
        return 0


def upkeep(book: Book, clock: FixedClock, kept: Kept, heartbeat_s: float = 5.0) -> Upkeep:
    return Upkeep(book, ME, clock, kept, heartbeat_s, 30.0)


async def test_a_round_beats_and_retries_closes() -> None:
    book, clock, kept = Book(), FixedClock(), Kept()
    await upkeep(book, clock, kept).once()
    assert book.beats == {ME: clock()} and kept.tries == 1 and book.lapsed == []


async def test_a_process_lapses_after_thirty_seconds_of_silence_and_not_before() -> None:
    book, clock, kept = Book(), FixedClock(), Kept()
    book.beats, book.holds = {"other/1:5:5": clock()}, {"other/1:5:5": 5}
    clock.advance(seconds=30)
    await upkeep(book, clock, kept).once()
    assert book.lapsed == []
    clock.advance(ns=1)
    await upkeep(book, clock, kept).once()
    assert book.holds["other/1:5:5"] == 0  # All of them, though the store takes two at a time.
    assert "other/1:5:5" not in book.beats


async def test_a_process_never_lapses_itself() -> None:
    book, clock, kept = Book(), FixedClock(), Kept()
    book.beats = {ME: clock()}
    clock.advance(seconds=3600)
    await upkeep(book, clock, kept).once()
    assert book.lapsed == []


async def test_a_process_of_this_machine_that_is_gone_lapses_at_once() -> None:
    place, _, _ = process_name().rpartition(":")[0].rpartition(":")
    book, clock, kept = Book(), FixedClock(), Kept()
    gone, alive = f"{place}:{2**22 + 5}:123", process_name()
    book.beats = {gone: clock(), alive: clock()}
    await upkeep(book, clock, kept).once()
    assert set(book.lapsed) == {gone}


@pytest.mark.parametrize("failure", [StoreUnavailable("the disk is full"), ValueError("a bug")])
async def test_a_round_that_fails_is_followed_by_another(failure: Exception) -> None:
    book, clock, kept = Book(), FixedClock(), Kept()
    book.fails = failure
    stopping = asyncio.Event()
    task = asyncio.create_task(upkeep(book, clock, kept, 0.001).run(stopping))
    await asyncio.wait_for(kept.tried.wait(), 10)
    stopping.set()
    await asyncio.wait_for(task, 10)
    assert book.rounds >= 2 and ME in book.beats


async def test_it_stops_when_told_to_without_waiting_for_the_next_round() -> None:
    book, clock, kept = Book(), FixedClock(), Kept()
    stopping = asyncio.Event()
    task = asyncio.create_task(upkeep(book, clock, kept, 3600).run(stopping))
    await asyncio.wait_for(kept.tried.wait(), 10)
    stopping.set()
    await asyncio.wait_for(task, 10)


async def test_leaving_presumes_what_is_still_open() -> None:
    book, clock, kept = Book(), FixedClock(), Kept()
    book.beats, book.holds = {ME: clock()}, {ME: 3}
    await upkeep(book, clock, kept).leave()
    assert book.holds[ME] == 0 and ME not in book.beats
