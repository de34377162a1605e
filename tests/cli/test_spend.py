"""`bursar spend`: who spent what."""

from __future__ import annotations

import csv
import io
import json

import pytest
from tests.cli.filled import HOUR, Filled, run

from bursar.core.charge import Amounts


def test_the_dearest_agent_comes_first_and_the_total_last(filled: Filled) -> None:
    result = run("spend")
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if line]
    assert [line.split()[0] for line in lines[1:5]] == ["agent", "research", "(none)", "support"]
    total = next(line for line in lines if line.startswith("total"))
    assert total.split()[-2:] == ["$0.3000", "$0.0200"]


def test_json_carries_exact_amounts_twice(filled: Filled) -> None:
    told = json.loads(run("spend", "--json", "--by", "agent,user").stdout)
    assert told["total"]["cost_nano"] == 300_000_000
    assert told["total"]["cost_usd"] == "0.30"
    assert told["total"]["presumed_nano"] == 20_000_000
    assert told["total"]["calls"] == 4
    assert {(row["agent"], row["user"]) for row in told["rows"]} == {
        ("research", "ada"),
        ("research", "bob"),
        ("(none)", "ada"),
        ("support", "cy"),
    }


def test_csv_runs_no_formula(filled: Filled) -> None:
    rows = list(csv.reader(io.StringIO(run("spend", "--csv", "--by", "model").stdout)))
    assert rows[0][0] == "model"
    assert {row[0] for row in rows[1:]} == {"gpt-4o", "'=HYPERLINK(1)"}


def test_match_and_top_narrow_the_report_and_keep_the_total(filled: Filled) -> None:
    told = json.loads(run("spend", "--by", "user", "--match", "agent=research", "--json").stdout)
    assert told["total"]["cost_nano"] == 200_000_000
    told = json.loads(run("spend", "--by", "user", "--top", 1, "--json").stdout)
    assert len(told["rows"]) == 1
    assert told["rest"]["groups"] == 2
    assert told["total"]["cost_nano"] == 300_000_000


def test_a_day_begins_where_the_time_zone_says(filled: Filled) -> None:
    at_ns = 1_793_487_600 * 10**9  # 2026-10-31T23:00Z: the first of November in Paris
    filled.call({"agent": "late"}, Amounts(5, 1, requests=1), at_ns=at_ns)
    words = ("spend", "--since", "2026-10-31", "--until", "2026-11-02", "--by", "day", "--json")
    assert json.loads(run(*words).stdout)["rows"][0]["day"] == "2026-10-31"
    assert json.loads(run(*words, "--tz", "Europe/Paris").stdout)["rows"][0]["day"] == "2026-11-01"


def test_the_time_is_half_open(filled: Filled) -> None:
    early = filled.now_ns - 400 * 24 * HOUR
    filled.call({"agent": "old"}, Amounts(7, 1, requests=1), at_ns=early)
    assert json.loads(run("spend", "--json", "--since", "all").stdout)["total"]["calls"] == 5
    assert json.loads(run("spend", "--json", "--since", "1h").stdout)["total"]["calls"] == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--by", "colour"), "there is no such label"),
        (("--by", ""), "1 to 6 different labels"),
        (("--since", "soon"), "is not a time"),
        (("--tz", "Mars/Base"), "is no time zone"),
        (("--match", "agent"), "LABEL=VALUE"),
        (("--by", "hour", "--since", "all"), "choose a later --since"),
        (("--by", "hour,day"), "one dimension of time"),
    ],
)
def test_what_cannot_be_understood_is_one_clear_line(filled: Filled, words: tuple[str, ...], told: str) -> None:
    result = run("spend", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_without_a_ledger_it_says_so_and_makes_none(config: object, tmp_path: object) -> None:
    result = run("spend")
    assert result.exit_code == 1
    assert "there is no ledger" in result.stderr
    assert run("spend").exit_code == 1


def test_a_label_cannot_move_the_cursor(filled: Filled) -> None:
    filled.call({"agent": "evil\x1b[2J"}, Amounts(9, 1, requests=1))
    assert "\x1b" not in run("spend").stdout
