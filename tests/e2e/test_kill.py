"""`kill -9` at the worst moments: every hold ends, nothing leaks, the budget holds afterwards."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from tests.e2e.world import World, chat, session, usd, world

from bursar.core.charge import Amounts, Charge
from bursar.core.hold import State, Verb
from bursar.testing import Rates, Script
from bursar.testing.gateway import GatewayProcess

pytestmark = pytest.mark.slow

DOLLAR = 1_000_000_000
RATES = Rates(input=0, cache_read=0, output=10_000_000)
STREAMS = 200


async def restart(made: World, settings_of: GatewayProcess) -> GatewayProcess:
    """Start another gateway on the same ledger, and wait until it has dealt with what the dead one left."""
    fresh = GatewayProcess(replace(settings_of.settings, failpoint=""))
    fresh.start()
    made.gateways.append(fresh)
    async with session() as client, asyncio.timeout(60):
        while made.balance().held:
            # A call that waits its turn gives the other process time; its outcome does not matter here.
            await chat(client, fresh.url, cap=1, is_stream=False)
    return fresh


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client's half-open sockets
async def test_two_hundred_streams_die_with_the_gateway_and_every_hold_ends(tmp_path: Path) -> None:
    script = Script(output_tokens=1000, tokens_per_s=100, tokens_per_event=10, run_ahead_tokens=20, rates=RATES)
    limit = 3 * DOLLAR
    with world(tmp_path, script, [usd(limit)], top_speed=300) as made:
        first = made.gateways[0]
        async with session() as client:
            streams = [asyncio.create_task(broken_stream(client, made.url)) for _ in range(STREAMS)]
            await made.provider.wait_async(open_calls=STREAMS)
            first.kill()
            await asyncio.gather(*streams)
        assert made.balance().held > 0
        made.provider.wait(open_calls=0)
        made.provider.set("*", Script(output_tokens=1, rates=RATES))
        fresh = await restart(made, first)
        try:
            balance = made.assert_sound()
            states = Counter(hold.state for hold in made.holds())
            assert states[State.OPEN] == 0
            assert states[State.PRESUMED] == STREAMS
            assert made.invoice_nano() <= balance.settled + balance.presumed <= limit
            freed = correct_all(made)
            assert freed > 0
            assert made.invoice_nano() <= made.assert_sound().settled <= limit
        finally:
            fresh.stop()


async def broken_stream(client: aiohttp.ClientSession, url: str) -> None:
    body = {"model": "m", "stream": True, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}
    try:
        async with client.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.read()
    except aiohttp.ClientError:
        return


def correct_all(made: World) -> int:
    """Settle what was presumed by the provider's own invoice, call by call; returns what was freed (nano-USD)."""
    before = made.balance()
    billed = sorted(
        (line["output_tokens"], line["cost_nano"])
        for line in made.provider.invoice()["calls"]
        if line["output_tokens"] > 1
    )
    with made.ledger() as ledger:
        presumed = ledger.holds("default", [State.PRESUMED], STREAMS)
        for hold, (output, cost) in zip(presumed, billed, strict=True):
            charge = Charge(Amounts(cost, 0, 0, 0, output, 0, 1))
            ledger.close(hold.id, Verb.CORRECT, hold.closed_ns, charge)
    after = made.balance()
    assert after.presumed == 0
    return before.presumed - (after.settled - before.settled)


FAILPOINTS = ["after_hold", "before_send", "mid_stream", "before_settle", "in_commit"]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", FAILPOINTS)
async def test_a_gateway_killed_at_a_failpoint_never_lets_the_budget_pass(
    tmp_path: Path, name: str, is_stream: bool
) -> None:
    if name == "mid_stream" and not is_stream:
        pytest.skip("a whole answer has no middle of a stream")
    script = Script(output_tokens=1000, tokens_per_event=100, rates=RATES)
    limit = 30_000_000  # three calls
    with world(tmp_path, script, [usd(limit)]) as made:
        healthy = made.gateways[0]
        # The commits of a start (heartbeat, definitions) must pass; the next ones are a hold and a settle.
        spec = "in_commit:6" if name == "in_commit" else name
        doomed = GatewayProcess(replace(healthy.settings, failpoint=spec))
        doomed.start()
        async with session() as client:
            for _ in range(20):
                try:
                    await chat(client, doomed.url, cap=1000, is_stream=is_stream)
                except (aiohttp.ClientError, json.JSONDecodeError, StopIteration):
                    break
            assert doomed.wait() == -9
            fresh = await restart(made, healthy)
            try:
                for _ in range(5):
                    await chat(client, fresh.url, cap=1000, is_stream=is_stream)
            finally:
                fresh.stop()
        balance = made.assert_sound()
        made.provider.wait(open_calls=0)
        assert made.invoice_nano() <= balance.settled + balance.presumed <= limit
        states = Counter(hold.state for hold in made.holds())
        assert states[State.OPEN] == 0
        if name != "in_commit":
            assert states[State.PRESUMED] == 1
