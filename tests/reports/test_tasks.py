"""What a task costs, and what a finished one costs: all that was spent is part of the price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conformance.kit import call, charge, cost

from bursar.core.hold import Verb
from bursar.core.run import RunAsk, RunChange, RunVerb
from bursar.core.window import FOREVER_NS
from bursar.reports.shown_runs import tasks_json
from bursar.reports.tasks import task_costs
from bursar.stores.memory import MemoryLedger
from bursar.testing.clock import START_NS


def spent(
    ledger: MemoryLedger, task: str, run: str, nano: int, *, is_watched: bool = True, verb: Verb = Verb.SETTLE
) -> None:
    labels = {key: value for key, value in (("task", task), ("run", run)) if value}
    asked = call(cover=cost(1_000), labels=labels)
    ledger.reserve(replace(asked, run=RunAsk(run)) if is_watched and run else asked)
    ledger.close(asked.id, verb, START_NS + 1, charge(nano) if verb is Verb.SETTLE else None)


def end(ledger: MemoryLedger, run: str, outcome: str) -> None:
    ledger.change_run("default", run, RunChange(RunVerb.FINISH, START_NS + 2, outcome=outcome))


@pytest.fixture
def ledger() -> MemoryLedger:
    """Two tasks: one of four runs ($3 finish, one is stopped), one that nobody says anything of; a call of no task."""
    made = MemoryLedger()
    for number, nano in enumerate((10, 20, 30, 41)):
        spent(made, "triage", f"r{number}", nano)
    spent(made, "triage", "r0", 5)
    end(made, "r0", "ok")
    end(made, "r1", "failed")
    end(made, "r2", "ok")
    made.change_run("default", "r3", RunChange(RunVerb.STOP, START_NS + 2, "loops"))
    spent(made, "report", "s0", 7, is_watched=False)
    spent(made, "report", "", 2)
    spent(made, "", "", 1)
    return made


def test_a_finished_task_costs_all_that_was_spent_over_the_finished_runs(ledger: MemoryLedger) -> None:
    triage, report, rest = task_costs(ledger, "default", 0, FOREVER_NS).rows
    assert (triage.value, triage.runs, triage.finished, triage.stopped, triage.calls) == ("triage", 4, 3, 1, 5)
    assert dict(triage.outcomes) == {"ok": 2, "failed": 1}
    assert triage.amounts.cost_nano == 106
    assert (triage.per_run_nano, triage.per_finished_nano) == (27, 36), "rounded up: never told cheaper than it is"
    assert (triage.per_outcome_nano("ok"), triage.per_outcome_nano("late")) == (53, None)
    assert (report.value, report.runs, report.finished, report.calls) == ("report", 1, 0, 2)
    assert (report.per_run_nano, report.per_finished_nano) == (9, None)
    assert (rest.value, rest.runs, rest.per_run_nano) == ("(none)", 0, None)


def test_the_total_is_the_sum_of_the_tasks(ledger: MemoryLedger) -> None:
    found = task_costs(ledger, "default", 0, FOREVER_NS)
    assert found.total.amounts.cost_nano == sum(row.amounts.cost_nano for row in found.rows) == 116
    assert found.total.runs == sum(row.runs for row in found.rows) == 5
    assert found.total.calls == 8
    assert found.total.per_finished_nano == 39
    assert not found.is_cut


def test_runs_are_grouped_by_any_label_and_a_tenant_sees_its_own(ledger: MemoryLedger) -> None:
    (row,) = task_costs(ledger, "default", 0, FOREVER_NS, "agent").rows
    assert (row.value, row.runs, row.finished) == ("(none)", 5, 3)
    assert task_costs(ledger, "rival", 0, FOREVER_NS).rows == ()
    told = tasks_json(task_costs(ledger, "default", 0, FOREVER_NS))
    assert (told["by"], told["rows"][0]["task"], told["rows"][0]["outcomes"]) == (
        "task",
        "triage",
        {"ok": 2, "failed": 1},
    )
    assert (told["rows"][0]["per_finished_usd"], told["rows"][1]["per_finished_usd"]) == ("0.000000036", None)


def test_what_is_presumed_is_part_of_the_price() -> None:
    made = MemoryLedger()
    spent(made, "t", "r", 0, verb=Verb.PRESUME)
    end(made, "r", "ok")
    (row,) = task_costs(made, "default", 0, FOREVER_NS).rows
    assert row.per_finished_nano == 1_000
