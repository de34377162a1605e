"""The story of a run is its calls in their order, from both ledgers alike; two runs are compared step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.kit import call, charge, cost

from bursar.core.hold import State, Verb
from bursar.core.ledger import Note
from bursar.core.run import RunAsk, RunChange, RunState, RunVerb
from bursar.core.window import NS
from bursar.errors import NotFound
from bursar.reports.shown_runs import comparison_json, story_json
from bursar.reports.story import compare, run_story
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.clock import START_NS

Ledger = MemoryLedger | SqliteLedger


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    opened = SqliteLedger(tmp_path / "bursar.db")
    yield opened
    opened.close_store()


def step(
    ledger: Ledger, number: int, run: str = "r", *, nano: int = 10, note: Note | None = None, **labels: str
) -> str:
    """Record a settled step that begins `number` seconds after the start and takes half a second."""
    at_ns = START_NS + number * NS
    said = {"run": run, "agent": "a", "task": "t", "provider": "p", "model": "m", **labels}
    asked = call(id=f"{run}-{number}", cover=cost(100), at_ns=at_ns, labels=said)
    ledger.reserve(asked)
    told = note or Note(status=200, ended="complete", tool_calls=1)
    ledger.close(asked.id, Verb.SETTLE, at_ns + NS // 2, charge(nano, tokens=7, output=3), told)
    return asked.id


def test_steps_come_in_the_order_in_which_they_were_held(ledger: Ledger) -> None:
    for number in (2, 0, 1):
        step(ledger, number, nano=number + 1)
    step(ledger, 5, "other")
    story = run_story(ledger, "default", "r")
    assert [(each.number, each.call.id, each.after_ns, each.took_ns) for each in story.steps] == [
        (1, "r-0", 0, NS // 2),
        (2, "r-1", NS, NS // 2),
        (3, "r-2", 2 * NS, NS // 2),
    ]
    assert (story.amounts.cost_nano, story.amounts.input_tokens, story.tool_calls) == (6, 21, 3)
    assert (story.agent, story.task, story.took_ns, story.is_cut) == ("a", "t", 2 * NS + NS // 2, False)
    assert (story.row, story.state, story.outcome, story.in_flight, story.presumed_nano) == (None, "", "", 0, 0)


def test_what_is_in_flight_or_presumed_counts_and_is_told_apart(ledger: Ledger) -> None:
    step(ledger, 0)
    ledger.reserve(call(id="flying", cover=cost(100), at_ns=START_NS + NS, labels={"run": "r"}))
    ledger.reserve(call(id="lost", cover=cost(100), at_ns=START_NS + 2 * NS, labels={"run": "r"}))
    ledger.close("lost", Verb.PRESUME, START_NS + 900 * NS, None, Note(duration_ms=1_500, ended="lost"))
    ledger.reserve(call(id="free", cover=cost(100), at_ns=START_NS + 3 * NS, labels={"run": "r"}))
    ledger.close("free", Verb.RELEASE, START_NS + 4 * NS)
    story = run_story(ledger, "default", "r")
    assert [each.call.state for each in story.steps] == [State.SETTLED, State.OPEN, State.PRESUMED, State.RELEASED]
    assert [each.took_ns for each in story.steps] == [NS // 2, 0, 3 * NS // 2, NS]
    assert (story.amounts.cost_nano, story.presumed_nano, story.in_flight) == (210, 200, 1)


def test_a_run_of_another_tenant_or_none_is_not_found(ledger: Ledger) -> None:
    step(ledger, 0)
    for tenant, run in (
        ("rival", "r"),
        ("default", "R"),
        ("default", "(none)"),
        ("default", "(other)"),
        ("default", ""),
    ):
        with pytest.raises(NotFound):
            run_story(ledger, tenant, run)
    with pytest.raises(NotFound):
        run_story(ledger, "default", "r", START_NS + NS)


def test_a_name_that_could_be_taken_for_something_else_is_found_and_nothing_beside_it(ledger: Ledger) -> None:
    odd = 'r","agent":"x%_'
    step(ledger, 0, odd)
    step(ledger, 1, "r", agent=odd)
    assert [each.call.id for each in run_story(ledger, "default", odd).steps] == [f"{odd}-0"]
    assert [each.call.id for each in run_story(ledger, "default", "r").steps] == ["r-1"]


def test_the_first_steps_are_told_and_that_there_were_more(ledger: Ledger) -> None:
    for number in range(4):
        step(ledger, number)
    story = run_story(ledger, "default", "r", most=3)
    assert ([each.call.id for each in story.steps], story.is_cut) == (["r-0", "r-1", "r-2"], True)


def test_how_the_run_stands_and_how_it_ended_is_part_of_its_story(ledger: Ledger) -> None:
    asked = call(id="c", at_ns=START_NS, labels={"run": "r"})
    ledger.reserve(replace(asked, run=RunAsk("r")))
    stopped = ledger.change_run("default", "r", RunChange(RunVerb.STOP, START_NS + 1, "loops", "the same again"))
    assert stopped.state is RunState.STOPPED
    told = story_json(run_story(ledger, "default", "r"))
    assert (told["state"], told["guard"], told["reason"], told["outcome"]) == (
        "stopped",
        "loops",
        "the same again",
        None,
    )
    ledger.change_run("default", "r", RunChange(RunVerb.FINISH, START_NS + 2, outcome="ok"))
    assert run_story(ledger, "default", "r").outcome == "ok"


def test_who_answered_is_named_also_where_a_fall_back_did(ledger: Ledger) -> None:
    step(ledger, 0, note=Note(ended="complete", answered_by="groq/llama/70b", seen="row 5"))
    story = run_story(ledger, "default", "r")
    assert story.steps[0].model == "llama/70b"
    assert story_json(story)["calls"][0]["seen"] == "row 5"


def test_two_runs_are_laid_side_by_side_and_the_longer_one_goes_on_alone(ledger: Ledger) -> None:
    for number, nano in enumerate((10, 20, 30)):
        step(ledger, number, "one", nano=nano)
    step(ledger, 10, "two", nano=4, model="small")
    found = compare(*(run_story(ledger, "default", name) for name in ("one", "two")))
    assert found.more_nano == -56
    assert [(pair.number, pair.more_nano, pair.is_other_model) for pair in found.pairs] == [
        (1, -6, True),
        (2, -20, False),
        (3, -30, False),
    ]
    assert [pair.second is None for pair in found.pairs] == [False, True, True]
    assert sum(pair.more_nano for pair in found.pairs) == found.more_nano
    told = comparison_json(found)
    assert (told["more_nano"], told["more_usd"], told["pairs"][2]["second"]) == (-56, "-0.000000056", None)


def test_calls_that_an_older_bursar_wrote_can_be_told(tmp_path: Path) -> None:
    """Their notes know neither tool calls nor what a guard saw."""
    ledger = SqliteLedger(tmp_path / "bursar.db")
    step(ledger, 0, note=Note(status=200, ended="complete", tool_calls=4, seen="row 5"))
    (written,) = ledger.db.execute("SELECT note FROM hold").fetchone()
    short = written.removesuffix(',4,"row 5"]') + "]"
    assert len(short) < len(written)
    ledger.db.execute("UPDATE ended_hold SET note = ?", (short,))
    (only,) = run_story(ledger, "default", "r").steps
    assert (only.call.note.tool_calls, only.call.note.seen, only.call.note.status) == (0, "", 200)
    ledger.close_store()
