"""Every framework's example, with the real framework: it works, its budget stops it, its breaker stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.frameworks.rig import ANSWER, EXAMPLES, Stage

from bursar.core.hold import State
from bursar.core.labels import NONE

pytestmark = pytest.mark.slow

WATCHED = Path(__file__).parent / "programs" / "watched.py"
UNNAMED_TOOLS = frozenset(("openai-agents", "litellm", "claude-agent-sdk"))
"""Where no hook is around a tool: the OpenAI Agents SDK's run beside it, litellm has none, Claude Code is elsewhere."""


def test_an_agent_does_its_work_and_its_report_names_agent_task_and_steps(stage: Stage) -> None:
    stage.script(output_tokens=20, tool_calls=2)
    told = stage.run_example()
    assert told.exit_code == 0, told.err
    assert ANSWER in told.out
    rows = stage.holds()
    assert [row.labels["step"] for row in rows] == ["1", "2", "3"]
    assert {(row.labels["agent"], row.labels["task"]) for row in rows} == {("researcher", "bridges")}
    assert len({row.labels["run"] for row in rows} - {NONE}) == 1
    for word in ("researcher", "bridges", "3"):
        assert word in told.out
    assert sum(row.settled.cost_nano for row in rows) == stage.billed_nano() > 0


def test_its_budget_stops_it_with_one_refused_attempt(stage: Stage) -> None:
    stage.script(output_tokens=stage.framework.dear_tokens, tool_calls=None)
    told = stage.run_example()
    assert told.exit_code == 0, told.err
    assert "Stopped: Budget" in told.out
    billed, limit_nano = stage.billed, stage.framework.limit_nano
    assert 3 <= len(billed) <= 4, "it is stopped by nothing else"
    assert {call["status"] for call in billed} == {200}
    assert ", 1 refused" in told.out
    assert limit_nano // 2 < stage.billed_nano() <= limit_nano
    rows = [row for row in stage.holds() if row.state is State.SETTLED]
    assert [row.labels["step"] for row in rows] == [str(number + 1) for number in range(len(billed))]


def test_its_breaker_stops_it_with_one_refused_attempt(stage: Stage) -> None:
    stage.configure(f"guards: {stage.framework.guards}\n")
    stage.script(output_tokens=20, tool_calls=None)
    told = stage.run_example()
    assert told.exit_code == 0, told.err
    assert "Stopped: " in told.out
    assert ", 1 refused" in told.out
    billed = stage.billed
    assert 2 <= len(billed) <= 11, "ten tool calls are the most"
    assert {call["status"] for call in billed} == {200}
    rows = [row for row in stage.holds() if row.state is State.SETTLED]
    assert [row.labels["step"] for row in rows] == [str(number + 1) for number in range(len(billed))]


def test_what_is_asked_inside_of_a_tool_carries_its_name_and_the_agents(stage: Stage) -> None:
    stage.script(output_tokens=20, tool_calls=1)
    told = stage.run(WATCHED, str(EXAMPLES / stage.framework.file), *stage.framework.options)
    assert told.exit_code == 0, told.err
    (line,) = [line for line in told.out.splitlines() if line.startswith("inside ")]
    seen = json.loads(line.removeprefix("inside "))
    assert seen["task"] == "bridges"
    assert seen["tag.tool"] == ("" if stage.framework.lock in UNNAMED_TOOLS else "look_up")
    if stage.framework.lock != "claude-agent-sdk":
        assert seen["agent"] == "researcher"
