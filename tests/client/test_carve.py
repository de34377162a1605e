"""A part that is carved out of a budget is nobody else's while its block lasts, and its rest goes back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.client.house import ASKED, House, house

import bursar
from bursar.core.hold import State
from bursar.core.ledger import SpendQuery
from bursar.errors import UsageError
from bursar.testing import Rates, Script

CENT = Script(output_tokens=200, rates=Rates(input=0, cache_read=0, output=50_000_000))
SMALL = {**ASKED, "max_tokens": 200}


def ask(home: House, **more: Any) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.chat.completions.create(**{**ASKED, **more})


def until(is_so: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for what another thread or process does."""
    ends = time.monotonic() + within_s
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < ends, "it does not happen"
        pause.wait(0.02)


def test_of_two_threads_that_carve_sixty_cents_of_a_dollar_the_second_is_refused(home: House) -> None:
    both, first_done = threading.Barrier(2), threading.Barrier(2)
    words: list[str] = []

    def child() -> bool:
        both.wait()
        try:
            with parent.carve("$0.60", agent="reader"):
                first_done.wait()
                ask(home)
                return True
        except bursar.BudgetExceeded as error:
            words.append(error.message)
            first_done.wait()
            return False

    with bursar.budget("$1") as parent:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: child(), range(2)))
        assert sorted(answers) == [False, True]
        assert words == ["Budget 'budget' has $0.40 left beside what is held: $0.60 cannot be carved out of it."]
        assert (parent.spent, parent.remaining, parent.calls) == (Decimal("0.25"), Decimal("0.75"), 1)
        assert not parent.is_exceeded, "it was only held by the other child"
        with parent.carve("$0.60") as again:
            assert (again.remaining, parent.remaining) == (Decimal("0.60"), Decimal("0.15"))
        assert parent.remaining == Decimal("0.75"), "the unspent part went back"
    home.assert_sound()


def test_of_two_tasks_that_carve_sixty_cents_of_a_dollar_the_second_is_refused(home: House) -> None:
    async def child(begun: asyncio.Event, refused: asyncio.Event, parent: bursar.OpenBudget) -> bool:
        try:
            async with parent.carve("$0.60", agent="reader"):
                begun.set()
                await refused.wait()
                async with openai.AsyncOpenAI(base_url=home.url, api_key="none") as client:
                    await client.chat.completions.create(**ASKED)
                return True
        except bursar.BudgetExceeded:
            refused.set()
            return False

    async def main() -> None:
        async with bursar.budget("$1") as parent:
            begun, refused = asyncio.Event(), asyncio.Event()
            answers = await asyncio.gather(*(child(begun, refused, parent) for _ in range(2)))
            assert sorted(answers) == [False, True]
            assert (parent.spent, parent.remaining, parent.calls) == (Decimal("0.25"), Decimal("0.75"), 1)

    asyncio.run(main())
    home.assert_sound()


def test_what_was_carved_cannot_be_spent_by_its_parent(home: House) -> None:
    with bursar.budget("$1") as parent, parent.carve("$0.75") as child:
        assert parent.remaining == Decimal("0.25")
        for _ in range(3):
            ask(home)
        with pytest.raises(bursar.BudgetExceeded):
            ask(home)
        assert (child.is_exceeded, parent.is_exceeded, child.spent) == (True, False, Decimal("0.75"))
    assert (parent.spent, parent.calls) == (Decimal("0.75"), 3)
    home.assert_sound()


def test_a_carved_child_of_a_carved_child_takes_from_it_and_gives_back(home: House) -> None:
    with bursar.budget("$1", task="t-17") as parent:
        with parent.carve("$0.80") as child:
            with child.carve("$0.50", agent="reader") as grandchild:
                assert (child.remaining, parent.remaining) == (Decimal("0.30"), Decimal("0.20"))
                ask(home)
                with pytest.raises(bursar.BudgetExceeded), child.carve("$0.40"):
                    raise AssertionError("never entered")
            assert (grandchild.spent, child.spent, child.remaining) == (
                Decimal("0.25"),
                Decimal("0.25"),
                Decimal("0.55"),
            )
            assert (parent.spent, parent.remaining) == (Decimal(0), Decimal("0.20")), "the whole part is held"
        assert (parent.spent, parent.remaining, parent.calls) == (Decimal("0.25"), Decimal("0.75"), 1)
        assert [row.cost for row in parent.report().rows] == [Decimal("0.25")], "counted once"
    home.assert_sound()


def test_tokens_and_requests_can_be_carved(home: House) -> None:
    with bursar.budget(tokens=20_000, requests=5) as parent:
        with parent.carve(tokens=8_000, requests=2) as child:
            ask(home)
            with pytest.raises(bursar.BudgetExceeded):
                ask(home)
            with pytest.raises(bursar.BudgetExceeded), parent.carve(requests=4):
                raise AssertionError("never entered")
            assert child.calls == 1
        report = parent.report()
        assert (parent.calls, child.calls, report.tokens) == (1, 1, 5_010)
        with parent.carve(requests=4):
            pass
        with pytest.raises(bursar.BudgetExceeded), parent.carve(requests=5):
            raise AssertionError("never entered")
    home.assert_sound()


def test_nothing_is_given_back_while_a_call_of_the_child_is_in_flight(tmp_path: Path) -> None:
    with house(tmp_path) as home, bursar.budget("$1") as parent:
        with parent.carve("$0.50") as child, openai.OpenAI(base_url=home.url, api_key="none") as client:
            stream = client.chat.completions.create(**ASKED, stream=True)
            next(iter(stream))
        assert (parent.remaining, parent.spent) == (Decimal("0.50"), Decimal(0)), "it may still cost that"
        with pytest.raises(bursar.BudgetExceeded), parent.carve("$0.60"):
            raise AssertionError("never entered")
        stream.close()
        until(lambda: all(hold.state is not State.OPEN for hold in home.holds()))
        assert (parent.remaining, child.spent, parent.spent) == (Decimal("0.75"), Decimal("0.25"), Decimal("0.25"))
        home.assert_sound()


def test_a_call_that_comes_after_the_end_is_refused(home: House) -> None:
    with bursar.budget("$1") as parent:
        begun, ended = threading.Event(), threading.Event()
        errors: list[Exception] = []

        def late() -> None:
            with child:
                begun.set()
            ended.wait()
            try:
                with child:
                    ask(home)
            except UsageError as error:
                errors.append(error)

        with parent.carve("$0.50") as child:
            thread = threading.Thread(target=late)
            thread.start()
            begun.wait()
        ended.set()
        thread.join()
        assert len(errors) == 1
        assert (parent.remaining, home.requests) == (Decimal(1), 0)


def test_a_decorated_function_carves_anew_each_time(home: House) -> None:
    with bursar.budget("$1") as parent:

        @parent.carve("$0.30", agent="reader")
        def read() -> Decimal | None:
            ask(home)
            return parent.remaining

        assert [read(), read(), read()] == [Decimal("0.70"), Decimal("0.45"), Decimal("0.20")]
        with pytest.raises(bursar.BudgetExceeded):
            read()
        assert (parent.spent, parent.remaining) == (Decimal("0.75"), Decimal("0.25"))


def test_a_budget_that_ends_quietly_does_so_at_a_refused_carve(home: House) -> None:
    entered: list[str] = []
    with bursar.budget("$1", on_exceed="stop") as parent:
        entered.append("parent")
        with parent.carve("$1.50"):
            entered.append("child")
    assert entered == ["parent"]
    assert parent.is_exceeded


def test_a_part_is_no_spending_of_its_own_and_no_new_budget_counts_it(home: House) -> None:
    with bursar.budget("$1", agent="boss") as parent, parent.carve("$0.60", agent="reader"):
        ask(home)
    with home.ledger() as ledger:
        rows = ledger.spend(SpendQuery("default", ("agent",), 0, 2**62))
        assert [(row.values, row.settled.cost_nano, row.calls) for row in rows] == [(("reader",), 250_000_000, 1)]
    bursar.close()
    (home.path / "bursar.yaml").write_text("prices:\n  m: {input: 0, output: 50}\nbudgets:\n  all: $5 / total\n")
    bursar.configure(home.path / "bursar.yaml")
    with home.ledger() as ledger:
        assert [row.balance.settled for row in ledger.balances("default") if row.budget == "all"] == [250_000_000]
    home.assert_sound()


KILLED = (
    f"ASKED = {ASKED!r}"
    + """
import os, signal, sys, bursar, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
with bursar.budget("$1", name="killed") as parent, parent.carve("$0.60", agent="reader"):
    client.chat.completions.create(**ASKED)
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_process_that_is_killed_inside_leaves_its_part_presumed(home: House) -> None:
    command = [sys.executable, "-c", KILLED, home.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    parts = [hold for hold in home.holds() if hold.is_carve]
    assert [(hold.state, hold.held.cost_nano) for hold in parts] == [(State.OPEN, 600_000_000)]
    with bursar.budget("$1"):  # Whoever opens the ledger next knows that the process is gone.
        until(lambda: all(hold.state is not State.OPEN for hold in home.holds()))
    (part,) = (hold for hold in home.holds() if hold.is_carve)
    assert part.state is State.PRESUMED
    with home.ledger() as ledger:
        presumed = [row.balance.presumed for row in ledger.balances("default") if row.budget == "killed"]
    assert max(presumed) == 600_000_000, "charged in full"
    home.assert_sound()


@pytest.mark.parametrize("place", ["in_giving_back", "in_giving_back:2"])
def test_a_process_that_is_killed_while_it_gives_back_never_gives_back_too_much(home: House, place: str) -> None:
    command = [sys.executable, "-c", KILLED.replace("    os.kill(os.getpid(), signal.SIGKILL)\n", ""), home.url]
    environ = {**os.environ, "BURSAR_FAILPOINT": place}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with bursar.budget("$1"):
        until(lambda: all(hold.state is not State.OPEN for hold in home.holds()))
    with home.ledger() as ledger:
        rows = [row.balance for row in ledger.balances("default") if row.budget == "killed"]
    counted = 250_000_000 if place.endswith(":2") else 600_000_000
    assert max(row.settled + row.presumed for row in rows) == counted
    home.assert_sound()


def test_a_ledger_that_is_closed_and_opened_again_inside_gets_the_rest_back_all_the_same(home: House) -> None:
    with bursar.budget("$1") as parent:
        with parent.carve("$0.60"):
            ask(home)
            bursar.close()
        assert (parent.spent, parent.remaining) == (Decimal("0.25"), Decimal("0.75"))
    home.assert_sound()


CHILD = (
    f"ASKED = {ASKED!r}"
    + """
import sys, openai
from bursar.client.inherited import activate
assert activate()
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
try:
    for _ in range(5):
        client.chat.completions.create(**ASKED)
except openai.APIStatusError:
    print("refused")
"""
)


def test_a_child_process_spends_what_was_carved_and_no_more(home: House) -> None:
    with bursar.budget("$1") as parent:
        with parent.carve("$0.60") as child:
            command = [sys.executable, "-c", CHILD, home.url]
            environ = {**os.environ, **child.environment()}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
            assert done.stdout.strip() == "refused", done.stderr
            assert parent.remaining == Decimal("0.40")
        assert (parent.spent, parent.remaining, parent.calls) == (Decimal("0.50"), Decimal("0.50"), 2)
    home.assert_sound()


@pytest.mark.slow
def test_two_hundred_sub_agents_in_threads_never_pass_the_budget_of_their_run(tmp_path: Path) -> None:
    with house(tmp_path, CENT) as home:
        with bursar.budget("$1", agent="boss") as parent, httpx2.Client(timeout=60) as client:

            def agent(number: int) -> bool:
                try:
                    with parent.carve("$0.01", agent=f"sub-{number}"):
                        return client.post(home.chat_url, json=SMALL).status_code == 200
                except bursar.BudgetExceeded:
                    return False

            with ThreadPoolExecutor(16) as pool:
                assert sum(pool.map(agent, range(200))) == 100
            assert (parent.spent, parent.remaining, parent.calls) == (Decimal(1), Decimal(0), 100)
        assert home.provider.invoice(calls=0)["total_nano"] == 10**9
        home.assert_sound()


@pytest.mark.slow
def test_two_hundred_sub_agents_in_tasks_never_pass_the_budget_of_their_run(tmp_path: Path) -> None:
    async def main(home: House) -> None:
        async with bursar.budget("$1", agent="boss") as parent, httpx2.AsyncClient(timeout=60) as client:

            async def agent(number: int) -> bool:
                try:
                    async with parent.carve("$0.01", agent=f"sub-{number}"):
                        return (await client.post(home.chat_url, json=SMALL)).status_code == 200
                except bursar.BudgetExceeded:
                    return False

            assert sum(await asyncio.gather(*map(agent, range(200)))) == 100
            assert (parent.spent, parent.remaining, parent.calls) == (Decimal(1), Decimal(0), 100)

    with house(tmp_path, CENT) as home:
        asyncio.run(main(home))
        assert home.provider.invoice(calls=0)["total_nano"] == 10**9
        home.assert_sound()
