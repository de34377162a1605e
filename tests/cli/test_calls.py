"""`bursar call`, `bursar holds`, `bursar verify`: single calls, their correction, and the proof."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.cli.call import BASES, ENDINGS, FLAG_WORDS, STATE_WORDS
from bursar.core.charge import FLAGS, Amounts
from bursar.core.hold import State, Verb
from bursar.processes import process_name
from bursar.reports.anatomy import Basis


def test_every_flag_state_and_basis_has_words() -> None:
    assert set(FLAG_WORDS) == set(FLAGS)
    assert set(STATE_WORDS) == set(State)
    assert set(BASES) == set(Basis)
    assert {"complete", "capped", "cut", "hangup", "error", "lost"} == set(ENDINGS)


def test_the_last_calls_are_listed_latest_first(filled: Filled) -> None:
    last = filled.call({"agent": "last"}, Amounts(1, 1, requests=1), at_ns=filled.now_ns + 1)
    told = json.loads(run("call", "--json").stdout)
    assert len(told) == 6
    assert told[0]["id"] == last
    assert last in run("call", "--last", "1").stdout


def test_the_parts_of_a_call_add_up_to_its_cost(filled: Filled) -> None:
    hold_id = filled.call({"agent": "a", "run": "r1"}, Amounts(5_500_001, 1000, 200, 0, 300, 100, 1))
    told = json.loads(run("call", hold_id, "--json").stdout)
    parts = told["parts"]
    where, rated, output = (parts[name] for name in ("input", "input_by_rate", "output"))
    assert sum(part["cost_nano"] for part in where + output) + parts["fee_nano"] == 5_500_001
    assert sum(part["cost_nano"] for part in where) == sum(part["cost_nano"] for part in rated)
    assert sum(part["tokens"] for part in where) == 1000
    assert [part["tokens"] for part in where] == [200, 100, 500, 200]
    text = run("call", hold_id).stdout
    for words in ("input: system prompt", "input: tools", "input: history", "reasoning", "run       r1", "512 tokens"):
        assert words in text


def test_a_price_that_still_gives_the_cost_is_called_exact(filled: Filled) -> None:
    # gpt-4o: $2.50 in, $1.25 cached, $10 out per million.
    cost = 800 * 2500 + 200 * 1250 + 300 * 10_000
    hold_id = filled.call({}, Amounts(cost, 1000, 200, 0, 300, 100, 1), price="genai-prices")
    assert json.loads(run("call", hold_id, "--json").stdout)["parts"]["basis"] == "exact"


@pytest.mark.parametrize("verb", [Verb.PRESUME, Verb.RELEASE, None])
def test_a_call_in_any_state_can_be_explained(filled: Filled, verb: Verb | None) -> None:
    hold_id = filled.call({"agent": "a"}, verb=verb)
    result = run("call", hold_id)
    assert result.exit_code == 0
    assert STATE_WORDS[filled.ledger.hold("default", hold_id).state] in result.stdout


def test_an_unknown_call_is_one_line_and_exit_code_1(filled: Filled) -> None:
    result = run("call", "nonsense")
    assert result.exit_code == 1
    assert result.stderr == "bursar: no call nonsense\n"


def test_a_presumed_hold_is_corrected_and_budgets_follow(filled: Filled) -> None:
    (presumed,) = json.loads(run("holds", "list", "--json").stdout)
    result = run("holds", "correct", presumed["id"], "--cost", "$0.005", "--input", 10, "--output", 20)
    assert result.exit_code == 0, result.stderr
    row = filled.ledger.hold("default", presumed["id"])
    assert row.state is State.SETTLED
    assert row.settled == Amounts(5_000_000, 10, 0, 0, 20, 0, 1)
    assert "corrected" in row.flags
    told = json.loads(run("budget", "show", "everything", "--json").stdout)[0]["standings"][0]
    assert told["presumed_nano"] == 0
    assert told["settled_nano"] == 305_000_000
    assert run("verify").exit_code == 0


def test_what_a_correction_does_not_state_stays(filled: Filled) -> None:
    hold_id = filled.call({}, Amounts(9, 100, 50, 0, 40, 30, 1))
    assert run("holds", "correct", hold_id, "--cost", "0", "--output", 10).exit_code == 0
    assert filled.ledger.hold("default", hold_id).settled == Amounts(0, 100, 50, 0, 10, 10, 1)


def test_a_call_in_flight_is_not_corrected(filled: Filled) -> None:
    filled.ledger.beat(process_name(), time.time_ns())
    hold_id = filled.call({}, verb=None, process=process_name())
    result = run("holds", "correct", hold_id, "--cost", "0")
    assert result.exit_code == 1
    assert "still in flight" in result.stderr
    assert "bursar holds lapse" in result.stderr
    assert filled.ledger.hold("default", hold_id).state is State.OPEN


def _dead_process() -> str:
    """Name a process that ran on this machine and is gone."""
    code = "from bursar.processes import process_name; print(process_name())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_what_a_killed_process_left_is_lapsed_and_then_corrected_without_a_gateway(filled: Filled) -> None:
    hold_id = filled.call({}, verb=None, process=_dead_process())
    assert json.loads(run("verify", "--json").stdout)["orphans"] == [hold_id]
    result = run("holds", "correct", hold_id, "--cost", "0.01")
    assert result.exit_code == 0, result.stderr
    assert "1 open holds of processes that are gone" in result.stdout
    assert filled.ledger.hold("default", hold_id).settled.cost_nano == 10_000_000


def test_lapse_presumes_and_never_refunds(filled: Filled) -> None:
    hold_id = filled.call({}, verb=None, process=_dead_process())
    assert json.loads(run("holds", "lapse", "--json").stdout) == {"lapsed": 1}
    assert filled.ledger.hold("default", hold_id).state is State.PRESUMED
    assert json.loads(run("holds", "lapse", "--json").stdout) == {"lapsed": 0}


@pytest.mark.parametrize("cost", ["-1", "much", "1.0000000001"])
def test_a_cost_that_is_none_is_refused(filled: Filled, cost: str) -> None:
    result = run("holds", "correct", "x", f"--cost={cost}")
    assert result.exit_code == 2
    assert "--cost" in result.stderr


def test_holds_are_listed_by_state(filled: Filled) -> None:
    assert len(json.loads(run("holds", "list", "--state", "settled", "--json").stdout)) == 3
    assert len(json.loads(run("holds", "list", "--state", "all", "--json").stdout)) == 5
    assert run("holds", "list", "--state", "open").stdout == "no hold is open\n"


def test_verify_proves_and_counts(filled: Filled) -> None:
    result = run("verify")
    assert result.exit_code == 0
    assert "every balance equals its entries" in result.stdout
    told = json.loads(run("verify", "--json").stdout)
    assert told["calls"] == 4
    assert told["presumed_calls"] == 1
    assert told["presumed_usd"] == "0.02"
    assert told["flags"] == {"estimated": 2, "bound_violation": 3}


def test_verify_finds_a_balance_that_somebody_changed(filled: Filled) -> None:
    filled.ledger.db.execute("UPDATE balance SET settled = settled - 1 WHERE settled > 0")
    result = run("verify")
    assert result.exit_code == 1
    assert "MISMATCH everything: settled says" in result.stdout
    assert json.loads(run("verify", "--json").stdout)["is_proven"] is False


def test_verify_of_a_file_that_is_no_ledger_is_one_line(config: Path, tmp_path: Path) -> None:
    (tmp_path / "bursar.db").write_text("hello, I am no database at all" * 100)
    result = run("verify")
    assert result.exit_code == 1
    assert "cannot be opened" in result.stderr
    assert "Traceback" not in result.output
