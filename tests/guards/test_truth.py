"""A guard never stands in the way of the truth about a call that was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.conformance.kit import call, charge, cost, line

from bursar.core.budget import Unit
from bursar.core.hold import Verb
from bursar.core.ledger import Note
from bursar.core.run import Guard, RunAsk, RunChange, RunLimit, RunVerb
from bursar.pipeline.account import Accounts
from bursar.pipeline.unclosed import Unclosed
from bursar.stores.memory import MemoryLedger
from bursar.stores.threaded import DirectStore
from bursar.testing.clock import START_NS


async def test_what_a_call_cost_that_the_ledger_never_saw_is_recorded_also_when_its_run_is_stopped() -> None:
    ledger = MemoryLedger()
    limits = (RunLimit(Guard.STEPS, 1),)
    first = replace(call(), run=RunAsk("r", limits))
    ledger.reserve(first)
    ledger.change_run("default", "r", RunChange(RunVerb.STOP, START_NS))
    unused: Any = None
    accounts = Accounts(DirectStore(ledger), unused, unused, lambda: START_NS)
    late = replace(call(line("usd", 5, Unit.USD), cover=cost(10)), run=RunAsk("r", limits))
    assert await accounts.close(Unclosed(late, Verb.SETTLE, START_NS, charge(7), Note()))
    (row,) = ledger.balances("default")
    assert row.balance.settled == 7
    assert ledger.verify() == []
