"""Every test here runs over every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.kit import STORES, Ledger


@pytest.fixture(params=STORES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with STORES[request.param](tmp_path) as opened:
        yield opened
        assert opened.verify() == []
