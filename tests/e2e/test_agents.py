"""Eight coding agents that each ask for 128,000 tokens do not lock a $25 budget, and do not pass it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.world import World, session, usd, world

from bursar.testing import Rates, Script

pytestmark = pytest.mark.slow

LIMIT = 25_000_000_000
RATES = (("input", "5"), ("output", "25"))
SCRIPT = Script(
    output_tokens=2000,
    input_tokens=50_000,
    first_byte_s=0.2,
    tokens_per_s=4000,
    tokens_per_event=40,
    run_ahead_tokens=50,
    rates=Rates(input=5_000_000, cache_read=500_000, output=25_000_000),
)


async def work(client: aiohttp.ClientSession, made: World, number: int, path: str) -> None:
    """Work until the budget is spent; any other refusal, or an answer cut short, fails the test."""
    history = f"line {number}\n".ljust(16, "x") * 12_500
    for step in range(1000):
        body: dict[str, Any] = {
            "model": "m",
            "stream": True,
            "max_tokens": 128_000,
            "messages": [{"role": "user", "content": history}, {"role": "user", "content": f"step {step}"}],
        }
        async with client.post(made.url + path, json=body, headers={"x-bursar-agent": f"coder-{number}"}) as response:
            told = await response.read()
        if response.status == 402:
            return
        assert response.status == 200, told[:300]
        assert b'"stop"' in told[-1500:] or b'"end_turn"' in told[-1500:]
    raise AssertionError("never refused")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("top_speed", [None, 4000], ids=["speed-unknown", "speed-known"])
async def test_no_agent_is_refused_before_ninety_five_percent_is_spent(
    tmp_path: Path, path: str, top_speed: int | None
) -> None:
    with world(tmp_path, SCRIPT, [usd(LIMIT)], rates=RATES, top_speed=top_speed) as made:
        async with session() as client:
            tasks = [asyncio.create_task(work(client, made, number, path)) for number in range(8)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert made.balance().settled >= LIMIT * 95 // 100
            await asyncio.gather(*tasks)
        assert made.invoice_nano() == made.assert_sound().settled <= LIMIT
