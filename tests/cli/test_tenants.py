"""Tenants on the command line: each command shows one tenant's calls, and says where others are."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from tests.cli.filled import NOTE, Filled, run

from bursar.core.charge import Amounts
from bursar.core.hold import Verb

TRUTH = Amounts(7_000_000, 10, 0, 0, 20, 0, 1)
READS: tuple[Sequence[str], ...] = (
    ("spend",),
    ("call",),
    ("holds", "list"),
    ("tail", "--no-follow"),
    ("top", "--once"),
    ("runs",),
)


@pytest.mark.parametrize("words", READS, ids=lambda words: words[0])
def test_a_tenant_without_calls_is_told_where_there_are_some(filled: Filled, words: Sequence[str]) -> None:
    filled.call({"run": "r"}, verb=Verb.PRESUME)
    result = run(*words, "--tenant", "rival")
    assert result.exit_code == 0, result.output
    assert result.stderr == "tenant rival has no calls; there are calls of: default (--tenant NAME)\n"
    assert run(*words).stderr == ""


@pytest.mark.parametrize("words", READS, ids=lambda words: words[0])
def test_a_command_shows_the_calls_of_the_tenant_that_is_named(filled: Filled, words: Sequence[str]) -> None:
    labels = {"agent": "theirs", "run": "r"}
    filled.call(labels, verb=Verb.PRESUME, tenant="rival")
    theirs, mine = run(*words, "--tenant", "rival"), run(*words)
    assert theirs.stderr == mine.stderr == ""
    assert "theirs" in theirs.stdout and "research" not in theirs.stdout
    assert "theirs" not in mine.stdout


def test_a_call_of_another_tenant_is_not_shown_but_named(filled: Filled) -> None:
    hold_id = filled.call({}, TRUTH, tenant="rival")
    for words in (("call", hold_id), ("holds", "correct", hold_id, "--cost", "0")):
        result = run(*words)
        assert result.exit_code == 1
        assert result.stderr == f"bursar: call {hold_id} is not one of tenant default: --tenant rival\n"
    assert hold_id in run("call", hold_id, "--tenant", "rival").stdout


def test_a_call_of_a_tenant_is_corrected(filled: Filled) -> None:
    hold_id = filled.call({}, verb=Verb.PRESUME, tenant="rival")
    assert run("holds", "correct", hold_id, "--cost", "$0.007", "--tenant", "rival").exit_code == 0
    assert filled.ledger.hold("rival", hold_id).settled.cost_nano == 7_000_000


def test_the_status_line_is_one_tenants(filled: Filled) -> None:
    filled.call({}, TRUTH, tenant="rival")
    assert json.loads(run("statusline", "--json", "--tenant", "rival").stdout)["today_calls"] == "1"
    assert json.loads(run("statusline", "--json").stdout)["today_calls"] == "4"


def test_verify_and_doctor_look_at_every_tenant(filled: Filled) -> None:
    before = json.loads(run("verify", "--json").stdout)
    filled.call({}, TRUTH, tenant="rival")
    filled.call({"model": "nobody-knows"}, TRUTH, tenant="rival", flags={"unpriced"})
    hold_id = filled.call({}, verb=Verb.PRESUME, tenant="rival")
    after = json.loads(run("verify", "--json").stdout)
    assert after["calls"] == before["calls"] + 3
    assert after["presumed_calls"] == before["presumed_calls"] + 1
    assert after["settled_nano"] == before["settled_nano"] + 2 * TRUTH.cost_nano
    assert "tenants   default, rival" in run("verify").stdout
    assert "nobody-knows" in run("doctor").stdout
    assert "2 calls are presumed" in run("doctor").stdout
    assert hold_id in run("holds", "list", "--tenant", "rival").stdout


def test_top_counts_budgets_that_were_set_with_their_top_ups(filled: Filled) -> None:
    run("budget", "set", "today", "$2 / day")
    run("budget", "top-up", "today", "$1")
    shown = {each["budget"]: each for each in json.loads(run("top", "--json").stdout)["budgets"]}
    assert set(shown) == {"everything", "users", "today"}
    assert shown["today"]["limit_usd"] == "3.00"


def test_a_call_that_a_fall_back_answered_says_so(filled: Filled) -> None:
    note = NOTE._replace(answered_by="groq/openai/gpt-oss-120b")
    hold_id = filled.call({}, TRUTH, note=note)
    assert json.loads(run("call", hold_id, "--json").stdout)["answered_by"] == "groq/openai/gpt-oss-120b"
    assert "answered  by the fall-back groq/openai/gpt-oss-120b" in run("call", hold_id).stdout
    plain = filled.call({}, TRUTH)
    assert json.loads(run("call", plain, "--json").stdout)["answered_by"] is None
    assert "fall-back" not in run("call", plain).stdout
