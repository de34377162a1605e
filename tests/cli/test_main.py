"""The root command: its help, its speed, its errors, and that the docs name everything."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.cli.filled import Filled, run

from bursar.cli import COMMANDS, main
from bursar.errors import BudgetExceeded, BursarError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
CPU_MS_MOST = 100
SLACK = 2
"""A shared machine may be this many times slower than the one the budget was set on."""


def _commands(command: click.Command, name: str = "bursar") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _commands(found, f"{name} {each}")


ALL = dict(_commands(main))


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_and_stands_in_the_docs(name: str) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert f"`{name}" in text, f"{name} is missing in docs/command-line.md"
    for param in ALL[name].params:
        for option in (*param.opts, *param.secondary_opts):
            assert not option.startswith("--") or option in text, f"{option} of {name} is missing"
    result = CliRunner().invoke(main, [*name.split()[1:], "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: bursar")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_prints_data_takes_json(name: str) -> None:
    leaves = [command for path, command in ALL.items() if path.split()[1:2] == [name]]
    without = {"init", "serve", "demo", "run"}
    for command in leaves:
        if not isinstance(command, click.Group) and name not in without:
            assert any("--json" in param.opts for param in command.params), command.name


def test_no_option_has_an_empty_help() -> None:
    for name, command in ALL.items():
        for param in command.params:
            assert not isinstance(param, click.Option) or param.help, f"{name} {param.name}"


@pytest.mark.slow
def test_help_starts_within_its_budget_and_imports_no_command() -> None:
    code = (
        "import json, sys, time\n"
        "from bursar.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "names = ('bursar.', 'aiohttp', 'yaml', 'genai_prices', 'openai', 'sqlite3')\n"
        "print(json.dumps([name for name in sys.modules if name.startswith(names)]))\n"
        "print(time.process_time())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert set(json.loads(out[-2])) == {"bursar.cli", "bursar.cli.lazy", "bursar.errors"}
    assert float(out[-1]) * 1000 < CPU_MS_MOST * SLACK


def test_a_missing_extra_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="httptools")

    monkeypatch.setattr(importlib, "import_module", missing)
    result = run("serve")
    assert result.exit_code == 2
    assert "pip install 'bursar[gateway]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("error", "code"), [(BursarError("broken"), 1), (BudgetExceeded("all gone"), 3)])
def test_an_error_is_one_line_on_stderr_and_its_exit_code(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, error: BursarError, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("bursar.cli.verify.audit", fail)
    result = run("verify")
    assert result.exit_code == code
    assert result.stderr == f"bursar: {error.message}\n"


def test_colours_come_only_where_they_are_wanted(filled: Filled) -> None:
    def printed(*words: str, **env: str) -> str:
        return CliRunner().invoke(main, [*words, "spend"], color=True, env=env).stdout

    assert "\x1b[" in printed()
    assert "\x1b[" not in printed(NO_COLOR="1")
    assert "\x1b[" not in printed(NO_COLOR="0")
    assert "\x1b[" not in printed("--no-color")
    assert "\x1b[" in printed(NO_COLOR="")


def test_an_unknown_command_is_a_usage_error() -> None:
    result = run("spnd")
    assert result.exit_code == 2


def test_a_wrong_configuration_is_told_with_its_line(config: Path) -> None:
    config.write_text("budgets:\n  - limit: lots\n")
    for words in (("spend",), ("budget", "list"), ("doctor",), ("serve", "--port", "0")):
        result = run(*words)
        assert result.exit_code == 2
        assert "bursar.yaml:2" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["spend"], ["budget", "list", "--json"], ["verify"]])
def test_an_output_that_cannot_be_written_is_one_line_and_a_failure(filled: Filled, words: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        found = subprocess.run(
            [sys.executable, "-m", "bursar.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert found.returncode == 1
    assert found.stderr == "bursar: the output cannot be written: No space left on device\n"


def test_a_reader_that_goes_away_is_told_nothing(filled: Filled) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bursar.cli", "spend"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 1
