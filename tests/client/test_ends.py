"""However a stream ends, its hold does: read, closed, dropped, cancelled, forked away, or with the program."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.client.house import ASKED, House, house

import bursar
from bursar.core.hold import State
from bursar.testing import Rates, Script

SLOW = Script(output_tokens=5000, tokens_per_s=50, rates=Rates(input=0, cache_read=0, output=50_000_000))
STREAMED = {**ASKED, "stream": True}


@pytest.fixture
def slow(tmp_path: Path) -> Any:
    with house(tmp_path, SLOW) as made:
        yield made


def until(is_so: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for what another thread or process does."""
    ends = time.monotonic() + within_s
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < ends, "it does not happen"
        pause.wait(0.02)


def charged(home: House) -> None:
    """The one call is closed, and not for nothing."""
    until(lambda: all(hold.state is not State.OPEN for hold in home.holds()))
    (hold,) = home.holds()
    assert hold.state in (State.SETTLED, State.PRESUMED)
    assert hold.settled.cost_nano + hold.held.cost_nano > 0
    home.assert_sound()


def test_a_stream_that_is_closed_early_is_settled_at_once(slow: House) -> None:
    with bursar.budget("$1") as budget:
        with (
            openai.OpenAI(base_url=slow.url, api_key="none") as client,
            client.chat.completions.create(**STREAMED) as stream,
        ):
            next(iter(stream))
        assert budget.spent == Decimal("0.25"), "nobody knows how fast this provider is"
    charged(slow)


def test_a_stream_that_is_dropped_is_settled_by_itself(slow: House) -> None:
    client = httpx2.Client()
    with bursar.budget("$1"):
        response = client.send(client.build_request("POST", slow.chat_url, json=STREAMED), stream=True)
        pieces = response.iter_bytes()
        next(pieces)
        del response, pieces
        gc.collect()
        charged(slow)
    client.close()


def test_a_stream_outlives_its_block_and_is_settled_all_the_same(home: House) -> None:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        with bursar.budget("$1") as budget:
            stream = client.chat.completions.create(**STREAMED)
        assert len(list(stream)) > 10
    assert (budget.spent, budget.calls) == (Decimal("0.25"), 1)


def test_a_task_that_is_cancelled_in_mid_stream_is_settled(slow: House) -> None:
    async def read(begun: asyncio.Event) -> None:
        async with openai.AsyncOpenAI(base_url=slow.url, api_key="none") as client:
            async for _ in await client.chat.completions.create(**STREAMED):
                begun.set()

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(read(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with bursar.budget("$1"):
        asyncio.run(main())
    charged(slow)


def test_a_task_that_is_cancelled_before_the_answer_is_charged(tmp_path: Path) -> None:
    async def main(home: House) -> None:
        async with openai.AsyncOpenAI(base_url=home.url, api_key="none") as client:
            task = asyncio.create_task(client.chat.completions.create(**ASKED))
            await asyncio.to_thread(home.provider.wait, requests=1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with house(tmp_path, Script(output_tokens=100, first_byte_s=30)) as home, bursar.budget("$1"):
        asyncio.run(main(home))
        charged(home)


def test_money_that_is_only_in_flight_makes_a_thread_and_a_task_wait(tmp_path: Path) -> None:
    script = Script(output_tokens=100, first_byte_s=0.3, rates=Rates(input=0, cache_read=0, output=50_000_000))
    with house(tmp_path, script) as home, bursar.budget("$0.28") as budget:

        def in_a_thread() -> None:
            with openai.OpenAI(base_url=home.url, api_key="none") as client:
                client.chat.completions.create(**ASKED)

        async def in_a_task() -> None:
            async with openai.AsyncOpenAI(base_url=home.url, api_key="none", max_retries=0) as client:
                await asyncio.gather(*(client.chat.completions.create(**ASKED) for _ in range(2)))

        threads = [threading.Thread(target=in_a_thread) for _ in range(2)]
        for thread in threads:
            thread.start()
        asyncio.run(in_a_task())
        for thread in threads:
            thread.join()
        assert (budget.calls, budget.spent) == (4, Decimal("0.02"))


def test_an_uncapped_stream_of_a_known_provider_grows_with_what_is_read(tmp_path: Path) -> None:
    script = Script(output_tokens=6000, rates=Rates(input=0, cache_read=0, output=50_000_000))
    with house(tmp_path, script) as home:
        prices = "prices:\n  m: {input: 0, output: 50}\n"
        Path("bursar.yaml").write_text(f"{prices}providers:\n  openai: {{base_url: {home.url}, top_speed: 1000000}}\n")

        async def main() -> int:
            asked = {**STREAMED, "max_tokens": 100_000}
            async with openai.AsyncOpenAI(base_url=home.url, api_key="none") as client:
                return len([chunk async for chunk in await client.chat.completions.create(**asked)])

        with bursar.budget("$10") as budget:
            assert asyncio.run(main()) > 100
            assert budget.spent == Decimal("0.30")
        home.assert_sound()


IN_MID_STREAM = (
    f"ASKED = {ASKED!r}"
    + """
import os, signal, sys, bursar, httpx2
client = httpx2.Client()
budget = bursar.budget("$1", name="ended")
budget.__enter__()
request = client.build_request("POST", sys.argv[1], json={**ASKED, "stream": True})
pieces = client.send(request, stream=True).iter_bytes()
next(pieces)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif sys.argv[2] == "error":
    raise SystemError("as programs end")
"""
)


@pytest.mark.parametrize("way", ["exit", "error", "kill"])
def test_a_program_that_ends_in_mid_stream_leaves_nothing_held(slow: House, way: str) -> None:
    command = [sys.executable, "-c", IN_MID_STREAM, slow.chat_url, way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == {"exit": 0, "error": 1, "kill": -signal.SIGKILL}[way], done.stderr
    assert "Exception ignored" not in done.stderr
    if way == "kill":
        assert [hold.state for hold in slow.holds()] == [State.OPEN]
        with bursar.budget("$1"):  # Whoever opens the ledger next knows that the process is gone.
            until(lambda: slow.holds()[0].state is State.PRESUMED)
    charged(slow)


def forked(work: Callable[[], object]) -> int:
    """Do something in a forked child and give its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ask(home: House) -> None:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        client.chat.completions.create(**ASKED)


def refused(home: House) -> None:
    with pytest.raises(bursar.BudgetExceeded):
        ask(home)


def test_a_forked_child_counts_against_the_same_budget_as_a_process_of_its_own(home: House) -> None:
    with bursar.budget("$1") as budget:
        ask(home)
        assert forked(lambda: ask(home)) == 0
        assert forked(lambda: ask(home)) == 0
        assert budget.calls == 3, "the parent goes on reading"
        ask(home)
        assert forked(lambda: refused(home)) == 0
        with pytest.raises(bursar.BudgetExceeded):
            ask(home)
    assert home.requests == 4
    assert len({hold.process for hold in home.holds()}) == 3
    assert len({hold.labels["run"] for hold in home.holds()}) == 1
    home.assert_sound()


def test_a_fork_in_mid_stream_leaves_the_stream_to_the_parent(slow: House) -> None:
    with bursar.budget("$1") as budget, httpx2.Client() as client:
        response = client.send(client.build_request("POST", slow.chat_url, json=STREAMED), stream=True)
        stream: Any = response.stream
        pieces = response.iter_bytes()
        next(pieces)
        assert forked(stream.__del__) == 0, "as its end does"
        assert [hold.state for hold in slow.holds()] == [State.OPEN]
        next(pieces)
        response.close()
        assert budget.calls == 1
    charged(slow)


def test_a_ledger_in_memory_is_not_spent_twice_by_a_forked_child(home: House) -> None:
    Path("bursar.yaml").write_text("prices:\n  m: {input: 0, output: 50}\nstore: {kind: memory}\n")
    with bursar.budget("$1") as budget:
        ask(home)

        def child() -> None:
            with pytest.raises(openai.APIStatusError, match="forked"):
                ask(home)

        assert forked(child) == 0
        assert budget.calls == 1
    assert home.requests == 1


SPAWNED = (
    f"ASKED = {ASKED!r}"
    + """
import sys, openai
from bursar.client.inherited import activate
assert activate()
import bursar
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
for _ in range(9):
    try:
        client.chat.completions.create(**ASKED)
    except bursar.BudgetExceeded:
        print("refused")
        break
"""
)


def test_a_spawned_child_inherits_what_is_written_into_its_environment(home: House) -> None:
    with bursar.budget("$1", agent="parent") as outer, bursar.budget("$0.50") as inner:
        environ = {**os.environ, **inner.environment()}
        command = [sys.executable, "-c", SPAWNED, home.url]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.strip() == "refused", done.stderr
        assert (outer.calls, inner.calls) == (2, 2)
    assert {hold.labels["agent"] for hold in home.holds()} == {"parent"}
