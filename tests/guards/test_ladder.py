"""The rungs before the end: a warning, a sentence to the model, a cheaper model, and every one of them openly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.gateway.house import DOLLAR, House, body_of, house, usd
from tests.guards.kit import client_of, only, row_of

from bursar.core.run import RunState
from bursar.testing import Script
from bursar.wire.notes import with_note
from bursar.wiring.wires import Named, Wires

PLENTY = [usd(1000 * DOLLAR)]
WIRES = Wires(2**20)
WORDS = "Budget notice"


def ask(home: House, *, model: str = "m") -> Any:
    client = client_of(home)
    return client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "hi"}], max_tokens=50
    )


def sent(home: House) -> list[Any]:
    """The bodies that the provider got, the oldest first."""
    return [json.loads(each["body"]) for each in home.provider.requests()]


def test_a_warning_stands_in_the_answers_headers_from_its_percentage_on(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="{limit: 4, on_trip: [warn at 50%, stop]}")) as home:
        warned = [ask(home).headers.get("x-bursar-warning") for _ in range(4)]
        assert warned == [None, None, "steps: 2 of 4 steps", "steps: 3 of 4 steps"]
        with pytest.raises(openai.APIStatusError):
            ask(home)


def test_a_warning_of_money_tells_the_money(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(cost="{limit: $0.01, on_trip: warn at 1%}")) as home:
        ask(home)
        ask(home)
        assert "of $0.01" in ask(home).headers["x-bursar-warning"]


def test_the_model_is_told_in_the_next_request_only_where_that_is_switched_on(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="{limit: 10, on_trip: note at 10%}")) as home:
        for _ in range(2):
            ask(home)
        first, second = sent(home)
        assert WORDS not in json.dumps(first)
        assert WORDS in second["messages"][-1]["content"]
        home.assert_sound()


def test_the_rest_of_a_run_goes_to_the_cheaper_model_and_is_recorded_as_that(tmp_path: Path) -> None:
    scripts = {"dear": Script(), "cheap": Script(output_tokens=7)}
    with house(
        tmp_path, PLENTY, scripts=scripts, guards=only(steps="{limit: 10, on_trip: model cheap at 20%}")
    ) as home:
        answers = [ask(home, model="dear") for _ in range(3)]
        assert [json.loads(answer.text)["model"] for answer in answers] == ["dear", "dear", "cheap"]
        assert answers[2].headers["x-bursar-model"] == "cheap"
        assert [hold.labels["model"] for hold in home.holds()] == ["dear", "dear", "cheap"]


def test_a_model_that_nobody_answers_changes_nothing(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="{limit: 10, on_trip: model other/x at 10%}")) as home:
        for _ in range(2):
            assert ask(home).headers["x-bursar-run"] == "r"
        assert row_of(home).state is RunState.RUNNING


@pytest.mark.parametrize("wire", ["openai", "anthropic", "responses", "gemini"])
def test_a_note_is_the_last_word_in_every_api_and_is_counted_as_input(wire: str) -> None:
    name = {"openai": "openai.chat", "anthropic": "anthropic.messages", "responses": "openai.responses"}.get(wire)
    reader = WIRES.wire(name) if name else WIRES.naming(Named("m", "v1beta", is_stream=False, is_sse=False))
    request = reader.parse(body_of(wire))
    noted = with_note(request, "Stop now.")
    assert noted.anatomy.total > request.anatomy.total
    again = reader.parse(reader.encode(noted, model="m", cap=100))
    assert again.anatomy.total >= noted.anatomy.total - 40
    assert "Stop now." in json.dumps(noted.body)[-120:]


def test_a_note_stands_with_the_results_of_tools_and_never_between(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "find"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
    ]
    with house(tmp_path, PLENTY, guards=only(steps="{limit: 10, on_trip: note at 10%}")) as home:
        with anthropic.Anthropic(base_url=home.url, api_key="k", default_headers={"x-bursar-run": "r"}) as client:
            for _ in range(2):
                client.messages.create(model="m", max_tokens=100, messages=messages)  # type: ignore[arg-type]
        last = sent(home)[-1]["messages"][-1]
        assert [block["type"] for block in last["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize("wire", ["embeddings", "completions"])
def test_what_has_no_conversation_gets_no_note(wire: str) -> None:
    request = WIRES.wire(f"openai.{wire}").parse(body_of(wire))
    assert with_note(request, "Stop now.") is request
