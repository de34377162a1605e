"""R33: cancelled at any await of the request's path, the hold ends, the connection closes, and nothing leaks."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.client import Client, exchange_with
from tests.gateway.house import usd
from tests.pipeline.rig import CancelAt, Rig, read_all, rig

from bursar.config.settings import Limits, StoreSettings
from bursar.core.hold import State
from bursar.errors import StoreUnavailable
from bursar.gateway.relay import relay
from bursar.testing import Script

SCRIPT = Script(output_tokens=60, tokens_per_event=20, tokens_per_s=20_000)
STEPS_MAX = 120
WAYS = ["whole", "streamed", "streamed and extended", "relayed"]


async def request(made: Rig, wire: str, way: str) -> None:
    reply = await made.engine.handle(made.call(wire, stream=way != "whole" or None, max_tokens=10_000))
    if way == "relayed":
        await relay(reply, exchange_with(Client(), "POST", "/", b""), Limits())
    else:
        await read_all(reply)


def connections(made: Rig) -> int:
    """How many connections to the provider are in use."""
    return made.engine.upstream.in_use


def tasks_of_calls() -> set[asyncio.Task[Any]]:
    """Every task but the engine's own jobs, which come when they come."""
    jobs = ("Upkeep.", "LiveControl.")
    return {task for task in asyncio.all_tasks() if not getattr(task.get_coro(), "__qualname__", "").startswith(jobs)}


async def cancelled_at(made: Rig, wire: str, way: str, step: int) -> bool:
    """Run one request, cancelled at this step; False when it had fewer steps."""
    before = tasks_of_calls()
    runner = CancelAt(request(made, wire, way), step)

    async def run() -> None:
        await runner

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    was_reached = runner.steps > step
    assert task.cancelled() or task.exception() is None
    await made.provider.wait_async(open_calls=0)
    await made.flushed()
    assert tasks_of_calls() == before, f"step {step} leaked a task"
    assert connections(made) == 0, f"step {step} left a connection open"
    assert made.balance().held == 0, f"step {step} left a hold open"
    return was_reached


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("is_memory", [True, False], ids=["memory", "sqlite"])
async def test_a_call_may_be_cancelled_at_every_await(tmp_path: Path, is_memory: bool, wire: str, way: str) -> None:
    top_speed = 20_000 if way == "streamed and extended" else None
    script = (
        {"m": Script(output_tokens=6_000, tokens_per_event=300, tokens_per_s=20_000)} if top_speed else {"m": SCRIPT}
    )
    async with rig(tmp_path, [usd(10**13)], is_memory=is_memory, scripts=script, top_speed=top_speed) as made:
        steps = 0
        while steps < STEPS_MAX and await cancelled_at(made, wire, way, steps):
            steps += 1
        print(f"{steps} awaits")
        assert steps >= 2  # Connecting, and waiting for the answer: nothing else need suspend.
        balance = await made.assert_sound()
        assert made.provider.invoice()["total_nano"] <= balance.settled + balance.presumed
        assert {row.state for row in made.holds()} <= {State.SETTLED, State.PRESUMED, State.RELEASED}


@pytest.mark.parametrize("is_memory", [True, False], ids=["memory", "sqlite"])
async def test_a_call_may_be_cancelled_twice(tmp_path: Path, is_memory: bool) -> None:
    """A stop that is pressed twice must not break the settling that the first began."""
    async with rig(tmp_path, [usd(10**13)], is_memory=is_memory, scripts={"m": Script(tokens_per_s=1)}) as made:
        for way in ("whole", "streamed", "relayed"):
            for pause in range(6):
                task = asyncio.create_task(request(made, "openai", way))
                await made.provider.wait_async(open_calls=1)
                task.cancel()
                for _ in range(pause):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                await made.provider.wait_async(open_calls=0)
                await made.flushed()
                assert made.balance().held == 0, (way, pause)
        await made.assert_sound()


@pytest.mark.parametrize("is_memory", [True, False], ids=["memory", "sqlite"])
async def test_a_call_that_waits_may_be_cancelled(tmp_path: Path, is_memory: bool) -> None:
    script = {"m": Script(output_tokens=50, tokens_per_s=10)}
    async with rig(tmp_path, [usd(60_000_000)], is_memory=is_memory, scripts=script) as made:
        first = asyncio.create_task(request(made, "openai", "streamed"))
        await made.provider.wait_async(open_calls=1)
        for step in range(8):
            runner = CancelAt(request(made, "openai", "whole"), step)

            async def run(runner: CancelAt = runner) -> None:
                await runner

            task = asyncio.create_task(run())
            await asyncio.wait({task})
            assert task.cancelled()
        assert made.provider.invoice()["requests"] == 1
        first.cancel()
        await asyncio.wait({first})
        await made.assert_sound()


async def test_a_close_that_is_cancelled_while_the_ledger_is_down_is_not_forgotten(tmp_path: Path) -> None:
    """The verb was queued, but the file refused it after its caller had gone."""
    store = StoreSettings(path=tmp_path / "bursar.db", timeout_s=0.2)
    async with rig(tmp_path, [usd()], store=store, scripts={"m": Script(output_tokens=40, tokens_per_s=5)}) as made:
        task = asyncio.create_task(request(made, "openai", "whole"))
        await made.provider.wait_async(open_calls=1)
        other = sqlite3.connect(tmp_path / "bursar.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        with contextlib.suppress(StoreUnavailable):
            await made.flushed()
        other.execute("ROLLBACK")
        other.close()
        assert made.balance().held > 0
        await made.engine._upkeep.once()
        await made.assert_sound()
        assert made.balance().presumed > 0
