"""The breakers of a configuration stop a run in a program as they do at the gateway, blocking and async alike."""

from __future__ import annotations

import asyncio
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


def ask(home: House, *, is_stream: bool = False) -> None:
    with openai.OpenAI(base_url=home.url, api_key="k") as client:
        answer = client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=is_stream, **ASKED)
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
