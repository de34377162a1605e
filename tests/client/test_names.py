"""What an adapter names lies around the calls that follow, inside the budgets that are open, no longer than they."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import openai
import pytest
from tests.client.house import ASKED, PRICES, House, house

import bursar
from bursar.actions.acting import By
from bursar.actions.limits import TopUpWish, top_up
from bursar.client.adapters import naming
from bursar.client.runtime import runtime
from bursar.client.scopes import around


def labels() -> Mapping[str, str]:
    return {name: value for name, value in around().labels.items() if name != "run"}


def ask(home: House) -> None:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        client.chat.completions.create(**ASKED)


def wrapped(home: House) -> None:
    """Ask as a framework does that has errors of its own."""
    try:
        ask(home)
    except openai.APIStatusError as error:
        raise RuntimeError("the model failed") from error


def test_the_steps_of_a_run_are_numbered_over_all_of_its_agents(home: House) -> None:
    with bursar.budget("$5", task="t"):
        for agent in ("boss", "writer", "boss"):
            with naming.step(agent=agent):
                ask(home)
    assert [(row.labels["agent"], row.labels["step"]) for row in home.holds()] == [
        ("boss", "1"),
        ("writer", "2"),
        ("boss", "3"),
    ]


def test_a_tool_is_named_while_it_runs_and_an_agent_inside_it_is_that_tools(home: House) -> None:
    with bursar.budget("$5", agent="boss"):
        with naming.tool("search"):
            assert labels() == {"agent": "boss", "tag.tool": "search"}
            with naming.step(agent="reader"):
                assert labels() == {"agent": "reader", "step": "1", "tag.tool": "search"}
            assert labels() == {"agent": "boss", "tag.tool": "search"}
        assert labels() == {"agent": "boss"}


def test_the_step_after_a_tool_is_not_that_tools(home: House) -> None:
    with bursar.budget("$5"):
        naming.name_step(agent="boss")
        naming.name_tool("search")
        naming.name_step(agent="boss")
        assert labels() == {"agent": "boss", "step": "2"}


def test_a_budget_that_is_opened_inside_of_a_name_has_the_last_word(home: House) -> None:
    with bursar.budget("$5", agent="outer"):
        naming.name_step(agent="named")
        with bursar.budget(agent="inner", step="read"):
            assert labels() == {"agent": "inner", "step": "read"}
            naming.name_step(agent="named inside")
            assert labels() == {"agent": "named inside", "step": "2"}


def test_a_name_ends_with_the_budget_that_it_was_given_in(home: House) -> None:
    with bursar.budget("$5"):
        naming.name_step(agent="forgotten")
    assert labels() == {}
    with bursar.budget("$5", agent="next"):
        assert labels() == {"agent": "next"}


def test_tasks_at_the_same_time_keep_their_own_names(home: House) -> None:
    async def agent(name: str) -> str:
        naming.name_step(agent=name)
        await asyncio.sleep(0)
        return around().labels["agent"]

    async def both() -> Sequence[str]:
        return await asyncio.gather(agent("a"), agent("b"))

    with bursar.budget("$5"):
        assert list(asyncio.run(both())) == ["a", "b"]


def test_a_thread_without_a_context_still_counts_and_may_be_named(home: House) -> None:
    seen: list[Mapping[str, str]] = []

    def work() -> None:
        naming.name_step(agent="in a thread")
        seen.append(around().labels)
        ask(home)

    with bursar.budget("$5", task="t") as budget:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert budget.calls == 1
    assert seen[0].items() >= {"agent": "in a thread", "task": "t"}.items()


def test_a_spent_budget_stops_a_step_before_it_is_tried(home: House) -> None:
    with bursar.budget("$0.25", agent="boss") as budget:
        ask(home)
        for _ in range(3):
            with pytest.raises(bursar.BudgetExceeded, match="Budget 'boss'"), naming.step():
                ask(home)
        assert budget.report().refused == 1, "the first attempt is refused, the others are not made"
    assert home.requests == 1
    assert ", 1 refused" in str(budget.report())


def test_a_while_later_the_ledger_is_asked_again_since_a_person_may_have_given_more(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bursar.budget("$0.25") as budget:
        ask(home)
        for pause_s, refused in ((naming.REFUSED_S, 1), (naming.REFUSED_S, 1), (0.0, 2)):
            monkeypatch.setattr(naming, "REFUSED_S", pause_s)
            with pytest.raises(bursar.BudgetExceeded), naming.step():
                ask(home)
            assert budget.report().refused == refused


def test_what_a_person_gives_is_noticed_at_once(tmp_path: Path) -> None:
    in_file = "budgets:\n  team: $0.25 / day\n"
    with house(tmp_path, configuration=PRICES + in_file) as home, bursar.budget("$5") as budget:
        ask(home)
        for _ in range(3):
            with pytest.raises(bursar.BudgetExceeded, match="Budget 'team'"), naming.step():
                ask(home)
        assert budget.report().refused == 1
        with home.ledger() as ledger:
            wish = TopUpWish("default", "team", "$0.25")
            top_up(ledger, runtime.engine().settings.budgets, wish, By("operator", time.time_ns()))
        ends_s = time.monotonic() + naming.REFUSED_S / 2
        while naming.refusal() is not None:
            assert time.monotonic() < ends_s
            os.sched_yield()
        with naming.step():
            ask(home)
        for _ in range(3):
            with pytest.raises(bursar.BudgetExceeded, match="Budget 'team'"), naming.step():
                ask(home)
        assert budget.report().refused == 2, "from then on nothing was set"
        assert home.requests == 2


def test_what_a_framework_makes_of_a_refusal_leaves_as_bursars(home: House) -> None:
    with bursar.budget("$0.25"):
        ask(home)
        with pytest.raises(bursar.BudgetExceeded, match="Budget 'budget'"), naming.block():
            wrapped(home)


def test_an_error_that_is_no_refusal_goes_on_as_it_came(home: House) -> None:
    with bursar.budget("$0.25"), pytest.raises(RuntimeError, match="own"), naming.step():
        raise RuntimeError("own")


def test_the_report_of_a_run_has_the_calls_of_agents_that_are_called_otherwise(home: House) -> None:
    with bursar.budget("$5", agent="boss") as budget, naming.step(agent="writer"):
        ask(home)
    assert [row.agent for row in budget.report().rows] == ["writer"]
