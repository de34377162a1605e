"""What is set is kept up with: what counts, and that a ledger which cannot be read is told once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bursar.actions.acting import By
from bursar.actions.limits import BudgetWish, TopUpWish, set_budget, top_up
from bursar.config.settings import Settings
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import KeyRow, Role
from bursar.core.labels import Labels
from bursar.core.window import Window, WindowKind
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.testing.clock import START_NS
from bursar.wiring.control import LiveControl


async def test_a_ledger_that_cannot_be_read_is_told_when_it_begins_and_when_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bursar.control")
    ledger = SqliteLedger(tmp_path / "bursar.db", timeout_s=0.01)
    face = ThreadedStore(ledger)
    other = sqlite3.connect(tmp_path / "bursar.db", isolation_level=None)
    try:
        control = LiveControl(Settings(), ledger, face, lambda: START_NS)
        control.start()
        for _ in range(2):
            other.execute("BEGIN EXCLUSIVE")
            for _ in range(3):
                await control._look()
            other.execute("ROLLBACK")
            for _ in range(3):
                await control._look()
    finally:
        other.close()
        face.stop()
        ledger.close_store()
    told = [record.getMessage() for record in caplog.records if record.name == "bursar.control"]
    assert len(told) == 4
    assert all("cannot be read" in message for message in told[::2])
    assert told[1::2] == ["what is set can be read again"] * 2


async def test_the_gateway_adds_nothing_that_a_key_gave_to_a_limit_of_the_operator() -> None:
    admin = By.key(KeyRow("k", "acme", "boss", Role.ADMIN, "d", "hint", {}, frozenset(), 1), START_NS)
    ledger = MemoryLedger()
    set_budget(ledger, (), BudgetWish("acme", "team", "$1 / month"), admin)
    top_up(ledger, (), TopUpWish("acme", "team", "$100000"), admin)
    filed = Budget("team", (Limit(Unit.USD, 5 * 10**9),), Window(WindowKind.MONTH), tenant="acme")
    for budgets, limit_nano in (((), 100_001 * 10**9), ((filed,), 5 * 10**9)):
        control = LiveControl(Settings(budgets=budgets), ledger, DirectStore(ledger), lambda: START_NS)
        control.start()
        known, labels = control.in_force.budgets, Labels({})
        (line,) = known.lines(known.matching("acme", labels), labels, START_NS)
        assert (line.budget, line.limit) == ("team", limit_nano)
