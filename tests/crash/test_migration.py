"""A ledger of an older version opens, keeps everything, and a kill in the middle of that is harmless (R59)."""

from __future__ import annotations

import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.kit import call, charge, cost, line, sums
from tests.race.crowd import child, run_at_once

from bursar.core.admission import Balance
from bursar.core.budget import Unit
from bursar.core.control import Change, Kind
from bursar.core.hold import State, Verb
from bursar.core.ledger import Note
from bursar.core.run import RunAsk
from bursar.errors import HoldConflict, StoreUnavailable
from bursar.stores.peek import Peek
from bursar.stores.queries import load_script
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.sqlite_book import SCHEMA_VERSION
from bursar.testing.clock import START_NS

CHANGE = Change(Kind.BUDGET, "default", "b", "{}", "{}", "set", "operator", 1)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file as version 1 made it, with a settled call and an open one."""
    path = tmp_path / "ledger.db"
    db = sqlite3.connect(path)
    db.executescript(load_script("schema.sql") + "PRAGMA user_version = 1;")
    first = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
    assert "control" not in first
    db.close()
    ledger = SqliteLedger(path)
    for name in ("a", "b"):
        ledger.reserve(call(line("usd", 100, Unit.USD), id=name, cover=cost(10)))
    ledger.close("a", Verb.SETTLE, START_NS, charge(7))
    ledger.close_store()
    db = sqlite3.connect(path)
    in_one_table(db)
    # Version 1 is what is there without what later versions added.
    for kind, name in db.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall():
        if name not in first:
            db.execute(f"DROP {kind} IF EXISTS {name}")
    db.execute("ALTER TABLE hold DROP COLUMN run")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    return path


def in_one_table(db: sqlite3.Connection) -> None:
    """Let open holds stand with the others, and a run's counts with the run, as they did until version 5."""
    table, index = load_script("schema_3.sql").split(";\n")[:2]
    db.executescript(f"""
        CREATE TABLE runs AS SELECT run.*, settled + held AS steps, presumed AS tool_calls, held AS in_flight
        FROM run JOIN balance ON balance.id = counts;
        DROP TABLE run; {table}; {index};
        INSERT INTO run SELECT tenant, run, began_ns, state, since_ns, last_ns, steps, tool_calls, in_flight, parent,
                               depth, children, guard, reason, outcome, figure, extras, prefix FROM runs;
        DELETE FROM balance WHERE id IN (SELECT counts FROM runs);
        DELETE FROM budget WHERE unit = 'calls';
        DROP TABLE runs;
        CREATE TABLE everyone AS SELECT * FROM hold;
        DROP VIEW hold; DROP TABLE open_hold; DROP TABLE ended_hold;
        ALTER TABLE everyone RENAME TO hold;
    """)
    db.executescript(load_script("schema_5.sql"))


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def check(path: Path) -> None:
    ledger = SqliteLedger(path)
    assert sums(ledger)["usd", "", "usd"] == Balance(settled=7, held=10)
    assert [row.id for row in ledger.holds("default", (State.OPEN,), 9)] == ["b"]
    assert ledger.verify() == []
    assert ledger.change([CHANGE]) == ledger.control_version()
    ledger.close_store()
    assert version(path) == SCHEMA_VERSION


def test_an_old_ledger_opens_and_keeps_everything(old: Path) -> None:
    assert version(old) == 1
    check(old)
    check(old)


def test_of_an_old_ledger_the_run_of_an_open_call_is_still_known(tmp_path: Path) -> None:
    """Until version 3 a table of its own said which run counts a call as in flight."""
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    asked = [replace(call(id=name), run=RunAsk("r")) for name in ("a", "b")]
    for each in asked:
        ledger.reserve(each)
    ledger.reserve(call(id="of no run"))
    ledger.close("a", Verb.SETTLE, START_NS, charge(), Note(tool_calls=3))
    before = ledger.run_row("default", "r")
    assert before is not None
    assert (before.steps, before.tool_calls, before.in_flight) == (2, 3, 1)
    ledger.close_store()
    db = sqlite3.connect(path)
    in_one_table(db)
    db.executescript(load_script("schema_3.sql").partition("-- One row per open hold")[2].partition("\n")[2])
    db.execute("INSERT INTO run_hold SELECT id, tenant, run FROM hold WHERE run <> '' AND state = 0")
    assert db.execute("SELECT hold_id, run FROM run_hold").fetchall() == [("b", "r")]
    db.executescript("ALTER TABLE hold DROP COLUMN run; PRAGMA user_version = 3;")
    db.close()
    ledger = SqliteLedger(path)
    assert ledger.run_row("default", "r") == before
    for name in ("of no run", "b", "b"):
        ledger.close(name, Verb.SETTLE, START_NS, charge())
    assert in_flight(ledger) == 0
    ledger.close("a", Verb.CORRECT, START_NS, charge(3))
    assert in_flight(ledger) == 0
    assert ledger.verify() == []
    ledger.close_store()
    assert version(path) == SCHEMA_VERSION


def test_of_an_old_ledger_the_open_calls_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    """Until version 5 they stood with the others."""
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    for name in ("settled", "open", "presumed", "released"):
        ledger.reserve(call(line("usd", 100, Unit.USD), id=name, cover=cost(10)))
    ledger.close("settled", Verb.SETTLE, START_NS, charge(7))
    ledger.close("presumed", Verb.PRESUME, START_NS)
    ledger.close("released", Verb.RELEASE, START_NS)
    states = tuple(State)
    before = ledger.holds("default", states, 9)
    assert len(before) == 4
    ledger.close_store()
    db = sqlite3.connect(path)
    in_one_table(db)
    db.execute("PRAGMA user_version = 5")
    db.commit()
    db.close()
    looks = [looked(path)]
    ledger = SqliteLedger(path)
    looks.append(looked(path))
    assert looks[0] == looks[1], "a status line never writes, and reads an old file as it is"
    assert looks[0][0] == (1, 10)
    assert ledger.holds("default", states, 9) == before
    assert ledger.db.execute("SELECT id FROM open_hold").fetchall() == [("open",)]
    for name in ("settled", "open"):
        with pytest.raises(HoldConflict):
            ledger.reserve(call(line("usd", 100, Unit.USD), id=name, cover=cost(11)))
    ledger.close("open", Verb.SETTLE, START_NS, charge(3))
    ledger.close("presumed", Verb.SETTLE, START_NS, charge(4))
    assert sums(ledger)["usd", "", "usd"] == Balance(settled=14)
    assert ledger.verify() == []
    ledger.close_store()


def looked(path: Path) -> tuple[object, ...]:
    peek = Peek(path, "default")
    try:
        return peek.in_flight(), peek.spent(0), peek.lately(0)
    finally:
        peek.close()


def in_flight(ledger: SqliteLedger) -> int:
    row = ledger.run_row("default", "r")
    assert row is not None
    return row.in_flight


@pytest.mark.slow
def test_killed_in_the_middle_it_is_the_old_ledger_and_opens_the_next_time(old: Path) -> None:
    process = child("tests.race.workers", "migrate", old)
    with process:
        pass
    assert process.returncode == -signal.SIGKILL
    assert version(old) == 1
    check(old)


@pytest.mark.slow
def test_many_processes_may_open_an_old_ledger_at_once(old: Path) -> None:
    assert run_at_once([("open", old)] * 6) == ["fine"] * 6
    assert version(old) == SCHEMA_VERSION
    ledger = SqliteLedger(old)
    assert ledger.verify() == []
    assert ledger.documents() == []
    ledger.close_store()


def test_a_ledger_of_a_newer_bursar_is_refused_and_left_alone(old: Path) -> None:
    db = sqlite3.connect(old)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreUnavailable, match="newer bursar"):
        SqliteLedger(old)
    assert version(old) == SCHEMA_VERSION + 1
