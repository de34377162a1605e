"""Every test here runs over every store; those of SQLite alone with two of them on one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.kit import STORES, Ledger, Two

from bursar.stores.sqlite import SqliteLedger


@pytest.fixture(params=STORES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with STORES[request.param](tmp_path) as opened:
        yield opened
        assert opened.verify() == []


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    both = Two(SqliteLedger(tmp_path / "ledger.db"), SqliteLedger(tmp_path / "ledger.db"))
    yield both
    for ledger in both:
        assert ledger.verify() == []
        assert not ledger.is_sliced
        assert [row.id for row in ledger.in_flight("default", 100) if row.is_unused] == []
        ledger.close_store()
