"""A run that goes in circles is warned, parked or stopped, once and cleanly: the real gateway and the real SDKs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.cli.filled import run
from tests.gateway.house import DOLLAR, House, house, usd
from tests.guards.kit import SEARCHES, agent, client_of, guards_of, only, row_of

from bursar.core.hold import State
from bursar.core.loops import LOOPS
from bursar.core.run import RunChange, RunState, RunVerb
from bursar.testing import Script, ToolCall

PLENTY = [usd(1000 * DOLLAR)]
TOOL: Any = {"type": "function", "name": "search", "parameters": {"type": "object", "properties": {}}, "strict": False}


def notes(made: House) -> list[str]:
    """What the guard saw in each call of the ledger, the first first."""
    with made.ledger() as ledger:
        return [row.note.seen for row in reversed(ledger.holds("default", tuple(State), 100))]


def sent(made: House) -> list[Any]:
    """The bodies that the provider got, the first first."""
    return [json.loads(each["body"]) for each in made.provider.requests()]


def approve(made: House, run: str = "r") -> None:
    with made.ledger() as ledger:
        ledger.change_run("default", run, RunChange(RunVerb.APPROVE, row_of(made, run).since_ns + 1))


def test_the_defaults_stop_an_agent_that_goes_in_circles_before_its_tool_calls_are_used_up(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards_of("default")) as made:
        ran, error = agent(client_of(made), found="nothing was found at all")
        assert ran == LOOPS.row
        assert error is not None
        assert error.status_code == 402
        assert error.response.headers["x-should-retry"] == "false"
        assert error.response.headers["x-bursar-guard"] == "loops"
        assert f"the call `search` was made {LOOPS.row} times in a row, with the same outcome" in error.message
        assert "nothing was found" not in error.message
        assert made.provider.invoice()["requests"] == LOOPS.row
        row = row_of(made)
        assert (row.state, row.guard, row.figure) == (RunState.STOPPED, "loops", LOOPS.row)
        again = agent(client_of(made), turns=1)[1]
        assert again is not None, "it stays stopped, whatever the next request shows"
        assert agent(client_of(made, "other"), turns=2) == (2, None)
        made.assert_free()


def test_a_ladder_is_climbed_one_rung_a_finding(tmp_path: Path) -> None:
    guards = only(loops="{row: 3, on_trip: [warn, park]}")
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards) as made:
        client = client_of(made).chat.completions.with_raw_response
        messages: list[Any] = [{"role": "user", "content": "find x"}]
        for count in range(3):
            assert "x-bursar-warning" not in create(client, messages).headers
            messages += searched(count)
        warned = create(client, messages)
        sentence = "the call `search` was made 3 times in a row, with the same outcome"
        assert warned.headers["x-bursar-warning"] == f"loops: {sentence}"
        # A client that sends the same once more has done nothing more.
        assert "x-bursar-warning" not in create(client, messages).headers
        messages += searched(3)
        with pytest.raises(openai.APIStatusError) as refused:
            create(client, messages)
        assert refused.value.response.headers["x-bursar-run-state"] == "parked"
        assert "made 4 times in a row" in refused.value.message
        assert notes(made) == ["", "", "", "row 3", ""]
        approve(made)
        assert create(client, messages).headers["x-bursar-run-state"] == "running"
        messages += searched(4)
        assert "x-bursar-warning" in create(client, messages).headers, "a person let it go on: the ladder begins anew"


def test_the_model_is_told_and_then_a_cheaper_one_is_asked_for_the_rest_of_the_run(tmp_path: Path) -> None:
    guards = only(loops="{row: 3, on_trip: [note, model small, stop]}")
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards) as made:
        client = client_of(made).chat.completions.with_raw_response
        messages: list[Any] = [{"role": "user", "content": "find x"}]
        for count in range(3):
            messages += searched(count)
        create(client, messages)
        told = sent(made)[-1]["messages"][-1]
        assert told["role"] == "user"
        assert "this run repeats itself: the same step was made 3 times in a row" in told["content"]
        assert "search" not in told["content"]
        messages += searched(3)
        assert create(client, messages).headers["x-bursar-model"] == "small"
        elsewhere = [*messages, *searched(4, "something new")]
        assert create(client, elsewhere).headers["x-bursar-model"] == "small", "for the rest of the run"
        assert [body["model"] for body in sent(made)] == ["m", "small", "small"]
        with pytest.raises(openai.APIStatusError, match="5 times in a row"):
            create(client, [*messages, *searched(4)])


def create(client: Any, messages: list[Any]) -> Any:
    return client.create(model="m", messages=messages, max_tokens=50)


def searched(count: int, found: str = "nothing was found at all") -> list[Any]:
    call = {"id": f"call_{count}", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}}
    answer = {"role": "tool", "tool_call_id": f"call_{count}", "content": found}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}, answer]


def test_streams_of_anthropics_sdk_are_stopped_alike(tmp_path: Path) -> None:
    script = Script(tool_call=ToolCall("search", '{"q": "x"}'), output_tokens=8)
    with house(tmp_path, PLENTY, scripts={"*": script}, guards=only(loops="default")) as made:
        headers = {"x-bursar-run": "r"}
        with anthropic.Anthropic(base_url=made.url, api_key="k", default_headers=headers) as client:
            messages: list[Any] = [{"role": "user", "content": "find x"}]
            for _ in range(LOOPS.row):
                messages += streamed(client, messages)
            with pytest.raises(anthropic.APIStatusError) as refused:
                streamed(client, messages)
        assert (refused.value.status_code, refused.value.response.headers["x-bursar-guard"]) == (402, "loops")
        assert made.provider.invoice()["requests"] == LOOPS.row


def streamed(client: anthropic.Anthropic, messages: list[Any]) -> list[Any]:
    with client.messages.stream(model="m", messages=messages, max_tokens=50) as stream:
        answer = stream.get_final_message()
    (use,) = (each for each in answer.content if each.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "nothing was found at all"}
    said = {"role": "assistant", "content": [each.to_dict() for each in answer.content]}
    return [said, {"role": "user", "content": [result]}]


def test_answers_that_are_continued_by_name_are_followed(tmp_path: Path) -> None:
    """Only what the tools gave is in these requests; what the model asked for is known from its answers."""
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=only(loops="default")) as made:
        client = client_of(made).responses
        answer = client.create(model="m", input="find x", tools=[TOOL], max_output_tokens=50)
        for _ in range(LOOPS.row - 1):
            answer = continued(client, answer)
        with pytest.raises(openai.APIStatusError) as refused:
            continued(client, answer)
        assert refused.value.response.headers["x-bursar-guard"] == "loops"
        assert "the call `search` was made 5 times in a row" in refused.value.message


def continued(client: Any, answer: Any) -> Any:
    (call,) = (each for each in answer.output if each.type == "function_call")
    gave = {"type": "function_call_output", "call_id": call.call_id, "output": "nothing was found at all"}
    return client.create(model="m", previous_response_id=answer.id, input=[gave], tools=[TOOL], max_output_tokens=50)


def test_a_gateway_that_was_restarted_knows_a_loop_from_the_request_alone(tmp_path: Path) -> None:
    guards = only(loops="default")
    messages: list[Any] = [{"role": "user", "content": "find x"}]
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards) as made:
        for count in range(LOOPS.row - 1):
            create(client_of(made).chat.completions.with_raw_response, messages)
            messages += searched(count)
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards) as made:
        create(client_of(made).chat.completions.with_raw_response, messages)
        messages += searched(9)
        with pytest.raises(openai.APIStatusError, match="5 times in a row"):
            create(client_of(made).chat.completions.with_raw_response, messages)


def test_a_person_lets_a_stopped_run_go_on_with_one_command(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=only(loops="default")) as made:
        assert agent(client_of(made), found="nothing was found at all")[1] is not None
        approved = run("runs", "approve", "r", "--store", tmp_path / "bursar.db")
        assert approved.exit_code == 0, approved.output
        assert row_of(made).state is RunState.RUNNING
        # It begins anew, and is caught anew.
        assert agent(client_of(made), found="nothing was found at all")[0] == LOOPS.row
        told = run("runs", "show", "r", "--store", tmp_path / "bursar.db").stdout
        assert "stopped, by the guard loops, the call `search` was made 5 times in a row" in told


def test_money_spent_on_nothing_new_stops_a_run(tmp_path: Path) -> None:
    guards = only(loops="{row: off, row_alike: off, again: off, stale: $0.01, stale_steps: 2}")
    script = Script(tool_call=SEARCHES.tool_call, output_tokens=50, input_tokens=1_000)
    with house(tmp_path, PLENTY, scripts={"*": script}, guards=guards) as made:
        ran, error = agent(client_of(made), found="nothing was found at all")
        assert error is not None
        # A step costs $0.003. The first answer was new; then the ledger's own sum passes a cent.
        assert "were spent in 4 steps that brought nothing new" in error.message
        assert ran == 5
        assert agent(client_of(made, "healthy"), turns=12) == (12, None)


def test_the_guard_looks_at_the_runs_that_it_is_for_and_at_no_others(tmp_path: Path) -> None:
    guards = only(loops="{row: 2, match: {agent: wild}}")
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards) as made:
        assert agent(client_of(made, "calm", agent="calm"), turns=8, found="the same again") == (8, None)
        assert agent(client_of(made, "wild", agent="wild"), turns=8, found="the same again")[0] == 2
