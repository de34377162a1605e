"""What a SQLite ledger remembers of its rows is as good as reading them: when others write, and when nothing lasts."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from tests.conformance.kit import Two, call, charge, line, sums

from bursar.core.admission import Ask, Balance, Cover
from bursar.core.budget import Unit
from bursar.core.charge import Amounts
from bursar.core.hold import State, Verb
from bursar.core.ledger import Granted, Note, Refused, Reservation
from bursar.core.run import Guard, RunAsk, RunChange, RunLimit, RunRow, RunState, RunVerb
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.stores import sqlite_balances, sqlite_run
from bursar.stores.compact import encode, encode_labels, encode_note
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.clock import START_NS


def step(id: str, *limits: RunLimit, run: str = "r", limit: int = 100) -> Reservation:  # noqa: A002
    return replace(call(line(limit=limit), id=id), run=RunAsk(run, limits))


def row_of(ledger: SqliteLedger, run: str = "r") -> RunRow:
    row = ledger.run_row("default", run)
    assert row is not None
    return row


def end(ledger: SqliteLedger, id: str) -> None:  # noqa: A002
    ledger.close(id, Verb.SETTLE, START_NS, charge(), Note(tool_calls=2))


def test_what_another_process_did_to_a_run_counts_in_the_next_call(two: Two) -> None:
    limit = RunLimit(Guard.PARALLEL, 2)
    two.mine.reserve(step("a", limit))
    two.other.reserve(step("b", limit))
    assert isinstance(two.mine.reserve(step("c", limit)), Refused)
    end(two.other, "b")
    assert isinstance(two.mine.reserve(step("c", limit)), Granted)
    two.other.change_run("default", "r", RunChange(RunVerb.STOP, START_NS))
    assert isinstance(two.mine.reserve(step("d", limit)), Refused)
    end(two.mine, "a")
    assert (row_of(two.other).in_flight, row_of(two.other).steps, row_of(two.other).tool_calls) == (1, 3, 4)


def test_a_call_that_another_process_ended_leaves_its_run_once(two: Two) -> None:
    two.mine.reserve(step("a"))
    two.mine.reserve(step("b"))
    assert two.other.lapse("here", START_NS) == 2
    end(two.mine, "a")
    assert (row_of(two.mine).in_flight, row_of(two.mine).steps) == (0, 2)
    assert sums(two.mine) == {("all", "", "requests"): Balance(settled=1, presumed=1)}


@pytest.mark.parametrize("limit", [100, 1], ids=["room for more", "no room"])
def test_an_id_that_another_process_holds_gets_its_hold_again_and_no_second_step(two: Two, limit: int) -> None:
    asked = step("a", RunLimit(Guard.STEPS, 1), limit=limit)
    two.mine.reserve(step("warm", run="else", limit=100))
    end(two.mine, "warm")
    two.mine.close("warm", Verb.CORRECT, START_NS, replace(charge(), amounts=charge().amounts._replace(requests=0)))
    first = two.other.reserve(asked)
    again = two.mine.reserve(asked)
    assert isinstance(first, Granted)
    assert isinstance(again, Granted)
    assert again.tokens == first.tokens
    assert (row_of(two.mine).steps, row_of(two.mine).state) == (1, RunState.RUNNING)
    assert sums(two.mine)["all", "", "requests"].held == 1


def test_an_id_that_another_process_used_for_another_call_is_refused_and_nothing_is_held(two: Two) -> None:
    two.mine.reserve(step("warm"))
    two.other.reserve(step("a"))
    with pytest.raises(HoldConflict, match="another call"):
        two.mine.reserve(replace(step("a"), cover=Cover(1, 0, 0), ask=Ask(0, 1)))
    end(two.other, "a")
    with pytest.raises(HoldConflict, match="settled"):
        two.mine.reserve(step("a"))
    assert (row_of(two.mine).in_flight, row_of(two.mine).steps) == (1, 2)
    assert sums(two.mine) == {("all", "", "requests"): Balance(settled=1, held=1)}


@pytest.mark.parametrize("limit", [100, 1], ids=["room for more", "no room"])
@pytest.mark.parametrize("is_batch", [False, True], ids=["transaction", "batch"])
def test_an_id_that_ended_in_the_same_transaction_cannot_be_held_again(two: Two, limit: int, is_batch: bool) -> None:
    two.mine.reserve(call(line(limit=limit), id="a"))
    with two.mine.batch() if is_batch else two.mine.transaction():
        end(two.mine, "a")
        with pytest.raises(HoldConflict, match="settled"):
            two.mine.reserve(call(line(limit=limit), id="a"))
        two.mine.close("a", Verb.CORRECT, START_NS, charge())
    assert sums(two.other) == {("all", "", "requests"): Balance(settled=1)}


def test_of_a_transaction_that_fails_nothing_is_remembered(two: Two) -> None:
    def fail() -> None:
        with two.mine.transaction():
            end(two.mine, "a")
            two.mine.reserve(replace(call(line("new", 5), id="b"), run=RunAsk("r")))
            two.mine.reserve(replace(call(line("new", 5), id="c"), run=RunAsk("new")))
            raise ZeroDivisionError

    two.mine.reserve(step("a"))
    with pytest.raises(ZeroDivisionError):
        fail()
    # The number of the row that was opened there is another balance's now.
    two.other.reserve(call(line("another", 5), id="d"))
    granted = two.mine.reserve(replace(call(line("new", 5), id="b"), run=RunAsk("r")))
    assert isinstance(granted, Granted)
    assert granted.balances == (Balance(held=1),)
    assert granted.run == row_of(two.other)
    assert (row_of(two.mine).in_flight, row_of(two.mine).steps, row_of(two.mine).tool_calls) == (2, 2, 0)
    assert two.mine.run_row("default", "new") is None
    assert {place[0]: each.held for place, each in sums(two.other).items()} == {"all": 1, "new": 1, "another": 1}


def test_what_opened_in_a_transaction_that_lasts_is_still_known(two: Two) -> None:
    two.mine.reserve(call(line("a"), id="a"))
    statements: list[str] = []
    two.mine.db.set_trace_callback(statements.append)
    two.mine.reserve(call(line("a"), id="b"))
    assert not [text for text in statements if text.startswith("SELECT")]


def test_a_run_that_is_not_what_was_read_stops_the_transaction(two: Two) -> None:
    two.mine.reserve(step("a"))
    with two.mine.transaction():
        two.mine._run_row("default", "r")
    two.mine._runs["default", "r"] = row_of(two.mine)._replace(steps=7)
    with pytest.raises(StoreUnavailable, match="inconsistent"):
        end(two.mine, "a")
    assert two.mine.hold("default", "a").state is State.OPEN
    end(two.mine, "a")
    assert (row_of(two.other).in_flight, row_of(two.other).steps) == (0, 1)


def test_a_run_is_written_once_however_many_of_its_calls_share_a_transaction(two: Two) -> None:
    two.mine.reserve(step("warm"))
    statements: list[str] = []
    two.mine.db.set_trace_callback(statements.append)
    with two.mine.batch():
        end(two.mine, "warm")
        for name in "abc":
            two.mine.reserve(step(name))
        end(two.mine, "b")
    assert len([text for text in statements if text.startswith("UPDATE balance SET settled =")]) == 1
    assert (row_of(two.other).in_flight, row_of(two.other).steps, row_of(two.other).tool_calls) == (2, 4, 4)


def test_a_memory_that_is_full_begins_anew(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_balances, "COUNTED_MAX", 1)
    monkeypatch.setattr(sqlite_balances, "IDS_MAX", 1)
    monkeypatch.setattr(sqlite_run, "RUNS_MAX", 1)

    def asked(number: int) -> Reservation:
        name = f"{number % 3}"
        return replace(call(line(name, 100), line("all", 100), id=f"{number}"), run=RunAsk(name))

    for number in range(9):
        assert isinstance(two.mine.reserve(asked(number)), Granted)
        end(two.mine, f"{number}")
    assert len(two.mine._counted) == 1
    with two.mine.batch():
        for number in range(9, 18):
            assert isinstance(two.mine.reserve(asked(number)), Granted)
            end(two.mine, f"{number - 2 if number % 2 else number}")
    assert sum(row_of(two.other, name).in_flight for name in "012") == 1
    assert [row_of(two.other, name).steps for name in "012"] == [6, 6, 6]


@pytest.mark.parametrize(
    "labels", [{"model": "m", "user": 'a"b'}, {"user": 'a"b', "model": "m"}, {"model": "m"}, {"model": "é"}, {}]
)
def test_labels_are_written_as_any_other_value(labels: Mapping[str, Any]) -> None:
    assert [encode_labels(labels) for _ in range(2)] == [encode(dict(labels))] * 2


@pytest.mark.parametrize("text", ["", "complete", 'a"b\\', "é\n\u2028\x00", "\ud800"])
def test_a_note_is_written_as_the_list_of_its_fields(text: str) -> None:
    note = Note(1, 2, 3, 4, 5, text, 7, 2**60, f"{text}1", 10, f"{text}2", f"2{text}", 13, 14, f"{text}{text}")
    assert encode_note(note) == encode(list(note))
    assert encode_note(Note()) == encode(list(Note()))


def test_the_lines_that_were_asked_for_last_count_for_each_tenant_by_itself_and_anew_after_a_failure(two: Two) -> None:
    asked = call(line(limit=5), id="a")

    def fail() -> None:
        with two.mine.transaction():
            two.mine.reserve(asked)
            two.mine.reserve(replace(asked, id="b"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    two.other.reserve(call(line("another", 5), id="d"))
    for tenant in ("one", "two"):
        granted = two.mine.reserve(replace(asked, id=tenant, tenant=tenant))
        assert isinstance(granted, Granted)
        assert granted.balances == (Balance(held=1),)
    assert sums(two.other) == {("another", "", "requests"): Balance(held=1)}


def test_a_limit_that_was_raised_counts_from_the_next_call_on(two: Two) -> None:
    for limit, id_ in ((1, "a"), (1, "b"), (2, "c"), (2, "d")):
        verdict = two.mine.reserve(call(line(limit=limit), id=id_))
        assert isinstance(verdict, Granted) is (id_ in "ac")


def test_a_balance_that_a_call_names_twice_counts_twice_and_is_written_once(two: Two) -> None:
    two.mine.reserve(call(line(), line(), id="a"))
    assert sums(two.other) == {("all", "", "requests"): Balance(held=2)}
    two.mine.reserve(call(line(), line(), id="b"))
    end(two.mine, "a")
    assert sums(two.other) == {("all", "", "requests"): Balance(settled=2, held=2)}


@pytest.mark.parametrize("is_batch", [False, True], ids=["alone", "in a batch"])
def test_an_end_that_nobody_asks_about_is_a_close(two: Two, is_batch: bool) -> None:
    two.mine.reserve(call(line(limit=5), id="a"))
    two.mine.reserve(call(line(limit=5), id="b"))
    with two.mine.batch() if is_batch else nullcontext():
        two.mine.end("a", Verb.SETTLE, START_NS, charge(), Note(response_id="r"))
        two.mine.end("a", Verb.SETTLE, START_NS, charge())
        with pytest.raises(HoldConflict, match="use correct"):
            two.mine.end("a", Verb.SETTLE, START_NS, replace(charge(), amounts=Amounts(7)))
        with pytest.raises(HoldConflict, match="open"):
            two.mine.end("b", Verb.CORRECT, START_NS, charge())
        with pytest.raises(NotFound):
            two.mine.end("c", Verb.RELEASE, START_NS)
    row = two.other.response("default", "r")
    assert row is not None
    assert row.state is State.SETTLED
    assert sums(two.other) == {("all", "", "requests"): Balance(settled=1, held=1)}


@pytest.mark.parametrize("query", ["hold_find", "hold_asked", "hold_row", "hold_list", "hold_since", "hold_of_run"])
def test_calls_are_found_in_both_tables_by_an_index(two: Two, query: str) -> None:
    """Open calls stand in a table of their own. A page of the latest must not sort all that there ever were."""
    text = two.mine.q[query]
    named = dict.fromkeys(re.findall(r":(\w+)", text), 1)
    steps = [row[3] for row in two.mine.db.execute(f"EXPLAIN QUERY PLAN {text}", named)]
    assert any(each.startswith("SEARCH ended_hold USING INDEX") for each in steps)
    assert not any(each.startswith(("SCAN ended_hold", "CO-ROUTINE", "MATERIALIZE")) for each in steps)
    assert ("MERGE (UNION ALL)" in steps) is ("ORDER BY" in text)


@pytest.mark.parametrize("seed", range(6))
def test_what_calls_add_by_unit_is_what_their_rows_come_to(two: Two, seed: int) -> None:
    """Calls of different sets of balances that share some, alone and many in a transaction, from two processes."""
    chosen = random.Random(seed)
    lines = [
        line(f"{unit}{number}", 60 + 40 * number, unit) for unit in (Unit.USD, Unit.REQUESTS) for number in range(9)
    ]
    open_: list[str] = []

    def act(ledger: SqliteLedger, name: str) -> None:
        if open_ and chosen.random() < 0.45:
            id_ = open_.pop(chosen.randrange(len(open_)))
            verb = chosen.choice([Verb.SETTLE, Verb.SETTLE, Verb.RELEASE, Verb.PRESUME])
            close = chosen.choice([ledger.close, ledger.end])
            close(id_, verb, START_NS, charge(chosen.randrange(30)) if verb is Verb.SETTLE else None)
            return
        some = chosen.sample(lines, chosen.choice([1, 3, 3, 12, 18]))
        # The ones that are asked for again and again, as a program's calls do.
        of_call = tuple(lines[:3] + lines[9:11]) if chosen.random() < 0.5 else tuple(some)
        asked = call(*of_call, id=name, cover=Cover(1000 * chosen.randrange(9), 1000, 0), ask=Ask(0, 2))
        # What is held ahead tells nobody the balances, so their sums need not be up to date.
        if isinstance((chosen.random() < 0.6 and ledger.reserve_ahead(asked)) or ledger.reserve(asked), Granted):
            open_.append(name)

    for number in range(120):
        ledger = two.mine if chosen.random() < 0.8 else two.other
        with ledger.batch() if chosen.random() < 0.3 else nullcontext():
            for part in range(chosen.randrange(1, 6)):
                act(ledger, f"{number}-{part}")
        with two.mine.transaction():
            two.mine._fold()
            known = {sums[-1]: tuple(sums[:3]) for sums in two.mine._sums.values()}
            rows = two.mine.db.execute("SELECT id, settled, presumed, held FROM balance").fetchall()
            assert known.items() <= {row[0]: row[1:] for row in rows}.items()


def test_who_is_refused_hears_of_all_that_was_held_ahead(two: Two) -> None:
    lines = (line("a", 10, Unit.USD), line("b", 20, Unit.USD))
    asked = [call(*lines, id=name, cover=Cover(3000, 1000, 0), ask=Ask(0, 2)) for name in "abc"]
    two.mine.reserve(asked[0])
    assert two.mine.reserve_ahead(asked[1]) == Granted(2, 2, ())
    refused = two.mine.reserve(replace(asked[2], cover=Cover(6000, 1000, 0)))
    assert isinstance(refused, Refused)
    assert (refused.line.budget, refused.balance) == ("a", Balance(held=10))


def test_a_line_that_comes_twice_counts_twice(two: Two) -> None:
    """Whoever asks so: nobody is told that the ledger is broken."""
    twice = line("a", 100, Unit.USD)
    asked = [call(twice, twice, id=name, cover=Cover(40_000, 1000, 0), ask=Ask(0, 2)) for name in "abc"]
    assert isinstance(two.mine.reserve(asked[0]), Granted)
    assert isinstance(two.mine.reserve_ahead(asked[1]), (Granted, type(None)))
    with two.mine.batch():
        assert isinstance(two.mine.reserve(asked[2]), (Granted, Refused))
    assert two.mine.verify() == []


def test_a_hold_is_not_written_where_its_balance_has_no_room_whatever_was_remembered(two: Two) -> None:
    """The last guard is in the statement that holds."""
    asked = [call(line(limit=5), id=name) for name in "abc"]
    two.mine.reserve(asked[0])
    two.mine.reserve(asked[1])
    version = two.mine.db.execute("PRAGMA data_version").fetchone()
    two.mine.db.execute("UPDATE balance SET settled = 4")
    assert two.mine.db.execute("PRAGMA data_version").fetchone() == version, "nobody notices"
    with pytest.raises(StoreUnavailable, match="no room"):
        two.mine.reserve(asked[2])
    two.mine.db.execute("UPDATE balance SET settled = 0")
    assert isinstance(two.mine.reserve(asked[2]), Granted)
