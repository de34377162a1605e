"""An agent whose answers are streamed is named and stopped in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.frameworks.rig import ANSWER, Stage

from bursar.core.hold import State

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "programs"


def program_of(stage: Stage) -> Path:
    file = PROGRAMS / stage.framework.file.replace("with_", "streamed_")
    if not file.exists():
        pytest.skip("its example or its plain program is streamed already")
    return file


def test_a_streamed_agent_does_its_work_and_each_step_is_named(stage: Stage) -> None:
    stage.script(output_tokens=20, tool_calls=2)
    told = stage.run(program_of(stage))
    assert told.exit_code == 0, told.err
    assert ANSWER in told.out
    rows = stage.holds()
    assert [(row.labels["agent"], row.labels["task"], row.labels["step"]) for row in rows] == [
        ("researcher", "bridges", "1"),
        ("researcher", "bridges", "2"),
        ("researcher", "bridges", "3"),
    ]
    assert all(call["stream"] for call in stage.billed)


def test_a_streamed_agent_is_stopped_by_its_budget(stage: Stage) -> None:
    stage.script(output_tokens=stage.framework.dear_tokens, tool_calls=None)
    told = stage.run(program_of(stage))
    assert told.exit_code != 0
    assert "BudgetExceeded" in told.err
    rows = [row for row in stage.holds() if row.state is State.SETTLED]
    assert 3 <= len(rows) == len(stage.billed) <= 4
    assert sum(row.settled.cost_nano for row in rows) == stage.billed_nano() <= stage.framework.limit_nano
