"""An office for a whole file of tests that change nothing, and one for each test that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.admin.office import Office, office


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    """An office with keys, for this test alone."""
    with office(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office with keys, for all tests of a file."""
    with office(tmp_path_factory.mktemp("office")) as made:
        yield made
