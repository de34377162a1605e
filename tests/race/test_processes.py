"""Several processes on one SQLite file: R01, R02, R22, R56."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.conformance.kit import call, line, sums
from tests.race.crowd import run_at_once

from bursar.core.admission import Balance
from bursar.core.budget import Unit
from bursar.stores.sqlite import SqliteLedger

pytestmark = pytest.mark.slow
PROCESSES = 8


def test_eight_processes_admit_exactly_as_much_as_the_limit(tmp_path: Path) -> None:
    """R01"""
    path = tmp_path / "ledger.db"
    said = run_at_once([("reserve", path, f"p{number}", 125, 100, 0) for number in range(PROCESSES)])
    assert sum(int(one.split()[0]) for one in said) == 100
    ledger = SqliteLedger(path)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=100)
    assert ledger.verify() == []
    ledger.close_store()


def test_eight_processes_with_random_sizes_leave_no_room_for_what_they_refused(tmp_path: Path) -> None:
    """R02"""
    path, seed = tmp_path / "ledger.db", random.SystemRandom().randrange(1, 2**32)
    print("seed", seed)
    said = run_at_once([("reserve", path, f"p{number}", 150, 2_000, seed) for number in range(PROCESSES)])
    admitted = sum(int(one.split()[0]) for one in said)
    assert admitted <= 2_000
    assert admitted + min(int(one.split()[1]) for one in said) > 2_000
    ledger = SqliteLedger(path)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=admitted)
    ledger.close_store()


@pytest.mark.parametrize("turn", range(3))
def test_many_processes_may_make_the_same_file_at_the_same_moment(tmp_path: Path, turn: int) -> None:
    """R22: the schema is made once, and nobody meets a locked file."""
    path = tmp_path / f"{turn}.db"
    assert run_at_once([("open", path)] * PROCESSES) == ["fine"] * PROCESSES
    ledger = SqliteLedger(path)
    assert sums(ledger)["all", "", "requests"] == Balance(held=5 * PROCESSES)
    assert ledger.verify() == []
    ledger.close_store()


def test_processes_may_open_and_close_the_file_as_they_like(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert run_at_once([("open-and-close", path, 15)] * 4) == ["fine"] * 4
    ledger = SqliteLedger(path)
    assert sums(ledger)["all", "", "requests"] == Balance(settled=60)
    ledger.close_store()


def test_five_processes_lapse_each_hold_of_a_dead_one_once(tmp_path: Path) -> None:
    """R56"""
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    with ledger.transaction():
        for number in range(2_300):
            ledger.reserve(call(line("t", 10_000, Unit.REQUESTS), id=f"{number:05}", process="dead"))
    said = run_at_once([("lapse", path)] * 5)
    assert sum(map(int, said)) == 2_300
    assert sums(ledger)["t", "", "requests"] == Balance(presumed=2_300)
    assert ledger.verify() == []
    ledger.close_store()
