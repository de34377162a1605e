"""`bursar runs show`, `compare` and `tasks`: a run can be read at a glance, in a terminal of 100 columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.core.charge import Amounts
from bursar.core.hold import Verb
from bursar.core.ledger import Note
from bursar.core.window import NS

WIDE = {"COLUMNS": "100"}
DEAR = "claude-sonnet-4-5-20250929"


@pytest.fixture
def book(filled: Filled) -> Filled:
    """Two runs of one task beside the calls that are there: one of four steps, one of two on a cheaper model."""
    began = filled.now_ns - 600 * NS
    named = {"run": "outage-17", "agent": "researcher", "task": "t-17", "user": "zoe"}
    for number in range(3):
        note = Note(status=200, ended="complete", tool_calls=number, seen="row 5" if number == 2 else "")
        amounts = Amounts(5_000_000 * (number + 1), 300, 100 * number, 0, 30, 0, 1)
        flags = {"estimated"} if number == 1 else set()
        filled.call({**named, "model": DEAR}, amounts, at_ns=began + number * 7 * NS, note=note, flags=flags)
    filled.call(named, verb=None, at_ns=began + 60 * NS)
    for number in range(2):
        cheap = {**named, "run": "outage-18", "model": "gpt-4o-mini"}
        filled.call(cheap, Amounts(4_000_000, 300, 0, 0, 31, 0, 1), at_ns=began + number * NS, is_watched=True)
    return filled


def test_the_list_of_runs_still_needs_no_word_more(book: Filled) -> None:
    listed = json.loads(run("runs", "--json").stdout)
    assert [row["run"] for row in listed] == ["outage-17", "outage-18"]
    assert "outage-18" in run("runs", "--top", "5", env=WIDE).stdout


def test_a_run_is_told_step_by_step_within_100_columns(book: Filled) -> None:
    result = run("runs", "show", "outage-17", env=WIDE)
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    head, steps = result.stdout.split("\n\n", 1)
    for words in ("outage-17", "researcher", "t-17", "zoe", "1 m 00 s", "4, 3 tool calls, 1 in flight"):
        assert words in head
    assert "$0.05, of which $0.02 presumed or held" in head
    lines = steps.splitlines()
    assert lines[0].split() == [
        "#",
        "after",
        "waterfall",
        "model",
        "input",
        "cached",
        "output",
        "tools",
        "cost",
        "took",
        "notes",
    ]
    assert lines[1].split()[:3] == ["1", "+0.0", "s"]
    assert "estimated" in lines[2]
    assert "loop: row 5" in lines[3]
    assert lines[4].rstrip().endswith("open")
    assert "estimated: the provider told no usage" in lines[5]


def test_bars_begin_and_end_where_their_steps_did(book: Filled) -> None:
    lines = run("runs", "show", "outage-17", env=WIDE).stdout.split("\n\n", 1)[1].splitlines()
    at = lines[0].index("waterfall")
    bars = [line[at : at + 10] for line in lines[1:5]]
    assert bars[0] == "█         "
    assert bars[3] == "         ░"
    starts = [len(bar) - len(bar.lstrip()) for bar in bars]
    assert starts == sorted(starts)


def test_everything_is_there_as_json(book: Filled) -> None:
    told = json.loads(run("runs", "show", "outage-17", "--json").stdout)
    assert (told["steps"], told["in_flight"], told["tool_calls"], told["cost_usd"]) == (4, 1, 3, "0.05")
    first, second, third, last = told["calls"]
    assert (first["model"], first["after_ms"], first["took_ms"]) == (DEAR, 0, 1_000)
    assert second["call"]["flags"] == ["estimated"]
    assert (third["seen"], last["call"]["state"]) == ("row 5", "open")
    assert first["call"]["id"] in run("call", first["call"]["id"]).stdout


def test_the_first_steps_are_shown_and_that_there_are_more(book: Filled) -> None:
    assert "and 2 more (--top)" in run("runs", "show", "outage-17", "--top", "2").stdout


def test_two_runs_are_compared_step_by_step_and_in_all(book: Filled) -> None:
    result = run("runs", "compare", "outage-17", "outage-18", env=WIDE)
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    totals, steps = result.stdout.split("\n\n", 1)
    rows = {line.split("  ")[0]: line.split() for line in totals.splitlines()[1:]}
    assert rows["cost"][1:] == ["$0.0500", "$0.0080", "-$0.0420"]
    assert rows["steps"][1:] == ["4", "2", "-2"]
    lines = steps.splitlines()
    assert "gpt-4o-mini" in lines[1]
    assert "-$0.0010" in lines[1]
    assert lines[4].split()[:2] == ["4", "gpt-4o"]
    told = json.loads(run("runs", "compare", "outage-17", "outage-18", "--json").stdout)
    assert (told["more_usd"], len(told["pairs"]), told["pairs"][3]["second"]) == ("-0.042", 4, None)


def test_a_finished_task_has_a_price(book: Filled) -> None:
    assert run("runs", "finish", "outage-18", "--outcome", "ok").exit_code == 0
    result = run("runs", "tasks", "--since", "1d", env=WIDE)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith("t-17"))
    assert line.split() == ["t-17", "2", "1", "0", "1", "ok", "5", "$0.0380", "$0.0190", "$0.0380"]
    (row,) = (row for row in json.loads(run("runs", "tasks", "--json").stdout)["rows"] if row["task"] == "t-17")
    assert (row["per_finished_usd"], row["outcomes"]) == ("0.038", {"ok": 1})
    assert "researcher" in run("runs", "tasks", "--by", "agent", env=WIDE).stdout


def test_what_cannot_be_found_or_grouped_is_told(book: Filled, tmp_path: Path) -> None:
    missing = run("runs", "show", "nobody")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "no call of a run 'nobody'" in missing.stderr
    assert run("runs", "tasks", "--by", "run").exit_code == 2
    assert "write one of" in run("runs", "tasks", "--by", "colour").stderr
    assert "tenant acme has no calls" in run("runs", "show", "outage-17", "--tenant", "acme").stderr
    book.call({"run": "acme-run"}, Amounts(1, requests=1), tenant="acme", verb=Verb.SETTLE)
    assert run("runs", "show", "outage-17", "--tenant", "acme").exit_code == 1
    assert run("runs", "show", "acme-run", "--tenant", "acme").exit_code == 0
