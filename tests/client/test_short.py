"""Who hears of an answer that ended before it was whole: only where money or a guard ended it, and whose it was."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.client.house import HELLO, PRICES, QUARTER, House, house

import bursar
from bursar.actions.acting import By
from bursar.actions.runs import RunWish, stop_run
from bursar.pipeline.call import Call
from bursar.testing import Script
from bursar.wire.base import Refusal
from bursar.wiring import local

Heard = list[tuple[Call, Refusal, int]]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    found: Heard = []
    monkeypatch.setattr(local, "_to_run", lambda _: lambda *told: found.append(told))
    return found


def ask(home: House, *, cap: int, is_stream: bool = False) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        answer = client.chat.completions.create(model="m", max_tokens=cap, messages=HELLO, stream=is_stream)
        return list(answer) if is_stream else answer


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_took_all_the_room_of_a_budget_is_that_budgets_matter(
    home: House, heard: Heard, is_stream: bool
) -> None:
    with bursar.budget("$9", name="outer"), bursar.budget("$0.2048", name="tight"), bursar.budget("$5", name="inner"):
        ask(home, cap=20_000, is_stream=is_stream)
    ((call, refusal, share_ns),) = heard
    (whose,) = [budget.name for budget in call.budgets if budget.identity == refusal.budget]
    assert whose == "tight" and "Budget 'tight' has no room for more of this answer" in refusal.message
    assert share_ns == 0, "the budget has no more"


@pytest.mark.parametrize(
    ("amount", "cap"), [("$0.90", 20_000), ("$0.25", 20_000)], ids=["a fourth of it", "what such answers usually need"]
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_came_to_the_end_of_its_share_is_told_with_when(
    home: House, heard: Heard, amount: str, cap: int, is_stream: bool
) -> None:
    began_ns = time.time_ns()
    with bursar.budget("$9", name="outer"), bursar.budget(amount, name="tight"), bursar.budget("$5", name="inner"):
        ask(home, cap=cap, is_stream=is_stream)
    ((call, refusal, share_ns),) = heard
    (whose,) = [budget.name for budget in call.budgets if budget.identity == refusal.budget]
    assert whose == "tight" and "Budget 'tight' had a share of what is left for this answer" in refusal.message
    assert began_ns <= share_ns <= time.time_ns()


@pytest.mark.parametrize(
    ("amount", "cap"), [("$5", 100), ("$0.2048", 4096), ("$5", 20_000)],
    ids=["the client's cap", "the client's cap and all the room", "whole"],
)  # fmt: skip
def test_an_answer_that_ended_otherwise_is_nobodys_matter(home: House, heard: Heard, amount: str, cap: int) -> None:
    with bursar.budget(amount):
        ask(home, cap=cap)
    assert home.requests == 1 and heard == []


def test_an_answer_whose_run_was_stopped_says_so(tmp_path: Path, heard: Heard) -> None:
    slow = Script(output_tokens=QUARTER.output_tokens, tokens_per_s=60.0)
    guarded = PRICES + "guards: {steps: 9, seconds: off, loops: off}\n"
    with (
        house(tmp_path, slow, configuration=guarded) as home,
        bursar.budget("$5", run="r"),
        openai.OpenAI(base_url=home.url, api_key="k") as client,
        client.chat.completions.create(model="m", max_tokens=5_000, messages=HELLO, stream=True) as stream,
    ):
        next(iter(stream))
        with home.ledger() as ledger:
            stop_run(ledger, RunWish("default", "r"), By("operator", time.time_ns()))
        assert [choice.finish_reason for chunk in stream for choice in chunk.choices][-1] == "length"
    ((_, refusal, _),) = heard
    assert "Run 'r' was ended by a guard or a person" in refusal.message and not refusal.budget


def test_under_asyncio_a_whole_answer_is_not_awaited_beyond_its_runs_seconds(tmp_path: Path, heard: Heard) -> None:
    never = Script(output_tokens=QUARTER.output_tokens, first_byte_s=60.0)
    guarded = PRICES + "guards: {seconds: 1, steps: off, loops: off}\n"

    async def late(home: House) -> None:
        async with openai.AsyncOpenAI(base_url=home.url, api_key="k", max_retries=0) as client:
            await client.chat.completions.create(model="m", max_tokens=50, messages=HELLO)

    with house(tmp_path, never, configuration=guarded) as home, bursar.budget("$5", run="r", on_exceed="raise"):
        with pytest.raises(openai.APIStatusError, match="seconds") as refused:
            asyncio.run(late(home))
        assert refused.value.status_code == 402
    ((_, refusal, _),) = heard
    assert "Run 'r' was ended by a guard or a person" in refusal.message
