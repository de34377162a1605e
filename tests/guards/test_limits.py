"""What a call asks of its run is what the guards say for its labels, however often it was asked before."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guards.kit import guards_of, only

from bursar.core.guards import Guards
from bursar.core.labels import Labels
from bursar.core.provider import Provider
from bursar.core.run import RunAsk, RunRow
from bursar.guards import limits
from bursar.guards.board import RunBoard
from bursar.guards.ladder import Ladder
from bursar.guards.limits import RunLimits
from bursar.guards.naming import RunNaming
from bursar.guards.parking import Parking
from bursar.pipeline.call import Call, Next, Reply, Stage
from bursar.pipeline.stages import StageParts, stages
from bursar.wire.openai_chat import OpenAIChat

MIXED = guards_of(
    '{steps: [{limit: 9, match: {agent: "wild*"}}, {limit: 4, match: {user: [ann, bob]}}], cost: off, tokens: off,'
    " spend_per_minute: off, loops: off, tool_calls: {limit: 3, match: {agent: tame}}, seconds: off}"
)
SETS = [MIXED, only(steps="5"), only(loops="default"), only(steps="{limit: 5, on_trip: park}"), Guards()]
WIRE = OpenAIChat()
USED = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def call_of(labels: dict[str, str], messages: list[Any] | None = None) -> Call:
    body = {"model": "m", "messages": messages or [{"role": "user", "content": "hi"}]}
    provider = Provider("p", "http://127.0.0.1/v1", ("openai.chat",))
    request = WIRE.parse(json.dumps(body).encode())
    return Call("id", "default", WIRE, request, provider, "m", Labels(labels), "/chat/completions", {})


def passed(stage: Stage, call: Call) -> tuple[Call, bool]:
    """Send a call through a stage; gives what came out of it, and whether the next one's answer is handed on as it is.

    A stage that has nothing to do makes no coroutine of its own.
    """
    came: list[Call] = []

    class Answer:
        def __await__(self) -> Any:
            raise NotImplementedError

    answer: Any = Answer()

    def following(given: Call) -> Any:
        came.append(given)
        return answer

    is_handed_on = stage(call, following) is answer
    return came[0], is_handed_on


LABELS = st.fixed_dictionaries(
    {"run": st.sampled_from(["r", "s"])},
    optional={"agent": st.sampled_from(["wild1", "wild2", "tame"]), "user": st.sampled_from(["ann", "bob", "cy"])},
)


@given(asked=st.lists(LABELS, min_size=1, max_size=8), which=st.sampled_from(SETS))
def test_remembered_limits_are_those_that_the_guards_give(asked: list[dict[str, str]], which: Guards) -> None:
    stage = RunLimits(which)
    for labels in asked:
        expected = which.limits(Labels(labels))
        call, _ = passed(stage, call_of(labels))
        assert (call.run.limits if call.run is not None else None) == expected


def test_of_more_combinations_than_are_remembered_the_limits_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KNOWN_MAX", 2)
    stage = RunLimits(MIXED)
    for number in (1, 2, 3, 1, 4, 2):
        labels = {"run": "r", "agent": f"wild{number}", "user": "ann"}
        call, _ = passed(stage, call_of(labels))
        assert call.run is not None
        assert call.run.limits == MIXED.limits(Labels(labels))
        assert len(stage._known) <= 2


def test_what_was_asked_before_is_kept_and_the_conversation_added() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [USED, USED]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
    ]
    call = call_of({"run": "r"}, messages)
    for done, expected in ((0, 2), (7, 7)):
        asking = replace(call, run=RunAsk("r", tool_calls=done, prefix="p"), parent_run="above")
        came, is_handed_on = passed(RunLimits(only(steps="5")), asking)
        limit = only(steps="5").limits(call.labels)
        assert came == replace(asking, run=RunAsk("r", limit or (), "above", 1, expected, "p"))
        assert is_handed_on


def test_a_call_that_asks_keeps_all_else_that_it_is() -> None:
    call = call_of({"run": "r"})
    odd = Call(*(f"value {at}" if each.init else None for at, each in enumerate(fields(Call))))  # type: ignore[arg-type]
    for each in (call, odd):
        assert each.asking(RunAsk("s")) == replace(each, run=RunAsk("s"))
    assert all(
        getattr(odd.asking(RunAsk("s")), each.name) == getattr(odd, each.name)
        for each in fields(Call)
        if each.name != "run"
    )


async def _nothing(seconds: float) -> None:
    raise AssertionError


def _stages() -> list[Callable[[Guards], Stage]]:
    runs: Any = None
    return [
        lambda guards: RunNaming(lambda: True, runs, lambda: 0),
        lambda guards: Parking(guards, runs, lambda: 0, _nothing),
        lambda guards: Ladder(guards, RunBoard(), lambda: 0, lambda call, model: call),
        RunLimits,
    ]


@pytest.mark.parametrize("make", _stages())
def test_a_stage_with_nothing_to_do_hands_the_call_on_without_a_coroutine(make: Callable[[Guards], Stage]) -> None:
    assert passed(make(only(steps="5")), call_of({"run": "r"}))[1]


def test_a_stage_that_waits_for_the_reply_is_one() -> None:
    call = call_of({"run": "r"})
    budgeted = only(cost="{limit: $1, on_trip: park}")
    refused = Reply(200, (), b"")

    async def following(given: Call) -> Reply:
        return refused

    way: Next = following
    waiting = Parking(budgeted, Any, lambda: 0, _nothing)(call, way)  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as ended:
        waiting.__await__().__next__()
    assert ended.value.value is refused


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Guards(), [RunNaming]),
        (only(steps="5"), [RunNaming, RunLimits]),
        (only(steps="{limit: 5, on_trip: park}"), [RunNaming, RunLimits]),
        (only(cost="{limit: $1, on_trip: park}"), [RunNaming, Parking, RunLimits]),
        (replace(only(steps="5"), park_wait_s=1.0), [RunNaming, Parking, RunLimits]),
        (only(steps="{limit: 5, on_trip: [warn at 50%, stop]}"), [RunNaming, Ladder, RunLimits]),
    ],
)
def test_what_has_nothing_to_do_is_no_stage_and_where_nobody_asks_where_runs_stand_nobody_keeps_it(
    which: Guards, expected: list[Any]
) -> None:
    runs, retarget, board = Any, Any, RunBoard()
    parts = StageParts(which, runs, lambda: 0, board, lambda: False, retarget)  # type: ignore[arg-type]
    assert [type(stage) for stage in stages(parts)] == expected
    board.note(RunRow("default", "r", 1), (), ())
    assert (board.standing("default", "r") is not None) is (Ladder in expected)
