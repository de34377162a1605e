"""A provider for each test, and a plain client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.testing.provider.plain import Plain

from bursar.testing import ScriptedProvider


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """Run a provider without scripts."""
    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def plain(provider: ScriptedProvider) -> Plain:
    """Give a plain client of that provider."""
    return Plain(provider.url)
