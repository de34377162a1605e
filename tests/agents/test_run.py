"""Claude Code and Codex, the real programs, inside `bursar run`: nothing is set for them, a budget ends their work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.agents.rig import CLAUDE, CODEX, needs
from tests.cli.run_rig import House, house, ran

from bursar.testing import Script, ToolCall

pytestmark = pytest.mark.slow

PRICES = 'prices:\n  "*/*": {input: 1, output: 10}\n'
COMMAND = {"command": "echo step >> steps", "description": "one step"}
CLAUDE_STEP = Script(tool_call=ToolCall("Bash", json.dumps(COMMAND)), output_tokens=20)
CODEX_STEP = Script(tool_call=ToolCall("exec_command", json.dumps({"cmd": "echo step >> steps"})), output_tokens=20)
CLAUDE_WORDS = (str(CLAUDE), "-p", "say hello", "--allowedTools", "Bash")
CODEX_WORDS = (str(CODEX), "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", "say hello")


def settings(home: House) -> dict[str, str]:
    (home.path / "home").mkdir()
    return {
        "HOME": str(home.path / "home"),
        "ANTHROPIC_BASE_URL": home.provider.url,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "OPENAI_API_KEY": "none",
    }


@pytest.mark.parametrize(
    ("agent", "step", "words", "shown"),
    [
        pytest.param("claude-code", CLAUDE_STEP, CLAUDE_WORDS, "API Error: 402 Budget 'run'", marks=needs(CLAUDE)),
        pytest.param("codex", CODEX_STEP, CODEX_WORDS, "Budget 'run': $0.", marks=needs(CODEX)),
    ],
    ids=["claude", "codex"],
)
def test_an_agent_that_is_not_told_anything_is_stopped_by_its_budget(
    tmp_path: Path, agent: str, step: Script, words: tuple[str, ...], shown: str
) -> None:
    with house(tmp_path, step, configuration=PRICES) as home:
        told = ran(home, "--budget", "0.1", "--run", "r-1", "--", *words, **settings(home))
        assert told.returncode == 3, told.stderr
        assert shown in told.stdout + told.stderr
        assert "bursar: STOPPED: Budget 'run'" in told.stderr and "was ended" not in told.stderr
        rows = home.holds()
        assert len(rows) == home.requests == (home.path / "steps").read_text().count("step") >= 3
        assert {(row.labels["run"], row.labels["agent"]) for row in rows} == {("r-1", agent)}
        assert home.spent().settled <= 100_000_000
        home.assert_sound()
