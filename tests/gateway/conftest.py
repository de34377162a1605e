"""A house for each test that needs no settings of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.house import House, house, usd

from bursar.config.settings import ModelRow

MODELS = (ModelRow("m", max_output_tokens=20_000),)
"""A compaction is bounded by the model's own maximum alone."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    """A gateway with one dollar."""
    with house(tmp_path, [usd()], models=MODELS) as made:
        yield made


@pytest.fixture
def broke(tmp_path: Path) -> Iterator[House]:
    """A gateway whose one budget is zero: whatever is billable must be refused before it reaches the provider."""
    with house(tmp_path, [usd(0)], models=MODELS) as made:
        yield made
