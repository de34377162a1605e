"""The OpenAI Agents SDK: names follow a hand-off, and runs at the same time keep their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.frameworks.rig import FRAMEWORKS, Stage, interpreter_of

from bursar.testing import Script, ScriptedProvider, ToolCall

pytestmark = pytest.mark.slow

HANDOFF = Path(__file__).parent / "programs" / "handoff.py"


def test_each_step_carries_the_name_of_the_agent_that_took_it_also_after_a_hand_off(tmp_path: Path) -> None:
    framework = FRAMEWORKS[0]
    interpreter_of(framework)
    scripts = {"gpt-5-mini": Script(tool_call=ToolCall("transfer_to_writer")), "gpt-5-nano": Script(text="Done.")}
    with ScriptedProvider(scripts) as provider:
        stage = Stage(framework, provider, tmp_path)
        told = stage.run(HANDOFF)
        assert told.exit_code == 0, told.err
        rows = stage.holds()
    found = sorted((row.labels["task"], row.labels["agent"], row.labels["model"]) for row in rows)
    assert found == [
        ("desk", "desk", "gpt-5-mini"),
        ("desk", "writer", "gpt-5-nano"),
        ("triage", "triage", "gpt-5-mini"),
        ("triage", "writer", "gpt-5-nano"),
    ]
    assert sorted(row.labels["step"] for row in rows) == ["1", "2", "3", "4"]
