"""Claude Code, the real program: it works through the gateway, is known without a setting, and stops at a budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.agents.rig import CLAUDE, LINK, Door, agents_of, another_call, claude, claude_as_documented, needs
from tests.gateway.house import DOLLAR, house, usd

from bursar.core.hold import State
from bursar.testing import Script, ToolCall

pytestmark = [pytest.mark.slow, needs(CLAUDE)]

HELLO = Script(text="Hello from the script", output_tokens=6)
STEP = Script(
    tool_call=ToolCall("Bash", json.dumps({"command": "echo step >> steps", "description": "one step"})),
    output_tokens=20,
)
ENDLESS = Script(text="word " * 40_000, output_tokens=200_000, tokens_per_s=3000, tokens_per_event=20)


def test_it_works_and_is_known_by_session_and_agent_without_a_setting(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], scripts={"*": HELLO}) as home:
        door = Door(home)
        told = claude(home, tmp_path, "--output-format", "json")
        result = json.loads(told.out)
        assert told.exit_code == 0
        assert result["result"] == "Hello from the script"
        assert door.statuses == [200]
        sent = json.loads(door.billed[0].body)
        assert sent["stream"] is True and len(sent["tools"]) > 5
        (row,) = home.holds()
        assert row.labels["session"] == result["session_id"]
        assert row.labels["agent"] == "claude-code"
        assert home.assert_sound().settled == home.invoice_nano() > 0
        # It looks whether somebody is there, and is content with any answer.
        assert door.others <= {("HEAD", "/api/hello")}


def test_the_settings_that_its_page_shows_name_the_team(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], scripts={"*": HELLO}) as home:
        assert claude_as_documented(home, tmp_path).out.strip() == "Hello from the script"
        (row,) = home.holds()
        assert (row.labels["team"], row.labels["agent"]) == ("research", "claude-code")


def test_a_spent_budget_stops_it_at_the_first_attempt_with_our_words(tmp_path: Path) -> None:
    budget = usd(0, "pocket money", per=("agent",), link=LINK)
    with house(tmp_path, [budget], scripts={"*": HELLO}) as home:
        door = Door(home)
        told = claude(home, tmp_path)
        assert door.statuses == [402]
        assert told.exit_code == 1
        assert "Budget 'pocket money' of agent=claude-code: $0.00 of $0.00 used" in told.out
        assert f"To get more: {LINK}" in told.out
        assert home.provider.requests() == []


def test_a_budget_that_ends_in_the_middle_of_its_work_stops_it_at_the_next_step(tmp_path: Path) -> None:
    with house(tmp_path, [usd(DOLLAR * 3 // 10)], scripts={"*": STEP}) as home:
        door = Door(home)
        told = claude(home, tmp_path, "--allowedTools", "Bash")
        *done, last = door.statuses
        assert len(done) >= 3 and set(done) == {200}
        assert last == 402
        steps = (tmp_path / "work" / "steps").read_text()
        assert steps.count("step") == len(done)
        assert told.exit_code == 1
        assert "Budget 'one': $0." in told.out and "of $0.30 used" in told.out
        assert home.assert_sound().settled == home.invoice_nano() <= DOLLAR * 3 // 10


def test_an_answer_that_the_budget_cuts_short_is_asked_for_again_once_and_refused(tmp_path: Path) -> None:
    with house(tmp_path, [usd(220_000_000)], scripts={"*": ENDLESS}, top_speed=4000) as home:
        door = Door(home)
        with another_call(home):
            told = claude(home, tmp_path)
        assert door.statuses == [200, 402]
        assert "Output token limit hit" in door.billed[1].body.decode()
        assert told.exit_code == 1
        assert "Budget 'one'" in told.out
        cut = next(row for row in home.holds() if row.labels["wire"] == "anthropic.messages")
        assert cut.note.ended == "cut" and cut.state is State.SETTLED
        home.assert_sound()


def test_a_part_of_it_is_the_same_agent_in_the_same_session_with_a_tag(tmp_path: Path) -> None:
    delegate = {"description": "look", "prompt": "look around", "subagent_type": "general-purpose"}
    first = Script(tool_call=ToolCall("Agent", json.dumps(delegate)), output_tokens=20)
    with house(tmp_path, [usd()], scripts={"*": first}) as home:
        door = Door(home, lambda count: home.provider.set("*", HELLO) if count == 2 else None)
        told = claude(home, tmp_path, "--allowedTools", "Agent")
        assert told.exit_code == 0
        (name,) = {each.headers["x-claude-code-agent-id"] for each in door.billed[1:] if _is_part(each.headers)}
        rows = list(home.holds())
        assert set(agents_of(rows)) == {"claude-code"}
        assert {row.labels["tag.subagent"] for row in rows if "tag.subagent" in row.labels} == {name}
        assert len({row.labels["session"] for row in rows}) == 1
        home.assert_sound()


def _is_part(headers: dict[str, str]) -> bool:
    return "x-claude-code-agent-id" in headers
