"""One timer ends whatever waits for too long, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from bursar.pipeline.run_ends import RunEnds


async def waits(ends: RunEnds, due_s: float, work: asyncio.Future[None]) -> bool:
    """Tell whether the wait was ended because of its run."""
    wait = ends.wait(due_s)
    ends.enter(wait)
    try:
        await work
    except asyncio.CancelledError:
        if not wait.is_over or wait.task.uncancel() > wait.began:
            raise
        return True
    finally:
        ends.leave(wait)
    return False


def timers(ends: RunEnds) -> list[Any]:
    scheduled: Any = ends.loop
    return [each for each in scheduled._scheduled if not each.cancelled()]


async def test_each_is_ended_when_it_is_due_and_the_rest_goes_on() -> None:
    loop = asyncio.get_running_loop()
    ends, soon = RunEnds(loop), loop.create_future()
    tasks = [asyncio.ensure_future(waits(ends, due_s, loop.create_future())) for due_s in (0.0, 0.02)]
    patient = asyncio.ensure_future(waits(ends, 3600, soon))
    assert await asyncio.gather(*tasks) == [True, True]
    assert not patient.done()
    soon.set_result(None)
    assert await patient is False
    assert [task.cancelling() for task in (*tasks, patient)] == [0, 0, 0]


async def test_calls_of_one_run_share_a_timer_that_outlives_them() -> None:
    loop = asyncio.get_running_loop()
    ends = RunEnds(loop)
    before = len(timers(ends))
    for number in range(50):
        done = loop.create_future()
        done.set_result(None)
        # A run's end stays where it is, so what is left of it is a little less each time.
        assert await waits(ends, 60 - number / 10_000, done) is False
    assert len(timers(ends)) == before + 1


async def test_a_sooner_end_is_not_missed_for_a_later_one() -> None:
    loop = asyncio.get_running_loop()
    ends = RunEnds(loop)
    late = asyncio.ensure_future(waits(ends, 3600, loop.create_future()))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(waits(ends, 0.02, loop.create_future()), 30) is True
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late


async def test_who_is_cancelled_from_outside_as_well_hears_of_that() -> None:
    loop = asyncio.get_running_loop()
    ends = RunEnds(loop)
    task = asyncio.ensure_future(waits(ends, 0.0, loop.create_future()))
    await asyncio.sleep(0)
    ends._look()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
