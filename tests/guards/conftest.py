"""Every client that a test opened is closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.guards.kit import opened


@pytest.fixture(autouse=True)
def closed_clients() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()
