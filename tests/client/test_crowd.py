"""In threads, loops and processes at once, a budget lets through what fits and not one call more."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from tests.client.house import ASKED, House, house

import bursar
from bursar.testing import Rates, Script

pytestmark = pytest.mark.slow

CENT = Script(output_tokens=200, first_byte_s=0.01, rates=Rates(input=0, cache_read=0, output=50_000_000))
BODY = {**ASKED, "max_tokens": 200}


def in_threads(home: House) -> None:
    with httpx2.Client(timeout=60) as client, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: client.post(home.chat_url, json=BODY), range(60)))


def in_a_loop(home: House) -> None:
    async def every() -> None:
        async with httpx2.AsyncClient(timeout=60) as client:
            await asyncio.gather(*(client.post(home.chat_url, json={**BODY, "stream": True}) for _ in range(60)))

    asyncio.run(every())


CHILD = (
    f"BODY = {BODY!r}"
    + """
import sys, httpx2
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from bursar.client.inherited import activate
activate()
with httpx2.Client(timeout=60) as client, ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda _: client.post(sys.argv[1], json=BODY), range(40)))
"""
)


def test_threads_loops_forked_and_spawned_processes_share_one_dollar(tmp_path: Path) -> None:
    with house(tmp_path, CENT) as home:
        with bursar.budget("$1") as budget:
            spawned = subprocess.Popen(
                [sys.executable, "-c", CHILD, home.chat_url], env={**os.environ, **budget.environment()}
            )
            children = []
            for work in (in_threads, in_a_loop):
                pid = os.fork()
                if pid == 0:
                    try:
                        work(home)
                    finally:
                        os._exit(0)
                children.append(pid)
            in_a_loop(home)
            in_threads(home)
            for pid in children:
                os.waitpid(pid, 0)
            assert spawned.wait(60) == 0
            assert (budget.spent, budget.calls) == (Decimal(1), 100)
        assert home.requests == 100
        assert home.provider.invoice(calls=0)["total_nano"] == 10**9
        home.assert_sound()


@pytest.mark.parametrize("way", ["with", "context"])
def test_blocks_of_a_pools_workers_are_held_to_the_block_around_the_pool(tmp_path: Path, way: str) -> None:
    """A worker has no copy of the context; where it is given one, or names the block, its own blocks are children."""
    with house(tmp_path, CENT) as home:
        with bursar.budget("$0.20") as around, ThreadPoolExecutor(16) as pool:

            def ask(number: int) -> int:
                with bursar.budget("$1", agent=f"sub-{number}"), httpx2.Client(timeout=60) as client:
                    return int(client.post(home.chat_url, json=BODY).status_code)

            def work(number: int) -> int:
                with around:
                    return ask(number)

            asked = [
                pool.submit(work, number) if way == "with" else pool.submit(copy_context().run, ask, number)
                for number in range(60)
            ]
            assert sorted(each.result() for each in asked) == [200] * 20 + [402] * 40
            assert (around.spent, around.calls) == (Decimal("0.20"), 20)
        assert home.requests == 20
        home.assert_sound()
