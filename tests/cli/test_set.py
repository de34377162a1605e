"""Budgets, prices and pauses set by the command line; the audit log; `config check`; `runs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.filled import HOUR, Filled, run

from bursar.core.charge import Amounts
from bursar.core.control import Change, Kind
from bursar.core.hold import Verb


def told(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def budgets() -> dict[str, Any]:
    return {each["name"]: each for each in told("budget", "list")}


def test_a_set_budget_is_listed_with_its_source_beside_those_of_the_file(filled: Filled) -> None:
    result = run(
        "budget", "set", "team", "$5 / month", "9 requests / day", "--match", "agent=research", "--per", "user"
    )
    assert result.exit_code == 0, result.stderr
    assert {name: each["source"] for name, each in budgets().items()} == {
        "everything": "file",
        "users": "file",
        "team (month)": "set",
        "team (day)": "set",
    }
    shown = run("budget", "show", "team (day)").stdout
    assert "[set]" in shown
    assert run("budget", "remove", "team").exit_code == 0
    assert set(budgets()) == {"everything", "users"}
    assert [each["action"] for each in told("audit")] == ["budget remove", "budget set"]


def test_a_top_up_raises_what_is_left_in_this_window(filled: Filled) -> None:
    before = budgets()["everything"]["standings"][0]
    result = run("budget", "top-up", "everything", "$0.50", "--id", "order-7")
    assert result.exit_code == 0, result.stderr
    assert run("budget", "top-up", "everything", "$0.50", "--id", "order-7").exit_code == 0
    after = budgets()["everything"]
    assert after["standings"][0]["limit_nano"] == before["limit_nano"] + 500_000_000
    assert after["standings"][0]["left_nano"] == before["left_nano"] + 500_000_000
    assert [each["id"] for each in after["top_ups"]] == ["order-7"]
    assert "topped up: $0.50 more for everybody" in run("budget", "show", "everything").stdout
    run("budget", "top-up", "users", "1k tokens", "--scope", "user=ada")
    limits = {each["scope"]: each["limit"] for each in budgets()["users"]["standings"]}
    assert limits == {"user=ada": 11_000, "user=bob": 10_000, "user=cy": 10_000}


def test_a_budget_that_is_topped_up_is_not_exceeded_any_more(filled: Filled) -> None:
    filled.call({}, Amounts(cost_nano=700_000_000, requests=1))
    assert run("budget", "list", "--check").exit_code == 3
    run("budget", "top-up", "everything", "$10")
    assert run("budget", "list", "--check").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("budget", "set", "everything", "$1 / day"), 2, "written in bursar.yaml"),
        (("budget", "set", "x", "lots"), 2, "limit"),
        (("budget", "set", "x", "$1 / day", "--match", "agent"), 2, "LABEL=VALUE"),
        (("budget", "set", "x", "$1 / day", "--per", "nobody"), 2, "per"),
        (("budget", "remove", "users"), 2, "written in bursar.yaml"),
        (("budget", "remove", "nobody"), 1, "no budget"),
        (("budget", "top-up", "usres", "1k tokens"), 1, "did you mean 'users'"),
        (("budget", "top-up", "users", "$1"), 2, "counts tokens"),
        (("budget", "top-up", "users", "1k tokens", "--scope", "agent=x"), 2, "user="),
        (("price", "set", "m"), 2, "--free"),
        (("price", "set", "m", "--input", "1"), 2, "output"),
        (("price", "set", "m", "--input", "-1", "--output", "1"), 2, "negative"),
        (("price", "set", "m", "--input", "1", "--output", "1", "--provider", "opnai"), 2, "did you mean 'openai'"),
        (("price", "set", "gpt-4o", "--input", "0.0025", "--output", "0.01", "--provider", "openai"), 2, "force"),
        (("price", "remove", "m"), 1, "no price was set"),
        (("pause",), 2, "--all"),
        (("pause", "--all", "--agent", "x"), 2, "--all"),
        (("pause", "--label", "nobody=x"), 2, "label"),
        (("resume",), 2, "ID"),
        (("resume", "0" * 26), 1, "no pause"),
        (("resume", "../x"), 2, "id"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    filled: Filled, words: tuple[str, ...], code: int, says: str
) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert filled.ledger.control_version() == 0


def test_a_stored_budget_that_cannot_be_read_is_told(filled: Filled) -> None:
    filled.ledger.change([Change(Kind.BUDGET, "*", "odd", "{}", "", "by hand", "x", 1)])
    result = run("budget", "list")
    assert "not in force" in result.stderr
    assert "odd" in result.stderr


def test_another_tenants_budgets_are_shown_when_they_are_asked_for(filled: Filled) -> None:
    run("budget", "set", "theirs", "$1 / day", "--tenant", "rival")
    assert "theirs" not in budgets()
    rival = {each["name"]: each for each in told("budget", "list", "--tenant", "rival")}
    assert set(rival) == {"everything", "users", "theirs"}
    assert rival["everything"]["standings"][0]["used_nano"] == 0, "each tenant has it for itself"


def test_a_set_price_is_shown_and_goes_again(config: Path) -> None:
    assert run("price", "show", "own-model").exit_code == 1
    assert run("price", "set", "own-*", "--input", "0.15", "--output", "0.60", "--cached-input", "0.01").exit_code == 0
    card = told("price", "show", "own-model")[0]
    assert card["source"] == "override"
    assert card["tiers"][0]["usd_per_million_tokens"]["cached input"] == "0.01"
    assert run("price", "set", "own-*", "--free").exit_code == 0
    assert told("price", "show", "own-model")[0]["source"] == "free"
    assert run("price", "remove", "own-*").exit_code == 0
    assert run("price", "show", "own-model").exit_code == 1


def test_models_without_a_price_are_listed_the_most_used_first(filled: Filled) -> None:
    assert "refused for it are not listed" in run("price", "list-unknown").stdout
    for model in ("rare", "often", "often"):
        filled.call({"model": model}, Amounts(0, 10, output_tokens=5, requests=1), flags={"unpriced"})
    assert [(each["model"], each["calls"], each["input_tokens"]) for each in told("price", "list-unknown")] == [
        ("often", 2, 20),
        ("rare", 1, 10),
    ]
    assert "often" in run("price", "list-unknown").stdout


def test_calls_are_paused_listed_and_resumed(config: Path) -> None:
    made = told("pause", "--agent", "bad*", "--agent", "worse", "--label", "team=x", "--reason", "it loops")
    assert made["match"] == {"team": ["x"], "agent": ["bad*", "worse"]}
    assert made["tenant"] == "*"
    assert "it loops" in run("pause", "list").stdout
    assert run("resume", made["id"]).exit_code == 0
    assert run("pause", "list").stdout == "nothing is paused\n"
    for _ in range(2):
        assert run("pause", "--all", "--tenant", "acme").exit_code == 0
    assert told("pause", "list", "--tenant", "rival") == []
    assert told("resume", "--all") == {"resumed": 2}
    assert run("resume", "--all").stdout == "nothing was paused\n"


def test_the_audit_log_tells_before_and_after(filled: Filled) -> None:
    assert run("audit").stdout == "nothing was changed in this time\n"
    run("budget", "set", "b", "$1 / day", "--tenant", "acme")
    run("budget", "set", "b", "$2 / day", "--tenant", "acme")
    run("pause", "--all")
    first, second, _ = reversed(told("audit"))
    assert first["before"] is None
    assert first["after"] == second["before"]
    assert [each["seq"] for each in told("audit")] == [3, 2, 1]
    assert [each["seq"] for each in told("audit", "--top", "1")] == [3]
    assert [each["seq"] for each in told("audit", "--tenant", "acme")] == [2, 1]
    assert told("audit", "--since", "2020-01-01") == told("audit")
    assert "budget set" in run("audit").stdout


def test_a_configuration_is_checked_with_every_problem_and_its_line(tmp_path: Path, config: Path) -> None:
    fine = run("config", "check", config)
    assert fine.exit_code == 0
    assert "everything: $1.00 per month" in fine.stdout
    assert [each["name"] for each in told("config", "check", config)["budgets"]] == ["everything", "users"]
    assert run("config", "check").stdout.startswith("bursar.yaml: fine")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("server:\n  prot: 1\nbudgets:\n  - limit: lots\nnonsense: 1\n")
    result = run("config", "check", wrong)
    assert result.exit_code == 2
    for line in (2, 4, 5):
        assert f"wrong.yaml:{line}: " in result.stderr
    assert run("config", "check", tmp_path / "none.yaml").exit_code == 2


def test_runs_are_listed_with_their_sums_the_last_active_first(filled: Filled) -> None:
    cost = Amounts(50_000_000, 100, output_tokens=10, requests=1)
    assert "x-bursar-run" in run("runs").stdout
    filled.call({"run": "old", "agent": "a"}, cost, at_ns=filled.now_ns - 48 * HOUR)
    filled.call({"run": "r1", "agent": "a", "task": "t"}, cost, at_ns=filled.now_ns - 2 * HOUR)
    filled.call({"run": "r1", "agent": "a", "task": "t"}, cost, at_ns=filled.now_ns - HOUR)
    filled.call({"run": "r1", "agent": "a", "task": "t"}, verb=Verb.PRESUME, at_ns=filled.now_ns - HOUR)
    filled.call({"run": "r1"}, verb=Verb.RELEASE, at_ns=filled.now_ns - HOUR)
    filled.call({"run": "r2", "agent": "b"}, verb=None)
    rows = told("runs")
    assert [row["run"] for row in rows] == ["r2", "r1", "old"]
    assert (rows[0]["steps"], rows[0]["in_flight"], rows[0]["cost_nano"]) == (1, 1, 0)
    assert (rows[1]["steps"], rows[1]["in_flight"], rows[1]["task"]) == (3, 0, "t")
    assert rows[1]["cost_nano"] == 120_000_000
    assert rows[1]["presumed_nano"] == 20_000_000
    assert [row["run"] for row in told("runs", "--since", "12h", "--top", "1")] == ["r2"]
    assert told("runs", "--tenant", "rival") == []
    assert "r1" in run("runs").stdout
