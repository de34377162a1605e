"""Measure what the library adds to a call: openai's SDK bare, and inside a budget, in turns in the same process.

    python bench/library.py [--rounds 30] [--calls 100] [--profile sync|async|httpx]

Inside is everything on: a budget around the block, five budgets of a configuration on each call, SQLite with
`durability: process`, prices. `guarded` has the guards of a run on as well, without loops, since here the same call
comes again and again. The provider is nginx, which answers a 2 kB chat request with 2 kB from memory, on a core of its
own: `at once`, so that calls follow each other without a pause and nothing can be done behind the caller's back, and
`5 ms` later, which is still a hundred times sooner than a model. Bare is the same client with no budget open: then
nothing of bursar is in the way. CPU is the whole process's, all threads. Of calls that follow each other so fast, every
eighth asks the file: it writes what the seven before it came to, and sets aside what the seven after it are held out
of. The means have that work in them, a median has not. `--profile` runs one way inside a budget alone,
under cProfile.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parent))

import httpx2
import openai
from rig import cores, free_port, need, running

import bursar
from upstream import body_of, write_upstream

TARGET_US = 300
WARM_CALLS = 50
WAYS = ("sync", "async", "httpx")
INSIDE = ("budget", "guarded")
PACES = {"at once": "whole", "5 ms": "later"}
"""When the provider answers, and where."""
CONFIG = """\
store: {{path: "{path}"}}
prices:
  bench-*: {{input: 2.50, cached_input: 0.25, output: 10}}
models:
  bench-*: {{max_output_tokens: 16384}}
budgets:
  everything: $5000000 total
  each agent: {{per: agent, limit: $5000000 total}}
  each user: {{per: user, limit: $5000000 total}}
  each day: $5000000 / day
  each run: $5000000 / run
"""
GUARDS = """\
guards:
  steps: 1000000
  tool_calls: 1000000
  tokens: 1000000000
  cost: $1000000
  spend_per_minute: $1000000
  seconds: 86000
  parallel: 1000
  loops: off
"""


Took: TypeAlias = tuple[int, int]
Found: TypeAlias = dict[tuple[str, str], list[Took]]


class Ways:
    """The clients, each with one call to make."""

    def __init__(self, url: str, pace: str) -> None:
        url = f"{url}/{PACES[pace]}/v1"
        self._asked: Any = json.loads(body_of("whole"))
        self._url = f"{url}/chat/completions"
        self._sync = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        self._async = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        self._plain = httpx2.Client()

    def call(self, way: str) -> Callable[[], object]:
        """Give one call of a client that blocks."""
        if way == "sync":
            return lambda: self._sync.chat.completions.create(**self._asked)
        return lambda: self._plain.post(self._url, json=self._asked).json()

    def call_async(self) -> Awaitable[object]:
        """Make one call of a client that does not."""
        return self._async.chat.completions.create(**self._asked)


async def timed_async(ways: Ways, count: int) -> list[Took]:
    found = []
    for _ in range(count):
        spent, began = time.process_time_ns(), time.perf_counter_ns()
        await ways.call_async()
        found.append((time.perf_counter_ns() - began, time.process_time_ns() - spent))
    return found


def timed(ways: Ways, way: str, count: int, loop: asyncio.AbstractEventLoop) -> list[Took]:
    """Make calls one after the other; gives the nanoseconds of each, elapsed and of CPU."""
    if way == "async":
        return loop.run_until_complete(timed_async(ways, count))
    call, found = ways.call(way), []
    for _ in range(count):
        spent, began = time.process_time_ns(), time.perf_counter_ns()
        call()
        found.append((time.perf_counter_ns() - began, time.process_time_ns() - spent))
    return found


def enter(folder: Path, kind: str) -> bursar.OpenBudget:
    """Open the library anew, with a ledger and a configuration of its own; gives a budget that is not entered yet."""
    bursar.close()
    path = folder / f"{kind}.db"
    (folder / "bursar.yaml").write_text(CONFIG.format(path=path) + (GUARDS if kind == "guarded" else ""))
    return bursar.budget("$1000000", agent="bench", user="bench", task="bench")


def measure(ways: Ways, folder: Path, rounds: int, calls: int) -> Found:
    """Measure each way bare and inside, in turns."""
    found: Found = {}
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        for kind in INSIDE:
            budget = enter(folder, kind)
            for way in WAYS:
                with budget:
                    timed(ways, way, WARM_CALLS, loop)
            for number in range(rounds):
                for way in WAYS:
                    for name in (("bare", kind), (kind, "bare"))[number % 2]:
                        gc.collect()
                        if name == "bare":
                            found.setdefault((way, f"bare beside {kind}"), []).extend(timed(ways, way, calls, loop))
                        else:
                            with budget:
                                found.setdefault((way, kind), []).extend(timed(ways, way, calls, loop))
            expected = len(WAYS) * (WARM_CALLS + rounds * calls)
            if budget.calls != expected:
                raise SystemExit(f"{budget.calls} of {expected} calls were counted")
    return found


HEADS = ("bare p50", "inside p50", "added p50", "ratio", "added p99", "CPU p50", "CPU mean")


def report(found: Found, pace: str) -> None:
    for way in WAYS:
        for kind in INSIDE:
            (bare, bare_cpu), (inside, cpu) = columns(found[way, f"bare beside {kind}"]), columns(found[way, kind])
            added = median(inside) - median(bare)
            late = quantiles(inside, n=100)[98] - quantiles(bare, n=100)[98]
            ratio, spent = median(inside) / median(bare), median(cpu) - median(bare_cpu)
            figures = (median(bare), median(inside), added, ratio, late, spent, mean(cpu) - mean(bare_cpu))
            shown = (f"{figure:10.2f}" if figure is ratio else f"{figure:10.0f}" for figure in figures)
            print(f"{way:7} {kind:8} {pace:8}", *shown, "" if added <= TARGET_US else f" over {TARGET_US}")


def columns(took: list[Took]) -> tuple[list[float], list[float]]:
    """Give elapsed times and CPU in microseconds."""
    return [each[0] / 1e3 for each in took], [each[1] / 1e3 for each in took]


def profile(ways: Ways, folder: Path, way: str, calls: int) -> None:
    """Count where the time goes inside a budget."""
    with asyncio.Runner() as runner, enter(folder, "budget"):
        timed(ways, way, WARM_CALLS, runner.get_loop())
        profiler = cProfile.Profile()
        profiler.enable()
        timed(ways, way, calls, runner.get_loop())
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats("bursar", 60)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=30)
    words.add_argument("--calls", type=int, default=100)
    words.add_argument("--profile", choices=WAYS)
    asked = words.parse_args()
    need()
    core, _ = cores()
    with tempfile.TemporaryDirectory(prefix="bursar-bench-") as name:
        folder, port = Path(name), free_port()
        os.chdir(folder)
        command = ["nginx", "-c", str(write_upstream(folder, port))]
        with running(command, core, f"http://127.0.0.1:{port}/whole", folder / "log"):
            url = f"http://127.0.0.1:{port}"
            if asked.profile:
                profile(Ways(url, "at once"), folder, asked.profile, 2_000)
            else:
                print(f"{'µs':7} {'':8} {'answers':8}", *(f"{head:>10}" for head in HEADS))
                for pace in PACES:
                    report(measure(Ways(url, pace), folder, asked.rounds, asked.calls), pace)
            bursar.close()


if __name__ == "__main__":
    main()
