"""A whole answer is awaited until its run is over, in its caller's task; whatever else ends the wait is itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bursar.pipeline.patience import AsyncioPatience
from bursar.pipeline.watch import RunWatch

HOUR_S = 3600.0


class Paid:
    """An account of which nothing but the end of its run is due."""

    def __init__(self, due_s: float) -> None:
        self.due_s = due_s
        self.watch = self.own_watch = RunWatch()
        self.is_stream = False
        self.was_over: list[bool] = []

    def tick_s(self) -> float:
        return self.due_s

    async def progress(self, visible: int) -> bool:
        self.was_over.append(self.watch.is_over(0))
        return True


def wait(paid: Any, work: Coroutine[Any, Any, Any]) -> Any:
    def drop(answer: object) -> None:
        raise AssertionError(answer)

    return AsyncioPatience().paid_for(paid, work, drop)


async def test_an_answer_in_time_needs_no_task_of_its_own() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert await wait(Paid(HOUR_S), work()) == 1


async def test_at_the_end_of_the_run_the_wait_ends_whatever_its_own_clock_says() -> None:
    paid, left = Paid(0.0), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.append("in order")

    assert await wait(paid, work()) is None
    assert (left, paid.was_over) == (["in order"], [True])


async def test_a_timeout_of_the_work_is_no_end_of_the_run() -> None:
    paid = Paid(HOUR_S)

    async def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await wait(paid, work())
    assert not paid.watch.is_over(0)


async def test_who_gives_up_sooner_is_heard() -> None:
    paid = Paid(HOUR_S)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await wait(paid, asyncio.Event().wait())
    assert not paid.watch.is_over(0)


async def test_a_run_that_is_stopped_behind_the_head_ends_the_wait_for_the_body() -> None:
    """One wait serves head and body, as long as the run's end stays where it was."""
    paid: Any = Paid(HOUR_S)

    async def head() -> str:
        return "head"

    assert await wait(paid, head()) == "head"
    kept = paid.watch.wait
    assert kept is not None
    assert await wait(paid, head()) == "head"
    assert paid.watch.wait is kept
    paid.watch.end(0, is_waking=False)
    paid.due_s = 0
    body = asyncio.get_running_loop().create_future()

    async def read() -> object:
        return await body

    async def whole() -> object:
        return await wait(paid, read())

    assert await asyncio.wait_for(whole(), 30) is None
