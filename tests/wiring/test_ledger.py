"""The clock of a ledger: never behind what the ledger has seen, and never running back."""

from __future__ import annotations

import pytest

from bursar.wiring import ledger as module
from bursar.wiring.ledger import store_clock


def test_the_clock_never_runs_back_and_begins_where_the_ledger_is(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = iter([5, 12, 11, 13])
    monkeypatch.setattr(module, "time_ns", lambda: next(walls))
    now = store_clock(10)
    assert [now() for _ in range(4)] == [10, 12, 12, 13]
