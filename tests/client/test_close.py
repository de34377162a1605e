"""The engine is closed, or configured anew, while calls are on their way: what they come to is written all the same."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from tests.client.house import ASKED, House

import bursar
from bursar.client.runtime import runtime
from bursar.core.hold import State

STREAMED = {**ASKED, "stream": True}
CALLS, THREADS, EVERY = 24, 4, 8


def stream(client: httpx2.Client, home: House) -> httpx2.Response:
    return client.send(client.build_request("POST", home.chat_url, json=STREAMED), stream=True)


def assert_told(home: House, calls: int) -> None:
    """Every call that was sent is settled with its own cost, a quarter."""
    bursar.close()
    holds = home.holds()
    assert Counter(hold.state for hold in holds) == {State.SETTLED: calls}
    assert {hold.settled.cost_nano for hold in holds} == {250_000_000}
    home.assert_sound()


def test_no_known_cost_is_presumed_when_the_engine_is_closed_in_a_storm_of_calls(home: House) -> None:
    statuses: Counter[int] = Counter()

    def work(number: int) -> None:
        with budget, httpx2.Client() as client:
            for call in range(CALLS):
                body = (ASKED, STREAMED)[(number + call) % 2]
                statuses[client.post(home.chat_url, json=body).status_code] += 1

    with bursar.budget("$1000") as budget:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for count in range(EVERY, CALLS * THREADS // 2, EVERY):
            home.provider.wait(requests=count)
            runtime.use(None) if count % (2 * EVERY) else runtime.close()
        for thread in threads:
            thread.join()
        # What found the engine closed under its hands was refused, and not sent.
        assert statuses.total() == CALLS * THREADS
        assert statuses[200] == home.requests == budget.calls
        assert set(statuses) <= {200, 503}
    assert_told(home, statuses[200])


async def test_no_known_cost_of_a_task_is_presumed_either(home: House) -> None:
    async def work() -> list[int]:
        async with httpx2.AsyncClient() as client:
            return [(await client.post(home.chat_url, json=body)).status_code for body in (ASKED, STREAMED) * 8]

    with bursar.budget("$1000"):
        tasks = [asyncio.create_task(work()) for _ in range(THREADS)]
        for count in range(EVERY, 4 * EVERY, EVERY):
            await asyncio.to_thread(home.provider.wait, requests=count)
            await asyncio.to_thread(runtime.close)
        statuses = Counter(status for found in await asyncio.gather(*tasks) for status in found)
    assert set(statuses) <= {200, 503}
    assert statuses[200] == home.requests
    assert_told(home, statuses[200])


def test_a_stream_is_read_on_and_its_truth_replaces_the_presumption(home: House, tmp_path: Path) -> None:
    with bursar.budget("$1") as budget, httpx2.Client() as client:
        pieces = stream(client, home).iter_bytes()
        first = next(pieces)
        runtime.close()
        assert [hold.state for hold in home.holds()] == [State.PRESUMED]
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
        assert (first + b"".join(pieces)).endswith(b"data: [DONE]\n\n")
        assert not Path("bursar.db").exists()
        os.chdir(tmp_path)
        assert (budget.spent, budget.calls) == (Decimal("0.25"), 1)
    assert_told(home, 1)


def test_where_the_ledger_is_gone_meanwhile_none_is_made_and_the_cost_is_told(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    with bursar.budget("$1"), httpx2.Client() as client:
        pieces = stream(client, home).iter_bytes()
        next(pieces)
        runtime.close()
        for path in home.path.glob("bursar.db*"):
            path.unlink()
        with caplog.at_level(logging.ERROR):
            assert list(pieces)
        assert "could not be recorded: settle, 250000000 nano-USD" in caplog.text
        assert not (home.path / "bursar.db").exists()


def test_a_stream_that_is_dropped_after_the_end_stays_presumed(home: House) -> None:
    with bursar.budget("$1"), httpx2.Client() as client:
        pieces = stream(client, home).iter_bytes()
        next(pieces)
        runtime.close()
        del pieces
        gc.collect()
    assert [hold.state for hold in home.holds()] == [State.PRESUMED]
    home.assert_sound()
