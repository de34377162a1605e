"""Codex, the real program: it works through the gateway, is known without a setting, and stops at a budget."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.agents.rig import CODEX, LINK, Door, another_call, codex, needs
from tests.gateway.house import DOLLAR, house, usd

from bursar.core.hold import State
from bursar.testing import Script, ToolCall

pytestmark = [pytest.mark.slow, needs(CODEX)]

HELLO = Script(text="Hello from the script", output_tokens=6)
STEP = Script(tool_call=ToolCall("exec_command", json.dumps({"cmd": "echo step >> steps"})), output_tokens=20)
ENDLESS = Script(text="word " * 40_000, output_tokens=200_000, tokens_per_s=3000, tokens_per_event=20)
NO_SANDBOX = ("--sandbox", "danger-full-access")
"""Where these tests run, its own sandbox may not be possible."""


@pytest.mark.parametrize("model", [(), ("--model", "gpt-5.2-codex")], ids=["tools-in-input", "tools"])
def test_it_works_and_is_known_by_session_agent_and_run_without_a_setting(
    tmp_path: Path, model: tuple[str, ...]
) -> None:
    with house(tmp_path, [usd()], scripts={"*": HELLO}) as home:
        door = Door(home)
        told = codex(home, tmp_path, *model)
        assert told.exit_code == 0
        assert told.out.strip() == "Hello from the script"
        assert door.statuses == [200]
        sent = json.loads(door.billed[0].body)
        assert sent["stream"] is True
        # Newer models get their tools among the input.
        assert ("tools" in sent) is bool(model)
        assert "exec_command" in json.dumps(sent.get("tools", sent["input"][0]))
        (row,) = home.holds()
        shown = re.search(r"session id: (\S+)", told.err)
        assert shown is not None and row.labels["session"] == shown.group(1)
        assert row.labels["agent"] == "codex"
        assert row.labels["run"]
        assert row.labels["team"] == "research"  # This one is told, by the settings that its page shows.
        assert home.assert_sound().settled == home.invoice_nano() > 0
        assert door.others == set()


def test_a_spent_budget_stops_it_at_the_first_attempt_with_our_words(tmp_path: Path) -> None:
    budget = usd(0, "pocket money", per=("agent",), link=LINK)
    with house(tmp_path, [budget], scripts={"*": HELLO}) as home:
        door = Door(home)
        told = codex(home, tmp_path)
        assert door.statuses == [429]
        assert told.exit_code == 1
        assert "Budget 'pocket money' of agent=codex: $0.00 of $0.00 used" in told.err
        assert f"To get more: {LINK}, or try again later." in told.err
        assert "Reconnecting" not in told.err
        assert home.provider.requests() == []


def test_a_model_without_a_price_stops_it_at_the_first_attempt_with_our_words(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], scripts={"*": HELLO}, prices=()) as home:
        door = Door(home)
        told = codex(home, tmp_path, "--model", "nobody-knows")
        assert door.statuses == [400]
        assert told.exit_code == 1
        assert "add one under prices:" in told.err


def test_a_budget_that_ends_in_the_middle_of_its_work_stops_it_at_the_next_step(tmp_path: Path) -> None:
    with house(tmp_path, [usd(DOLLAR * 3 // 10)], scripts={"*": STEP}) as home:
        door = Door(home)
        told = codex(home, tmp_path, *NO_SANDBOX)
        *done, last = door.statuses
        assert len(done) >= 3 and set(done) == {200}
        assert last == 429
        steps = (tmp_path / "work" / "steps").read_text()
        assert steps.count("step") == len(done)
        assert told.exit_code == 1
        assert "Budget 'one': $0." in told.err and "of $0.30 used" in told.err
        assert home.assert_sound().settled == home.invoice_nano() <= DOLLAR * 3 // 10


def test_an_answer_that_the_budget_cuts_short_ends_its_turn(tmp_path: Path) -> None:
    with house(tmp_path, [usd(220_000_000)], scripts={"*": ENDLESS}, top_speed=4000) as home:
        door = Door(home)
        with another_call(home):
            told = codex(home, tmp_path)
        assert door.statuses == [200]
        assert told.exit_code == 1
        assert "Incomplete response returned, reason: max_output_tokens" in told.err
        cut = next(row for row in home.holds() if row.labels["wire"] == "openai.responses")
        assert cut.note.ended == "cut" and cut.state is State.SETTLED
        home.assert_sound()
