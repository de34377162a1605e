"""A run's row changes in the transaction of its calls, exactly, in every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.conformance.kit import Ledger, call, charge, cost, line

from bursar.core.budget import Unit
from bursar.core.hold import Verb
from bursar.core.ledger import Granted, Note, Refused, Reservation
from bursar.core.run import Guard, RunAsk, RunChange, RunLimit, RunRow, RunState, RunVerb
from bursar.core.window import NS
from bursar.errors import HoldConflict, NotFound
from bursar.testing.clock import START_NS


def step(run: str = "r", *limits: RunLimit, at_s: int = 0, id: str | None = None, **more: Any) -> Reservation:  # noqa: A002
    """One call of a run that counts in nothing else."""
    process = more.pop("process", "here")
    asked = call(id=id, at_ns=START_NS + at_s * NS, process=process)
    return replace(asked, run=RunAsk(run, limits, **more))


def most(guard: Guard, amount: int, *, is_parking: bool = False) -> RunLimit:
    return RunLimit(guard, amount, is_parking)


def row_of(ledger: Ledger, run: str = "r") -> RunRow:
    row = ledger.run_row("default", run)
    assert row is not None
    return row


def end(ledger: Ledger, asked: Reservation, *, tool_calls: int = 0, at_s: int = 0) -> None:
    ledger.close(asked.id, Verb.SETTLE, START_NS + at_s * NS, charge(1), Note(tool_calls=tool_calls))


def refused(verdict: Granted | Refused) -> tuple[str, int, int]:
    assert isinstance(verdict, Refused)
    assert verdict.run is not None
    return verdict.run.guard, verdict.run.figure, verdict.run.most


def test_nothing_is_written_of_a_run_that_nobody_asks_about(ledger: Ledger) -> None:
    asked = call(labels={"model": "m", "run": "r"})
    granted = ledger.reserve(asked)
    assert isinstance(granted, Granted)
    assert granted.run is None
    ledger.close(asked.id, Verb.SETTLE, START_NS, charge(1), Note(tool_calls=3))
    assert ledger.run_row("default", "r") is None


def test_a_call_that_is_held_is_a_step_and_in_flight_until_it_ends(ledger: Ledger) -> None:
    asked = step(at_s=1)
    granted = ledger.reserve(asked)
    assert isinstance(granted, Granted)
    assert granted.run == row_of(ledger)
    assert (row_of(ledger).steps, row_of(ledger).in_flight) == (1, 1)
    end(ledger, asked, tool_calls=2, at_s=5)
    row = row_of(ledger)
    assert (row.steps, row.in_flight, row.tool_calls) == (1, 0, 2)
    assert (row.began_ns, row.last_ns) == (START_NS + NS, START_NS + 5 * NS)


def test_the_same_call_again_is_no_second_step(ledger: Ledger) -> None:
    asked = step(id="again")
    ledger.reserve(asked)
    ledger.reserve(asked)
    assert (row_of(ledger).steps, row_of(ledger).in_flight) == (1, 1)
    end(ledger, asked)
    end(ledger, asked)
    assert row_of(ledger).in_flight == 0


def test_a_call_that_was_never_answered_for_is_no_step(ledger: Ledger) -> None:
    asked = step()
    ledger.reserve(asked)
    ledger.close(asked.id, Verb.RELEASE, START_NS)
    assert (row_of(ledger).steps, row_of(ledger).in_flight) == (0, 0)


def test_a_call_that_a_budget_refuses_leaves_the_run_as_it_is(ledger: Ledger) -> None:
    asked = replace(call(line("usd", 5, Unit.USD), cover=cost(6)), run=RunAsk("r"))
    verdict = ledger.reserve(asked)
    assert isinstance(verdict, Refused)
    assert verdict.run is None
    assert ledger.run_row("default", "r") is None


def test_at_n_steps_the_next_call_stops_the_run_and_nothing_is_held(ledger: Ledger) -> None:
    limit = most(Guard.STEPS, 2)
    calls = [step("r", limit) for _ in range(3)]
    assert [type(ledger.reserve(each)) for each in calls] == [Granted, Granted, Refused]
    row = row_of(ledger)
    assert (row.state, row.guard, row.steps, row.in_flight) == (RunState.STOPPED, "steps", 2, 2)
    for each in calls[:2]:
        end(ledger, each)
    # It stays stopped, whatever the limit is now.
    assert refused(ledger.reserve(step("r", most(Guard.STEPS, 100))))[0] == "steps"


def test_at_n_tool_calls_the_run_is_stopped_whether_answers_or_its_body_told_of_them(ledger: Ledger) -> None:
    limit = most(Guard.TOOL_CALLS, 3)
    first = step("a", limit)
    ledger.reserve(first)
    end(ledger, first, tool_calls=3)
    assert refused(ledger.reserve(step("a", limit))) == ("tool_calls", 3, 3)
    assert refused(ledger.reserve(step("b", limit, tool_calls=4))) == ("tool_calls", 4, 3)
    assert isinstance(ledger.reserve(step("c", limit, tool_calls=2)), Granted)


def test_steps_that_the_conversation_shows_count_also_where_nobody_saw_them(ledger: Ledger) -> None:
    assert refused(ledger.reserve(step("r", most(Guard.STEPS, 5), turns=5))) == ("steps", 5, 5)


def test_after_n_seconds_the_run_is_stopped(ledger: Ledger) -> None:
    limit = most(Guard.SECONDS, 120)
    assert isinstance(ledger.reserve(step("r", limit)), Granted)
    granted = ledger.reserve(step("r", limit, at_s=119))
    assert isinstance(granted, Granted)
    assert granted.run is not None
    assert granted.run.ends_ns((limit,)) == START_NS + 120 * NS
    assert refused(ledger.reserve(step("r", limit, at_s=120))) == ("seconds", 120, 120)


def test_parallel_calls_wait_for_each_other_and_stop_nothing(ledger: Ledger) -> None:
    limit = most(Guard.PARALLEL, 1)
    first = step("r", limit)
    ledger.reserve(first)
    verdict = ledger.reserve(step("r", limit))
    assert isinstance(verdict, Refused)
    assert not verdict.is_exhausted
    assert row_of(ledger).state is RunState.RUNNING
    end(ledger, first)
    assert isinstance(ledger.reserve(step("r", limit)), Granted)


def test_waiting_for_calls_in_flight_is_asked_last(ledger: Ledger) -> None:
    """Who has used up the run's steps would wait for nothing."""
    limits = (most(Guard.PARALLEL, 1), most(Guard.STEPS, 1), most(Guard.PARALLEL, 0))
    ledger.reserve(step("r", *limits[:2]))
    assert refused(ledger.reserve(step("r", *limits))) == ("steps", 1, 1)
    ledger.reserve(step("s"))
    assert refused(ledger.reserve(step("s", most(Guard.PARALLEL, 1), most(Guard.PARALLEL, 0)))) == ("parallel", 1, 1)


def test_a_lapsed_process_leaves_nothing_in_flight(ledger: Ledger) -> None:
    limit = most(Guard.PARALLEL, 3)
    for _ in range(3):
        assert isinstance(ledger.reserve(step("r", limit, process="dead")), Granted)
    assert refused(ledger.reserve(step("r", limit))) == ("parallel", 3, 3)
    ledger.lapse("dead", START_NS)
    assert (row_of(ledger).in_flight, row_of(ledger).steps) == (0, 3)
    assert isinstance(ledger.reserve(step("r", limit)), Granted)


def test_children_and_depth_refuse_the_child_and_leave_its_parent_running(ledger: Ledger) -> None:
    limits = (most(Guard.CHILDREN, 2), most(Guard.DEPTH, 1))
    ledger.reserve(step("top", *limits))
    for name in ("a", "b"):
        assert isinstance(ledger.reserve(step(name, *limits, parent="top")), Granted)
    assert isinstance(ledger.reserve(step("a", *limits, parent="top")), Granted)  # a child again is no new one
    assert refused(ledger.reserve(step("c", *limits, parent="top"))) == ("children", 3, 2)
    assert refused(ledger.reserve(step("aa", *limits, parent="a"))) == ("depth", 2, 1)
    assert (row_of(ledger, "top").children, row_of(ledger, "a").depth) == (2, 1)
    assert row_of(ledger, "top").state is RunState.RUNNING
    assert ledger.run_row("default", "c") is None


def test_a_child_of_a_stopped_run_is_stopped_too(ledger: Ledger) -> None:
    ledger.reserve(step("top"))
    ledger.reserve(step("child", parent="top"))
    ledger.change_run("default", "top", RunChange(RunVerb.STOP, START_NS, reason="enough"))
    verdict = ledger.reserve(step("child", parent="top"))
    assert isinstance(verdict, Refused)
    assert verdict.run is not None
    assert verdict.run.row.run == "top"


def test_a_parked_run_waits_for_a_person_who_gives_as_much_again(ledger: Ledger) -> None:
    limit = most(Guard.STEPS, 2, is_parking=True)
    for _ in range(2):
        end_after = step("r", limit)
        ledger.reserve(end_after)
        end(ledger, end_after)
    assert refused(ledger.reserve(step("r", limit))) == ("steps", 2, 2)
    assert row_of(ledger).state is RunState.PARKED
    row = ledger.change_run("default", "r", RunChange(RunVerb.APPROVE, START_NS + NS))
    assert (row.state, row.guard) == (RunState.RUNNING, "")
    again = [type(ledger.reserve(step("r", limit))) for _ in range(3)]
    assert again == [Granted, Granted, Refused]


def test_the_time_that_people_take_to_decide_is_none_of_the_runs(ledger: Ledger) -> None:
    limit = most(Guard.SECONDS, 10, is_parking=True)
    ledger.reserve(step("r", limit))
    ledger.reserve(step("r", limit, at_s=12))
    assert row_of(ledger).state is RunState.PARKED
    ledger.change_run("default", "r", RunChange(RunVerb.APPROVE, START_NS + 3_600 * NS))
    assert isinstance(ledger.reserve(step("r", limit, at_s=3_600 + 9)), Granted)
    assert isinstance(ledger.reserve(step("r", limit, at_s=3_600 + 10)), Refused)


def test_an_approval_may_say_how_much_more_it_gives(ledger: Ledger) -> None:
    limit = most(Guard.STEPS, 1)
    ledger.reserve(step("r", limit))
    ledger.reserve(step("r", limit))
    ledger.change_run("default", "r", RunChange(RunVerb.APPROVE, START_NS, grants=((Guard.STEPS, 3),)))
    assert [type(ledger.reserve(step("r", limit))) for _ in range(4)] == [Granted, Granted, Granted, Refused]


def test_what_was_made_for_one_stop_is_done_once(ledger: Ledger) -> None:
    limit = most(Guard.STEPS, 1)
    ledger.reserve(step("r", limit))
    ledger.reserve(step("r", limit))
    change = RunChange(RunVerb.APPROVE, START_NS, since_ns=row_of(ledger).since_ns)
    ledger.change_run("default", "r", change)
    with pytest.raises(HoldConflict):
        ledger.change_run("default", "r", change)


def test_a_finished_run_keeps_its_outcome_and_cannot_be_parked(ledger: Ledger) -> None:
    ledger.reserve(step("r"))
    row = ledger.change_run("default", "r", RunChange(RunVerb.FINISH, START_NS, outcome="ok"))
    assert (row.state, row.outcome) == (RunState.FINISHED, "ok")
    with pytest.raises(HoldConflict):
        ledger.change_run("default", "r", RunChange(RunVerb.PARK, START_NS))


def test_a_run_that_nobody_has_seen_cannot_be_changed(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.change_run("default", "nobody", RunChange(RunVerb.STOP, START_NS))


def test_a_run_that_nobody_has_seen_can_be_finished_by_whoever_knows_when_it_began(ledger: Ledger) -> None:
    change = RunChange(RunVerb.FINISH, START_NS + NS, outcome="ok", begins_ns=START_NS)
    row = ledger.change_run("default", "new", change)
    assert (row.state, row.outcome, row.began_ns, row.last_ns) == (RunState.FINISHED, "ok", START_NS, START_NS + NS)
    again = ledger.change_run("default", "new", replace(change, outcome="failed", begins_ns=START_NS + NS))
    assert (again.outcome, again.began_ns, ledger.run_row("default", "new")) == ("failed", START_NS, again)


def test_runs_of_another_tenant_are_other_runs(ledger: Ledger) -> None:
    mine = step("r", most(Guard.STEPS, 1))
    ledger.reserve(mine)
    assert isinstance(ledger.reserve(replace(step("r", most(Guard.STEPS, 1)), tenant="other")), Granted)
    assert row_of(ledger).steps == 1


def test_runs_are_listed_by_state_the_latest_first_and_found_by_what_they_were_inferred_from(ledger: Ledger) -> None:
    for number, name in enumerate("abc"):
        ledger.reserve(step(name, at_s=number, prefix="p" if name != "c" else ""))
    ledger.change_run("default", "a", RunChange(RunVerb.STOP, START_NS))
    assert [row.run for row in ledger.run_rows("default", tuple(RunState), 0, 10)] == ["c", "b", "a"]
    assert [row.run for row in ledger.run_rows("default", (RunState.RUNNING,), START_NS + 2 * NS, 10)] == ["c"]
    latest = ledger.latest_run("default", "p")
    assert latest is not None
    assert latest.run == "b"
    assert ledger.latest_run("default", "") is None
