"""An agent's own tools count under the same cap as its model calls."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.client.house import ASKED, PRICES, House, house

import bursar
from bursar.client.runtime import runtime
from bursar.core.hold import State
from bursar.core.ledger import SpendQuery
from bursar.errors import UsageError
from bursar.reports.story import run_story


def ask(home: House) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.chat.completions.create(**ASKED)


def test_a_tool_is_held_before_and_settled_after(home: House) -> None:
    with bursar.budget("$1", agent="reader", run="r") as budget:
        with bursar.tool("search", cost="$0.01") as used:
            assert (budget.spent, budget.remaining, used.cost) == (Decimal(0), Decimal("0.99"), Decimal("0.01"))
        ask(home)
        assert (budget.spent, budget.calls) == (Decimal("0.26"), 1), "a tool is no model call"
    assert [(row.provider, row.model, row.calls, row.cost) for row in budget.report().rows] == [
        ("openai", "m", 1, Decimal("0.25")),
        ("tool", "search", 1, Decimal("0.01")),
    ]
    with home.ledger() as ledger:
        rows = ledger.spend(SpendQuery("default", ("wire", "model"), 0, 2**62))
        assert {row.values: row.settled.cost_nano for row in rows}["tool", "search"] == 10_000_000
        assert [step.model for step in run_story(ledger, "default", "r").steps] == ["search", "m"]
    home.assert_sound()


def test_a_tool_that_does_not_fit_is_not_run(home: House) -> None:
    ran: list[str] = []
    with bursar.budget("$0.26", agent="reader") as budget:
        ask(home)
        with bursar.tool("search", cost="$0.01"):
            ran.append("first")
        words = r"Budget 'reader': \$0\.26 of \$0\.26 used"
        with pytest.raises(bursar.BudgetExceeded, match=words), bursar.tool("search", cost="$0.01"):
            ran.append("second")
        assert budget.is_exceeded
    assert ran == ["first"]
    with bursar.budget("$0.001", on_exceed="stop"), bursar.tool("search", cost="$0.01"):
        ran.append("third")
    assert ran == ["first"]
    home.assert_sound()


def test_what_a_tool_cost_can_be_said_before_its_end(home: House) -> None:
    with bursar.budget("$1") as budget:
        with bursar.tool("search", most="$0.50") as used:
            assert budget.remaining == Decimal("0.50")
            used.cost = Decimal("0.002")
        assert budget.spent == Decimal("0.002")
        with bursar.tool("search", most="$0.10"):
            pass
        assert budget.spent == Decimal("0.102"), "nobody said what it cost"
        with bursar.tool("search", cost="$0.01") as used:
            used.cost = "$0.03"
        assert budget.spent == Decimal("0.132"), "the truth counts, also where it is more"
    assert [sorted(hold.flags) for hold in home.holds()] == [[], ["estimated"], ["bound_violation"]]
    home.assert_sound()


def test_a_decorated_tool_is_charged_for_each_call_by_what_its_result_says(home: House) -> None:
    @bursar.tool("search", cost=lambda found: Decimal("0.001") * len(found), most="$0.10")
    def search(count: int) -> list[int]:
        return list(range(count))

    @bursar.tool("fetch", cost="$0.02")
    async def fetch() -> str:
        return "page"

    async def both() -> list[str]:
        return list(await asyncio.gather(fetch(), fetch()))

    assert search(3) == [0, 1, 2], "outside of any budget it costs nothing"
    with bursar.budget("$1") as budget:
        assert search(5) == [0, 1, 2, 3, 4]
        assert asyncio.run(both()) == ["page", "page"]
        assert budget.spent == Decimal("0.045")
    assert len(home.holds()) == 3


def fail(used: Any) -> None:
    used.cost = "$0.01"
    raise ValueError("no page")


def test_a_tool_that_fails_is_charged_unless_its_author_says_otherwise(home: House) -> None:
    with bursar.budget("$1") as budget:
        with pytest.raises(ValueError, match="no page"), bursar.tool("fetch", cost="$0.02"):
            raise ValueError("no page")
        assert budget.spent == Decimal("0.02")
        with pytest.raises(ValueError, match="no page"), bursar.tool("fetch", cost="$0.02", on_error="free"):
            raise ValueError("no page")
        used = bursar.tool("fetch", cost="$0.02", on_error="free")
        with pytest.raises(ValueError, match="no page"), used:
            fail(used)
        assert budget.spent == Decimal("0.03"), "what was said stands"
    assert [hold.state for hold in home.holds()] == [State.SETTLED, State.RELEASED, State.SETTLED]
    home.assert_sound()


def test_tools_at_once_never_pass_the_budget(home: House) -> None:
    def use(_: int) -> bool:
        try:
            with bursar.tool("search", cost="$0.01"):
                return True
        except (bursar.BudgetExceeded, bursar.Contended):
            return False

    with bursar.budget("$0.50") as budget, ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(use, range(100))) == 50
        assert budget.spent == Decimal("0.50")
    home.assert_sound()


def test_a_budget_of_the_configuration_counts_tools(tmp_path: Path) -> None:
    with house(tmp_path, configuration=PRICES + "budgets:\n  all: $0.015 / total\n") as home:
        bursar.configure(home.path / "bursar.yaml")
        with bursar.tool("search", cost="$0.01"):
            pass
        with pytest.raises(bursar.BudgetExceeded, match="'all'"), bursar.tool("search", cost="$0.01"):
            raise AssertionError("never run")
        assert [hold.settled.cost_nano for hold in home.holds()] == [10_000_000]


def test_tools_are_tool_calls_of_their_run(tmp_path: Path) -> None:
    configuration = PRICES + "guards: {tool_calls: 3, loops: off, steps: off, seconds: off, cost: off, tokens: off}\n"
    with house(tmp_path, configuration=configuration) as home:

        def use(_: int) -> bool:
            try:
                with budget, bursar.tool("search", cost="$0.01"):
                    return True
            except bursar.BudgetExceeded as error:
                words.append(error.message)
                return False

        words: list[str] = []
        with bursar.budget("$5", run="of-three") as budget, ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(use, range(8))) == 3
            assert "Run 'of-three' is refused: 3 of 3 tool calls" in words[0]
            with pytest.raises(openai.APIStatusError, match="was stopped by its guard 'tool_calls'"):
                ask(home)
            with pytest.raises(bursar.BudgetExceeded, match="was stopped"), bursar.tool("search", cost="$0.01"):
                raise AssertionError("never run")
        assert home.requests == 0
        home.assert_sound()


@contextmanager
def another_thread_at_the_ledger() -> Iterator[None]:
    """Keep everybody waiting who asks the ledger now."""
    taken, may_go = threading.Event(), threading.Event()

    def hold_up() -> None:
        with runtime.engine()._face._turn:  # type: ignore[union-attr]
            taken.set()
            may_go.wait(10)

    thread = threading.Thread(target=hold_up)
    thread.start()
    taken.wait(10)
    yield
    may_go.set()
    thread.join()


def test_a_tool_that_is_cancelled_is_charged_and_one_that_had_not_begun_is_not(home: House) -> None:
    async def use(begun: asyncio.Event) -> None:
        async with bursar.tool("search", cost="$0.01"):
            begun.set()
            await asyncio.Event().wait()

    async def main() -> None:
        begun = asyncio.Event()
        tasks = [asyncio.create_task(use(begun)) for _ in range(2)]
        await begun.wait()
        with another_thread_at_the_ledger():
            tasks.append(asyncio.create_task(use(begun)))
            await asyncio.sleep(0)  # It has asked the ledger, and waits for the answer.
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True)
        )

    with bursar.budget("$1") as budget:
        asyncio.run(main())
        assert Decimal("0.01") <= budget.spent <= Decimal("0.02")
    bursar.close()
    states = [hold.state for hold in home.holds()]
    assert states.count(State.OPEN) == states.count(State.PRESUMED) == 0
    home.assert_sound()


KILLED = """
import os, signal, bursar
with bursar.budget("$1", name="killed"), bursar.tool("search", cost="$0.01"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_its_tool_presumed(home: House) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], env=dict(os.environ), timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with bursar.budget("$1"), bursar.tool("other", cost="$0.01"):
        pass
    bursar.close()
    states = {hold.labels["model"]: hold.state for hold in home.holds()}
    assert states["other"] is State.SETTLED
    assert states["search"] in (State.OPEN, State.PRESUMED)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bursar.tool("search"),
        lambda: bursar.tool("", cost="$1"),
        lambda: bursar.tool("search", cost=0.01),  # type: ignore[arg-type]
        lambda: bursar.tool("search", cost="5k tokens"),
        lambda: bursar.tool("search", cost=len),
        lambda: bursar.tool("search", cost="$2", most="$1"),
        lambda: bursar.tool("search", cost="$1", on_error="maybe"),  # type: ignore[arg-type]
        lambda: bursar.tool("search", cost=lambda _: "$1", most="$1").__enter__(),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        wrong()
