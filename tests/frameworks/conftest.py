"""A stage for each framework: a provider and a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.frameworks.rig import Framework, Stage, chosen, interpreter_of

from bursar.testing import ScriptedProvider


@pytest.fixture(params=chosen(), ids=lambda framework: framework.name)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Run a provider beside an empty folder."""
    framework: Framework = request.param
    interpreter_of(framework)
    with ScriptedProvider() as provider:
        yield Stage(framework, provider, tmp_path)
