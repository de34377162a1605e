"""A run that nobody names is inferred, shown as inferred, never shared with another key, agent or user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.gateway.house import DOLLAR, House, house, usd
from tests.guards.kit import SEARCHES, agent, client_of, only

from bursar.core.budget import Budget, Limit, Unit
from bursar.core.window import Window, WindowKind
from bursar.guards import naming
from bursar.testing import Script
from bursar.testing.gateway import GatewayProcess

PLENTY = [usd(1000 * DOLLAR)]
PER_RUN = Budget("each run", (Limit(Unit.REQUESTS, 3),), Window(WindowKind.RUN))


def runs_of(home: House) -> list[str]:
    return [hold.labels.get("run", "") for hold in home.holds()]


def hello(home: House, headers: Mapping[str, str] | None = None, text: str = "hello") -> int:
    return home.ask(headers=headers, messages=[{"role": "user", "content": text}]).status


def test_the_steps_of_one_conversation_are_one_run_which_is_marked_and_stopped(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=only(tool_calls="4")) as home:
        ran, error = agent(client_of(home, ""))
        assert ran == 4
        assert isinstance(error, openai.APIStatusError)
        (run,) = set(runs_of(home))
        assert run.startswith("inferred-")
        with home.ledger() as ledger:
            row = ledger.run_row("default", run)
            assert row is not None
            assert row.prefix
        assert home.send("GET", f"/bursar/v1/runs/{run}/state").json["is_inferred"] is True


def test_where_nothing_counts_by_run_none_is_inferred(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY) as home:
        hello(home)
        assert runs_of(home) == [""]


def test_a_budget_per_run_needs_a_run_and_each_conversation_has_its_own(tmp_path: Path) -> None:
    with house(tmp_path, [*PLENTY, PER_RUN]) as home:
        assert [hello(home, text="one") for _ in range(4)] == [200, 200, 200, 402]
        assert hello(home, text="two") == 200
        assert len(set(runs_of(home))) == 2


@pytest.mark.parametrize("label", ["agent", "user", "session", "task"])
def test_calls_of_another_agent_user_session_or_task_are_another_run(tmp_path: Path, label: str) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="9")) as home:
        for value in ("a", "b"):
            hello(home, {f"x-bursar-{label}": value})
        assert len(set(runs_of(home))) == 2


def test_a_users_word_after_a_while_begins_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "SAME_NS", 1)
    with house(tmp_path, PLENTY, guards=only(steps="9")) as home:
        hello(home)
        hello(home)
        assert len(set(runs_of(home))) == 2


def test_a_response_that_is_continued_stays_in_its_run(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="2")) as home:
        client = client_of(home, "")
        first = client.responses.create(model="m", input="hello", max_output_tokens=50)
        client.responses.create(model="m", input="go on", previous_response_id=first.id, max_output_tokens=50)
        assert len(set(runs_of(home))) == 1
        with pytest.raises(openai.APIStatusError):
            client.responses.create(model="m", input="go on", previous_response_id=first.id, max_output_tokens=50)


def test_what_has_no_conversation_belongs_to_no_run_and_no_guard_looks_at_it(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="1")) as home:
        assert [home.ask("embeddings").status for _ in range(3)] == [200] * 3
        assert set(runs_of(home)) == {""}


def test_a_conversation_that_goes_on_at_another_process_is_the_same_run(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": Script()}, guards=only(steps="9"), is_process=True) as home:
        messages: list[Any] = [{"role": "user", "content": "hello"}]
        home.ask(messages=messages)
        with GatewayProcess(home.process.settings) as second:
            call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            messages += [{"role": "assistant", "content": None, "tool_calls": [call]}]
            messages += [{"role": "tool", "tool_call_id": "1", "content": "x"}]
            client = openai.OpenAI(base_url=f"{second.url}/v1", api_key="k")
            with client:
                client.chat.completions.create(model="m", messages=messages, max_tokens=50)
        assert len(set(runs_of(home))) == 1
