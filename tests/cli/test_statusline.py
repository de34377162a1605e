"""`bursar statusline`: one line, fast, never a failure, and nothing in it is run."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cli.filled import Filled, run

from bursar.cli import main
from bursar.cli.statusline import FIELDS
from bursar.config.load import load
from bursar.config.where import ledger_path
from bursar.core.charge import Amounts
from bursar.core.hold import Verb
from bursar.errors import ConfigError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "live.md"
TIMES_HELP = 2.2
"""`bursar --help` may take 100 ms of CPU, a status line 150; the rest is slack for a shared machine."""


def line(*words: object, stdin: str | bytes = "") -> str:
    result = CliRunner().invoke(main, ["statusline", *map(str, words)], input=stdin)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    return result.stdout.rstrip("\n")


def test_the_line_says_what_today_came_to_how_full_the_fullest_budget_is_and_what_is_in_flight(filled: Filled) -> None:
    assert line() == "$0.32 today · budget everything 32%"
    filled.call({"user": "ada"}, verb=None)
    assert line() == "$0.32 today · budget everything 32% · 1 in flight"
    assert "budget users user=ada 26%" in line("--budget", "users")


def test_a_budget_that_is_used_up_is_named_in_words(filled: Filled) -> None:
    filled.call({"user": "cy"}, Amounts(1, 20_000, requests=1))
    assert "budget users user=cy 215% EXCEEDED" in line()


def test_the_session_that_claude_code_names_on_stdin_is_shown(filled: Filled) -> None:
    filled.call({"session": "s-1"}, Amounts(420_000_000, requests=1))
    filled.call({"session": "s-1"}, verb=Verb.PRESUME)
    said = {"session_id": "s-1", "model": {"id": "m", "display_name": "Opus"}, "cost": {"total_cost_usd": 9}}
    assert line(stdin=json.dumps(said)).startswith("$0.44 session · $0.76 today")
    assert line("--format", "{model} {session_usd} {session_calls}", stdin=json.dumps(said)) == "Opus $0.44 2"
    assert line("--session", "unknown").startswith("$0.00 session")


@pytest.mark.parametrize(
    "said", ["", "hello", "{", "[1]", '{"session_id": 5, "model": 7}', "{" * 5000, b"\xff\xfe{", '{"model": null}']
)
def test_stdin_that_says_something_else_changes_nothing(filled: Filled, said: str | bytes) -> None:
    assert line(stdin=said) == "$0.32 today · budget everything 32%"


def test_a_template_takes_its_named_fields_and_leaves_everything_else_as_it_is(filled: Filled) -> None:
    assert line("--format", "[{today_usd}] {in_flight}") == "[$0.32] 0"
    for literal in (
        "{0.__class__}",
        "{today_usd.__class__}",
        "{today_usd!r}",
        "%s $(id) `id`",
        "{nothing}",
        "{{",
        "\\",
    ):
        assert line("--format", literal) == literal


def test_a_session_cannot_bring_a_field_into_the_template(filled: Filled) -> None:
    said = json.dumps({"session_id": "{today_usd}", "model": "x", "cost": None})
    assert line("--format", "{model}|", stdin=said) == "|"
    said = json.dumps({"session_id": "s", "model": {"display_name": "{today_usd}"}})
    assert line("--format", "{model}", stdin=said) == "{today_usd}"


def test_no_value_moves_the_cursor_breaks_the_line_or_styles_tmux(filled: Filled) -> None:
    filled.call({"user": "e#[bg=red]#(reboot)"}, Amounts(1, 9_900, requests=1))
    said = json.dumps({"session_id": "s", "model": {"display_name": "a\nb\x1b[2J\u202e#[x]"}})
    shown = line(stdin=said) + line("--format", "{model}", stdin=said)
    assert "#[" not in shown and "#(" not in shown
    assert shown.isprintable()


def test_every_field_is_given_and_documented(filled: Filled) -> None:
    assert set(json.loads(line("--json"))) == set(FIELDS)
    text = DOCS.read_text(encoding="utf-8")
    assert all(f"`{{{name}}}`" in text for name in FIELDS)


def test_without_a_ledger_it_says_so_and_exits_with_0_and_makes_none(config: Path, tmp_path: Path) -> None:
    assert line() == "bursar: no ledger yet"
    assert line("--json") == "{}"
    assert not (tmp_path / "bursar.db").exists()


def test_with_a_broken_file_or_configuration_it_says_so_and_exits_with_0(config: Path, tmp_path: Path) -> None:
    (tmp_path / "bursar.db").write_text("no database at all" * 100)
    assert line().startswith("bursar: the ledger")
    config.write_text("store: {path: [")
    assert line().startswith("bursar: bursar.yaml")


def test_a_ledger_that_is_closed_by_a_status_line_stays_whole(filled: Filled) -> None:
    filled.ledger.close_store()
    assert "today" in line()
    result = run("verify")
    assert result.exit_code == 0, result.output
    Filled.__post_init__(filled)


def test_a_pipe_on_stdin_that_says_nothing_is_not_waited_for(filled: Filled, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        began = time.monotonic()
        out = subprocess.run(
            [sys.executable, "-m", "bursar.cli", "statusline"],
            stdin=reading,
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert b"today" in out.stdout
        assert time.monotonic() - began < 30
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    ("text", "store", "environ"),
    [
        ("", None, {}),
        ("store: {path: here.db}", None, {}),
        ("store: {path: here.db}", "flag.db", {}),
        ("store: {path: here.db}", None, {"BURSAR_STORE_PATH": "env.db"}),
        ("store: {path: ~/home.db}", None, {"BURSAR_STORE_PATH": " "}),
        ("budgets: [$1 / day]", None, {}),
    ],
)
def test_the_short_way_to_the_ledger_ends_where_the_loader_ends(
    tmp_path: Path, text: str, store: str | None, environ: dict[str, str]
) -> None:
    file = tmp_path / "bursar.yaml"
    file.write_text(text)
    flags = {"store.path": store} if store else {}
    expected = load(file, environ, flags).store.path
    assert ledger_path(file, store, environ, tmp_path / "elsewhere") == expected
    assert ledger_path(None, store, environ, tmp_path) == expected
    assert ledger_path(None, store, {**environ, "BURSAR_CONFIG": str(file)}, Path("/")) == expected


def test_the_short_way_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        ledger_path(tmp_path / "none.yaml", None, {}, tmp_path)


@pytest.mark.slow
def test_it_costs_little_more_than_help(filled: Filled) -> None:
    def cpu_s(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "bursar.cli", *words], stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    told = {words: min(cpu_s(words) for _ in range(4)) for words in ("--help", "statusline")}
    assert told["statusline"] < TIMES_HELP * told["--help"], told
