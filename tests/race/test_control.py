"""Several processes change what is set at once: nothing twice, no gap, nothing decided on what is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.race.crowd import run_at_once

from bursar.core.control import Kind
from bursar.stores.sqlite import SqliteLedger

pytestmark = pytest.mark.slow
PROCESSES, CHANGES = 6, 40


def test_what_may_be_set_once_is_set_once_and_every_change_has_its_number(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    said = run_at_once([("change", path, f"p{number}", CHANGES) for number in range(PROCESSES)])
    assert sum(map(int, said)) == CHANGES
    ledger = SqliteLedger(path)
    rows = ledger.audit(None, 10**6)
    assert [row.seq for row in rows] == list(range(len(rows), 0, -1))
    assert len(rows) == ledger.control_version() == CHANGES * PROCESSES + CHANGES
    keys = ledger.documents(Kind.KEY)
    assert len(keys) == CHANGES
    for number, name in enumerate(f"p{number}" for number in range(PROCESSES)):
        assert int(said[number]) == sum(key.shown == name for key in keys)
        mine = [row for row in reversed(rows) if row.actor == name and row.kind is Kind.BUDGET]
        assert [row.after for row in mine] == [str(each) for each in range(CHANGES)]
        assert [row.before for row in mine] == ["", *(row.after for row in mine[:-1])]
    ledger.close_store()


def test_what_was_decided_on_has_not_changed_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    run_at_once([("add-up", path, 25)] * 4)
    ledger = SqliteLedger(path)
    assert [each.body for each in ledger.documents()] == ["100"]
    assert ledger.control_version() == 100
    ledger.close_store()
