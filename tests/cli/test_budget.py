"""`bursar budget`: used, held, left, and the exit codes of --check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.core.charge import Amounts, Charge
from bursar.core.hold import Verb


def test_used_is_settled_and_presumed_and_held_stands_apart(filled: Filled) -> None:
    filled.call({"user": "ada"}, verb=None)
    told = json.loads(run("budget", "list", "--json").stdout)
    everything = next(status for status in told if status["name"] == "everything")["standings"][0]
    assert everything["settled_nano"] == 300_000_000
    assert everything["presumed_nano"] == 20_000_000
    assert everything["used_nano"] == 320_000_000
    assert everything["held_usd"] == "0.02"
    assert everything["left_nano"] == 1_000_000_000 - 340_000_000
    assert everything["percent"] == 32


def test_the_fullest_scope_comes_first(filled: Filled) -> None:
    told = json.loads(run("budget", "show", "users", "--json").stdout)[0]
    assert [each["scope"] for each in told["standings"]] == ["user=ada", "user=cy", "user=bob"]
    table = run("budget", "show", "users").stdout
    assert "user=ada" in table
    assert "10,000 tokens" in table


@pytest.mark.parametrize(("cost", "code"), [(0, 0), (200_000_000, 4), (700_000_000, 3)])
def test_check_tells_with_the_exit_code(filled: Filled, cost: int, code: int) -> None:
    if cost:
        hold_id = filled.call({}, verb=None)
        filled.ledger.close(hold_id, Verb.SETTLE, filled.now_ns, Charge(Amounts(cost, requests=1)))
    assert run("budget", "list", "--check").exit_code == code
    assert run("budget", "list").exit_code == 0


def test_an_unknown_budget_is_named_with_what_was_meant(filled: Filled) -> None:
    result = run("budget", "show", "evrything")
    assert result.exit_code == 1
    assert "did you mean 'everything'" in result.stderr


def test_a_new_window_starts_at_zero(filled: Filled, config: Path) -> None:
    config.write_text(config.read_text().replace("$1 / month", "$1 / minute"))
    told = json.loads(run("budget", "list", "--json").stdout)
    assert next(each for each in told if each["name"] == "everything")["standings"][0]["used_nano"] == 0


def test_no_budget_at_all_says_what_to_do(filled: Filled, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert "bursar init" in run("budget", "list", "--config", empty).stdout
