"""`bursar tail`: each call once as it ends, and a clean end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.core.charge import Amounts
from bursar.core.hold import Verb
from bursar.core.window import NS

TAIL = (sys.executable, "-m", "bursar.cli", "tail")


@contextmanager
def following(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run `bursar tail` in a process of its own, until it ends or the test does."""
    process = subprocess.Popen([*TAIL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_last_calls_are_told_the_latest_last(filled: Filled) -> None:
    last = filled.call({"agent": "late"}, Amounts(1_000_000, 7, 0, 0, 3, 0, 1), at_ns=filled.now_ns + NS)
    lines = run("tail", "--no-follow", "-n", 2).stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].split() == ["ended", "call", "agent", "model", "input", "output", "cost", "state"]
    assert last in lines[-1] and "late" in lines[-1] and "$0.0010" in lines[-1] and "settled" in lines[-1]
    assert len(run("tail", "--no-follow").stdout.splitlines()) == 7
    assert len(run("tail", "--no-follow", "-n", 0).stdout.splitlines()) == 1


def test_only_calls_that_match_are_told_and_as_many_as_asked_for(filled: Filled) -> None:
    told = [
        json.loads(text)
        for text in run("tail", "--no-follow", "--json", "--match", "agent=research", "-n", 1).stdout.splitlines()
    ]
    assert [call["labels"]["agent"] for call in told] == ["research"]
    states = [
        json.loads(text)["state"]
        for text in run("tail", "--no-follow", "--json", "--match", "user=cy").stdout.splitlines()
    ]
    assert sorted(states) == ["presumed", "released"]
    assert run("tail", "--match", "agent").exit_code == 2


def test_no_label_moves_the_cursor(filled: Filled) -> None:
    filled.call({"agent": "evil"}, Amounts(1, requests=1))
    filled.ledger.db.execute("UPDATE ended_hold SET labels = replace(labels, 'evil', 'e\\u001b[2J\\u202e')")
    out = run("tail", "--no-follow").stdout
    assert "\x1b" not in out and "\u202e" not in out and "e\N{REPLACEMENT CHARACTER}[2J" in out


def test_a_call_is_told_once_when_it_ends_and_again_when_it_is_corrected(filled: Filled) -> None:
    with following("--json", "-n", "1") as process:
        next_line(process)
        new = filled.call({"agent": "new"}, Amounts(5, requests=1))
        assert json.loads(next_line(process))["id"] == new
        waiting = filled.call({"agent": "new"}, verb=None)
        other = filled.call({"agent": "other"}, verb=Verb.RELEASE)
        assert json.loads(next_line(process))["id"] == other
        filled.ledger.close(waiting, Verb.PRESUME, filled.now_ns + 2 * NS)
        assert json.loads(next_line(process))["state"] == "presumed"
        run("holds", "correct", new, "--cost", "0.01")
        assert json.loads(next_line(process))["flags"] == ["corrected"]


def test_ctrl_c_ends_it_with_0_and_no_traceback(filled: Filled) -> None:
    with following() as process:
        next_line(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")


def test_a_closed_pipe_ends_it_at_once_though_no_call_ends(filled: Filled) -> None:
    with following("-n", "1") as process:
        next_line(process), next_line(process)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""


def test_head_gets_its_lines_and_nobody_complains(filled: Filled) -> None:
    with filled.ledger.transaction():
        for number in range(2_000):
            filled.call({"user": f"u{number}"}, Amounts(1, requests=1))
    command = f"{' '.join(TAIL)} -n 2000 | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("ended")
    assert done.stderr == ""


def test_a_ledger_that_was_replaced_is_opened_anew(filled: Filled, tmp_path: Path) -> None:
    with following("--json", "-n", "1") as process:
        next_line(process)
        filled.ledger.close_store()
        other = Filled(tmp_path / "other.db", filled.budgets)
        other.call({"agent": "before"}, Amounts(1, requests=1))
        other.ledger.close_store()
        for ending in ("-wal", "-shm"):
            (tmp_path / f"bursar.db{ending}").unlink(missing_ok=True)
        (tmp_path / "other.db").replace(tmp_path / "bursar.db")
        again = Filled(tmp_path / "bursar.db", filled.budgets)
        new = again.call({"agent": "after"}, Amounts(1, requests=1), at_ns=again.now_ns + NS)
        told = [json.loads(next_line(process)) for _ in range(2)]
        assert told[-1]["id"] == new
        again.ledger.close_store()
        Filled.__post_init__(filled)


def test_without_a_ledger_it_is_one_line_and_exit_code_1(config: Path) -> None:
    result = run("tail")
    assert result.exit_code == 1
    assert result.stderr.startswith("bursar: there is no ledger at")


@pytest.mark.parametrize("words", [("-n", "-1"), ("-n", "lots"), ("--match", "colour=red")])
def test_wrong_words_are_a_usage_error(config: Path, words: tuple[str, ...]) -> None:
    assert run("tail", *words).exit_code == 2


def test_a_look_costs_what_is_new_and_not_what_the_ledger_has(filled: Filled) -> None:
    with filled.ledger.transaction():
        for number in range(2_000):
            filled.call({"user": f"u{number}"}, Amounts(1, requests=1))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    filled.ledger.db.set_progress_handler(count, 10)
    assert filled.ledger.ended("default", filled.now_ns + 2 * NS, 2**62, 2_000) == []
    assert filled.ledger.in_flight("default", 100) == []
    filled.ledger.db.set_progress_handler(None, 0)
    assert steps < 50
