"""`bursar init`, `bursar price`, `bursar doctor`: to begin, and to see what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.actions.checkup import Severity, checkup, filesystem_of
from bursar.config.load import load
from bursar.core.charge import Amounts
from bursar.core.control import Change, Kind
from bursar.stores.sqlite import SqliteLedger


def test_init_writes_a_file_that_loads_and_never_over_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init").exit_code == 0
    assert load(tmp_path / "bursar.yaml", {}).budgets
    (tmp_path / "bursar.yaml").write_text("link: https://mine.example\n")
    result = run("init")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert "mine" in (tmp_path / "bursar.yaml").read_text()
    assert run("init", "--force").exit_code == 0
    assert "mine" not in (tmp_path / "bursar.yaml").read_text()


def test_a_known_price_is_shown_exactly_with_its_source(config: Path) -> None:
    (card,) = json.loads(run("price", "show", "gpt-4o", "--json").stdout)
    assert card["provider"] == "openai"
    assert card["source"] == "genai-prices"
    assert card["tiers"][0]["usd_per_million_tokens"]["input"] == "2.50"
    assert card["tiers"][0]["usd_per_million_tokens"]["output"] == "10.00"
    text = run("price", "show", "openai/gpt-4o").stdout
    assert "genai-prices" in text
    assert "10.00" in text


def test_an_unknown_price_says_what_to_add(config: Path) -> None:
    result = run("price", "show", "my-model-7b")
    assert result.exit_code == 1
    assert "prices:\n    my-model-7b: {input:" in result.stderr


def test_an_own_price_wins_and_says_so(config: Path) -> None:
    config.write_text(config.read_text() + "prices:\n  gpt-4o: {input: 0.000001, output: 3}\n")
    (card,) = json.loads(run("price", "show", "gpt-4o", "--json").stdout)
    assert card["source"] == "override"
    assert card["tiers"][0]["usd_per_million_tokens"]["input"] == "0.000001"


def test_a_free_provider_is_said_to_be_free(config: Path) -> None:
    assert "free: declared so" in run("price", "show", "qwen3", "--provider", "ollama").stdout
    result = run("price", "show", "x", "--provider", "opnai")
    assert result.exit_code == 1
    assert "did you mean 'openai'" in result.stderr


def test_doctor_calls_it_a_problem_when_there_is_no_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("doctor")
    assert result.exit_code == 1
    assert "problem  there is no budget" in result.stdout
    assert not (tmp_path / "bursar.db").exists()


def test_doctor_finds_presumed_money_and_calls_without_a_price(filled: Filled) -> None:
    filled.call({"model": "mystery"}, Amounts(0, 10, requests=1), flags={"unpriced"})
    result = run("doctor")
    assert result.exit_code == 1
    assert "1 calls are presumed, $0.02 in all" in result.stdout
    assert "cost is missing: mystery" in result.stdout
    assert result.stdout.index("problem") < result.stdout.index("note")
    told = json.loads(run("doctor", "--json").stdout)
    assert all(each["fix"] for each in told if each["severity"] != "note")


def test_doctor_is_content_with_a_sound_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bursar.yaml").write_text(
        "budgets:\n  - {limit: $5 / day, per: user}\n  - {limit: $5 / day, per: agent}\n  - {limit: $1 / run}\n"
    )
    result = run("doctor")
    assert result.exit_code == 0
    assert "no problem was found" in result.stdout


def test_doctor_knows_what_was_set_and_what_of_it_is_not_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("a", "$5 / day", "--per", "user"), ("b", "$5 / day", "--per", "agent"), ("c", "$1 / run")):
        assert run("budget", "set", *words).exit_code == 0
    assert run("doctor").exit_code == 0
    assert run("key", "create", "--name", "ci").exit_code == 0
    assert run("doctor").exit_code == 0
    (tmp_path / "bursar.db.pepper").unlink()
    assert "restore it" in run("doctor").stdout
    ledger = SqliteLedger(tmp_path / "bursar.db")
    ledger.change([Change(Kind.BUDGET, "*", "odd", "{}", "", "by hand", "x", 1)])
    ledger.close_store()
    assert "not in force: budget odd" in run("doctor").stdout


def test_doctor_advises_a_top_speed_for_a_server_of_ones_own(config: Path) -> None:
    config.write_text(config.read_text() + "providers:\n  vllm: {base_url: 'http://127.0.0.1:1/v1', models: ['q*']}\n")
    assert "providers.vllm.top_speed" in run("doctor").stdout


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/ada/local\\040disk xfs rw 0 0
overlay / overlay rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x.db", "overlay"),
        ("/home/ada/x.db", "nfs4"),
        ("/home/ada/local disk/x", "xfs"),
        ("/homes/x", "overlay"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_closest_mount(path: str, kind: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind


def test_a_ledger_on_a_network_file_system_is_a_problem(config: Path) -> None:
    findings = checkup(load(config, {}), None, (), "nfs4")
    assert findings[0].severity is Severity.PROBLEM
    assert "network file system (nfs4)" in findings[0].what


KEYS_ELSEWHERE = """\
budgets: [$5 / month]
providers:
  openai: {api_key_env: KEY_OF_ANOTHER_PROCESS}
  vllm: {base_url: "http://127.0.0.1:1/v1", local: true, headers: {x-team: "${TEAM_OF_ANOTHER_PROCESS}"}}
"""


def test_reports_need_no_providers_key_and_what_calls_providers_does(
    filled: Filled, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(KEYS_ELSEWHERE + f"store: {{path: {filled.path}}}\n")
    monkeypatch.delenv("KEY_OF_ANOTHER_PROCESS", raising=False)
    for words in ("spend", "runs", "call", "holds list", "verify", "budget list", "price show gpt-4o", "audit"):
        result = run(*words.split())
        assert result.exit_code == 0, (words, result.output)
        assert "set elsewhere" not in result.output
    for words in ("config check", "serve --port 0"):
        result = run(*words.split())
        assert result.exit_code == 2
        assert "KEY_OF_ANOTHER_PROCESS is not set" in result.stderr
        assert "TEAM_OF_ANOTHER_PROCESS" in result.stderr
    told = run("doctor")
    assert told.exit_code == 1
    assert "bursar.yaml:3: providers.openai.api_key_env" in told.stdout
    assert "KEY_OF_ANOTHER_PROCESS is not set" in told.stdout
    assert "TEAM_OF_ANOTHER_PROCESS" in told.stdout


def test_what_is_wrong_beside_a_missing_key_stops_a_report_too(filled: Filled, config: Path) -> None:
    config.write_text(KEYS_ELSEWHERE + f"store: {{path: {filled.path}}}\nbudgetts: []\n")
    result = run("spend")
    assert result.exit_code == 2
    assert "budgetts" in result.stderr
    assert "KEY_OF_ANOTHER_PROCESS" not in result.stderr
