"""A house for each test that needs no settings of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.house import House, house, usd


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    """A gateway with one dollar."""
    with house(tmp_path, [usd()]) as made:
        yield made


@pytest.fixture
def broke(tmp_path: Path) -> Iterator[House]:
    """A gateway whose one budget is zero: whatever is billable must be refused before it reaches the provider."""
    with house(tmp_path, [usd(0)]) as made:
        yield made
