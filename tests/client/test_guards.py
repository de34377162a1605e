"""The breakers of a configuration stop a run in a program as they do at the gateway, blocking and async alike."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.client.house import PRICES, House, house

import bursar
from bursar.actions.acting import By
from bursar.actions.runs import RunWish, stop_run
from bursar.core.run import RunState
from bursar.testing import Script, ToolCall

TOOL = Script(tool_call=ToolCall("search", '{"q": "x"}'), output_tokens=8)
GUARDS = PRICES + "guards: {tool_calls: 3, loops: off}\n"
TOOLS: Any = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}]
ASKED: Any = {"model": "m", "max_tokens": 50, "tools": TOOLS}


def ask(home: House, *, is_stream: bool = False, cap: int = 50) -> None:
    asked = {**ASKED, "max_tokens": cap}
    with openai.OpenAI(base_url=home.url, api_key="k") as client:
        answer = client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=is_stream, **asked)
        if is_stream:
            list(answer)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_run_has_its_three_tool_calls_and_is_stopped_with_one_refusal(tmp_path: Path, is_stream: bool) -> None:
    with house(tmp_path, TOOL, configuration=GUARDS) as home:
        with bursar.budget("$5", run="r"):
            for _ in range(3):
                ask(home, is_stream=is_stream)
            with pytest.raises(openai.APIStatusError, match="3 of 3 tool calls") as refused:
                ask(home)
        assert refused.value.response.headers["x-bursar-guard"] == "tool_calls"
        assert home.requests == 3
        home.assert_sound()


def test_what_a_child_run_spends_counts_in_its_parents_budget_and_not_in_the_guards_of_its_run(tmp_path: Path) -> None:
    """A budget of the program holds whatever is below it, under whatever run; a budget by run counts that run alone."""
    guarded = PRICES + "guards: {cost: $0.50, loops: off}\n"
    with house(tmp_path, configuration=guarded) as home, bursar.budget("$1.25", run="parent", name="all") as parent:
        for child in ("first", "second"):
            with bursar.budget("$5", run=child):
                for _ in range(2):
                    ask(home, cap=5_000)
                with pytest.raises(bursar.BudgetExceeded, match="guard cost"):
                    ask(home, cap=5_000)
        ask(home, cap=5_000)
        with pytest.raises(bursar.BudgetExceeded, match="Budget 'all'"), bursar.budget("$5", run="third"):
            ask(home, cap=5_000)
        assert (home.requests, parent.spent) == (5, Decimal("1.25"))
        by_run = {row.labels["run"]: row.cost for row in bursar.spend(by=("run",))}
        assert by_run == {"first": Decimal("0.50"), "second": Decimal("0.50"), "parent": Decimal("0.25")}
        home.assert_sound()


def test_a_budget_inside_a_run_that_names_no_other_counts_in_the_guards_of_that_run(tmp_path: Path) -> None:
    guarded = PRICES + "guards: {cost: $0.50, loops: off}\n"
    with house(tmp_path, configuration=guarded) as home, bursar.budget("$5", run="parent"):
        for agent in ("first", "second"):
            with bursar.budget("$5", agent=agent):
                ask(home, cap=5_000)
        with pytest.raises(bursar.BudgetExceeded, match="guard cost"), bursar.budget("$5", agent="third"):
            ask(home, cap=5_000)


def test_a_run_is_stopped_under_asyncio(tmp_path: Path) -> None:
    async def run(home: House) -> None:
        async with openai.AsyncOpenAI(base_url=home.url, api_key="k") as client:
            with bursar.budget("$5", run="r"):
                for _ in range(5):
                    await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], **ASKED)

    with house(tmp_path, TOOL, configuration=GUARDS) as home:
        with pytest.raises(openai.APIStatusError, match="3 of 3 tool calls"):
            asyncio.run(run(home))
        assert home.requests == 3


def test_a_stream_in_a_program_ends_when_somebody_stops_its_run(tmp_path: Path) -> None:
    slow = Script(output_tokens=5_000, tokens_per_s=60.0)
    with house(tmp_path, slow, configuration=PRICES + "guards: {steps: 9, seconds: off, loops: off}\n") as home:
        with bursar.budget("$5", run="r"), openai.OpenAI(base_url=home.url, api_key="k") as client:
            reasons: list[str] = []
            for chunk in client.chat.completions.create(
                model="m", max_tokens=5_000, messages=[{"role": "user", "content": "x"}], stream=True
            ):
                if not reasons:
                    with home.ledger() as ledger:
                        row = ledger.run_row("default", "r")
                        assert row is not None
                        if row.state is RunState.RUNNING:
                            stop_run(ledger, RunWish("default", "r"), By("operator", ledger.latest_ns()))
                reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
        assert reasons == ["length"]
        assert "cut" in home.holds()[0].flags


def test_the_rest_of_a_run_goes_to_the_cheaper_model_on_the_programs_own_connection(tmp_path: Path) -> None:
    guards = "guards: {steps: {limit: 9, on_trip: model cheap at 20%}, loops: off, tool_calls: off}\n"
    prices = "prices:\n  m: {input: 0, output: 50}\n  cheap: {input: 0, output: 1}\n"
    with house(tmp_path, Script(output_tokens=5), configuration=prices + guards) as home:
        with bursar.budget("$5", run="r"):
            for _ in range(3):
                ask(home)
        assert [hold.labels["model"] for hold in home.holds()] == ["m", "m", "cheap"]


def test_what_the_last_call_cost_counts_for_the_next_rung_before_it_is_written(tmp_path: Path) -> None:
    guards = "guards: {cost: {limit: $1, on_trip: model cheap at 20%}, loops: off, tool_calls: off, steps: off}\n"
    prices = "prices:\n  m: {input: 0, output: 50}\n  cheap: {input: 0, output: 1}\n"
    with house(tmp_path, configuration=prices + guards) as home:
        with bursar.budget("$5", run="r"):
            for _ in range(2):
                ask(home, cap=5000)
        assert [hold.labels["model"] for hold in home.holds()] == ["m", "cheap"]
