"""kill -9 at any moment loses nothing that was acknowledged, and leaves nothing half done (R17, P5, P7)."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from tests.conformance.kit import call, charge, cost
from tests.crash.worker import BUDGET
from tests.race.crowd import child

from bursar.core.budget import Unit
from bursar.core.hold import State, Verb
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.clock import START_NS

pytestmark = pytest.mark.slow


class Survivor:
    """One ledger file, and what it has acknowledged to processes that were killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reserved: set[str] = set()
        self.settled: dict[str, int] = {}

    def run(self, name: str, face: str, failpoint: str = "", acknowledged: int = 10**9) -> None:
        """Let a process write until its failpoint, or until it has acknowledged so many verbs; then it is dead."""
        process = child("tests.crash.worker", self.path, name, face, failpoint)
        assert process.stdout is not None
        with process:
            for heard, said in enumerate(process.stdout):
                self.take(said)
                if heard == acknowledged:
                    process.kill()
        assert process.returncode == -signal.SIGKILL

    def take(self, said: str) -> None:
        words = said.split()
        if words[0] == "reserved" and said.endswith("\n"):
            self.reserved.add(words[1])
        elif words[0] == "settled" and said.endswith("\n"):
            self.settled[words[1]] = int(words[2])

    def check(self, *, is_exact: bool = False) -> None:
        """Open the file as the next process would, and compare it with what was acknowledged."""
        ledger = SqliteLedger(self.path)
        assert ledger.db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ledger.verify() == []
        rows = {row.id: row for row in ledger.holds("default", tuple(State), 10**9)}
        assert self.reserved <= set(rows)
        if is_exact:
            assert self.reserved == set(rows), "what was being committed left nothing"
        for id_, nano in self.settled.items():
            assert rows[id_].state is State.SETTLED
            assert rows[id_].settled.cost_nano == nano
        ledger.close_store()


@pytest.fixture
def survivor(tmp_path: Path) -> Survivor:
    return Survivor(tmp_path / "ledger.db")


@pytest.mark.parametrize("face", ["direct", "threaded"])
def test_killed_inside_a_commit_nothing_of_it_stays_and_nothing_before_it_is_lost(
    survivor: Survivor, face: str
) -> None:
    for hit in range(1, 7):
        survivor.run(f"p{hit}", face, failpoint=f"in_commit:{hit * hit}")
        survivor.check(is_exact=face == "direct")
    assert survivor.settled


def kill_at_random(survivor: Survivor, times: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for turn in range(times):
        face = chance.choice(["direct", "threaded"])
        survivor.run(f"p{turn}", face, acknowledged=chance.randrange(1, 400))
        survivor.check()
    assert survivor.settled


def test_killed_at_random_moments_nothing_acknowledged_is_lost(survivor: Survivor) -> None:
    """R17, one file over all kills."""
    kill_at_random(survivor, 48)


def test_killed_while_a_budget_begins_the_next_start_completes_it_and_counts_nothing_twice(survivor: Survivor) -> None:
    """Killed inside the commit of its declaration, of each chunk, and of its end."""
    ledger = SqliteLedger(survivor.path)
    for number in range(40):
        labels = {"user": f"u{number % 3}"}
        ledger.reserve(call(id=f"c{number:02}", cover=cost(10), at_ns=START_NS + number, labels=labels))
        if number % 2:
            ledger.close(f"c{number:02}", Verb.SETTLE, START_NS, charge(4))
    for hit in range(1, 9):
        survivor.run("killed", "begin", failpoint=f"in_commit:{hit}")
        assert ledger.verify() == []
        assert ledger.declare([BUDGET]) == (BUDGET,), "it has not begun"
        # What was counted before the kill counts on as calls end.
        ledger.close(f"c{hit * 2:02}", Verb.SETTLE, START_NS, charge(5))
    ledger.define([BUDGET], START_NS)
    found = [row.balance for row in ledger.balances("default") if row.unit is Unit.USD]
    assert (sum(each.settled for each in found), sum(each.held for each in found)) == (20 * 4 + 8 * 5, 12 * 10)
    assert ledger.verify() == []
    assert ledger.declare([BUDGET]) == ()
    ledger.close_store()
