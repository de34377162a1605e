"""Runs are summed over their calls, and it is told when there were more calls than are looked at."""

from __future__ import annotations

from tests.conformance.kit import call, charge, cost

from bursar.core.hold import Verb
from bursar.reports.runs import runs_since
from bursar.reports.unpriced import unpriced_models
from bursar.stores.memory import MemoryLedger
from bursar.testing.clock import START_NS


def filled() -> MemoryLedger:
    ledger = MemoryLedger()
    for number in range(6):
        labels = {"run": f"r{number % 2}", "agent": f"a{number}", "provider": "p", "model": f"m{number % 2}"}
        ledger.reserve(call(id=f"c{number}", cover=cost(100), at_ns=START_NS + number, labels=labels))
        flags = ["unpriced"] if number != 1 else []
        ledger.close(f"c{number}", Verb.SETTLE, START_NS + number, charge(10, tokens=7, output=3, flags=flags))
    return ledger


def test_a_run_is_the_sum_of_its_calls_and_is_named_after_the_latest() -> None:
    found = runs_since(filled(), "default")
    assert [(row.run, row.agent, row.steps, row.amounts.cost_nano) for row in found.rows] == [
        ("r1", "a5", 3, 30),
        ("r0", "a4", 3, 30),
    ]
    assert (found.rows[0].began_ns, found.rows[0].active_ns) == (START_NS + 1, START_NS + 5)
    assert not found.is_cut
    assert [row.run for row in runs_since(filled(), "default", START_NS + 5).rows] == ["r1"]


def test_calls_without_a_run_are_in_no_run() -> None:
    ledger = MemoryLedger()
    ledger.reserve(call())
    assert runs_since(ledger, "default").rows == ()


def test_it_is_told_when_there_were_more_calls_than_are_looked_at() -> None:
    cut = runs_since(filled(), "default", most=4)
    assert cut.is_cut
    assert [row.steps for row in cut.rows] == [2, 2]
    assert not runs_since(filled(), "default", START_NS + 5, most=4).is_cut, "all of this time were looked at"


def test_models_without_a_price_are_counted_once_a_call() -> None:
    assert [
        (each.model, each.calls, each.input_tokens, each.last_ns) for each in unpriced_models(filled(), "default")
    ] == [
        ("m0", 3, 21, START_NS + 4),
        ("m1", 2, 14, START_NS + 5),
    ]
    assert unpriced_models(filled(), "rival") == ()
