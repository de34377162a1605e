"""What a SQLite ledger sets aside for calls to come: held like all else, and gone as soon as anybody looks."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.conformance.kit import Two, call, charge, line, sums

from bursar.core.admission import Ask, Balance, Cover, Line
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.charge import ZERO
from bursar.core.hold import State, Verb
from bursar.core.ledger import Granted, Note, Reservation, SpendQuery, calls_in
from bursar.core.run import Guard, RunAsk, RunChange, RunLimit, RunRow, RunVerb
from bursar.core.window import Window, WindowKind
from bursar.errors import NotFound, StoreUnavailable
from bursar.reports.runs import runs_since
from bursar.reports.story import run_story
from bursar.reports.watch import Watch
from bursar.stores.peek import Peek
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.sqlite_slices import SHARE, SLICE_CALLS, Slice
from bursar.testing.clock import START_NS

COVER = Cover(50_000, 1_000, 10)
"""Fifty nano-USD and one for each token of output, and ten tokens of input."""
ASK = Ask(5, 100, 20, 4)
HELD = 150
USD = line(limit=10**6, unit=Unit.USD)
LINES = (USD, line("n", 10**4), line("t", 10**6, Unit.TOKENS))


def asked(id_: str, *lines: Line, run: RunAsk | None = None) -> Reservation:
    return replace(call(*(lines or LINES), id=id_, cover=COVER, ask=ASK), run=run)


def first(ledger: SqliteLedger, asking: Reservation) -> None:
    """Hold a call, and set aside what seven more like it take."""
    with ledger.batch():
        granted = ledger.reserve(asking)
        assert isinstance(granted, Granted)
        ledger.set_aside(asking, granted.tokens)


def file(ledger: SqliteLedger) -> dict[str, int]:
    """Say what is held in the file, by unit and by nobody's looking: as a third process would see it."""
    rows = ledger.db.execute(
        "SELECT unit, held FROM balance JOIN budget ON budget.id = budget_id WHERE unit <> 'calls'"
    ).fetchall()
    return dict(rows)


def end(ledger: SqliteLedger, id_: str, nano: int = 60) -> None:
    ledger.end(id_, Verb.SETTLE, START_NS, charge(nano, tokens=5, output=7), Note())


def row_of(ledger: SqliteLedger) -> RunRow:
    row = ledger.run_row("default", "r")
    assert row is not None
    return row


def test_what_is_taken_asks_the_file_nothing_and_is_held_all_the_time(two: Two) -> None:
    first(two.mine, asked("a"))
    assert file(two.other) == {"usd": HELD * 8, "requests": 8, "tokens": 110 * 8}
    (aside,) = [row for row in two.other.in_flight("default", 10) if row.is_unused]
    assert (aside.held.cost_nano, aside.held.requests, calls_in(aside.id)) == (HELD * SLICE_CALLS, 7, 7)
    statements: list[str] = []
    two.mine.db.set_trace_callback(statements.append)
    for name in "bcdefgh":
        assert two.mine.take(asked(name)) == Granted(100, 100, ())
    assert two.mine.take(asked("i")) is None, "no more than was set aside"
    assert statements == []
    assert file(two.other)["usd"] == HELD * 8
    for name in "abcd":
        end(two.mine, name)
    assert sums(two.mine)["all", "", "usd"] == Balance(settled=240, held=HELD * 4)
    assert [two.other.hold("default", name).state for name in "abcdefgh"] == [State.SETTLED] * 4 + [State.OPEN] * 4
    assert two.mine.take(asked("i")) is None, "whoever looked has ended it"


def test_nobody_elsewhere_takes_what_is_set_aside_for_a_call(two: Two) -> None:
    labels = {"model": "m", "run": "r", "agent": "a"}
    asking = replace(asked("a", run=RunAsk("r")), labels=labels)
    first(two.mine, asking)
    with closing(Peek(two.mine.path, "default")) as peek:
        assert peek.in_flight() == (1, HELD * 8), "one call, and all that is held"
    (run,) = runs_since(two.other, "default").rows
    assert (run.steps, run.in_flight) == (1, 1)
    assert [step.call.id for step in run_story(two.other, "default", "r").steps] == ["a"]
    assert [one.id for one in Watch(two.other, "default", lambda _: ()).read(START_NS).in_flight] == ["a"]
    two.mine.end_slices()


@pytest.mark.parametrize("look", ["read", "verify", "reserve", "beat", "end_slices"])
def test_whoever_looks_finds_what_calls_hold_and_no_more(two: Two, look: str) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    match look:
        case "read":
            assert sums(two.mine)["all", "", "usd"] == Balance(held=HELD * 2)
        case "verify":
            assert two.mine.verify() == []
        case "reserve":
            granted = two.mine.reserve(asked("c"))
            assert isinstance(granted, Granted)
            assert granted.balances[0] == Balance(held=HELD * 3)
        case "beat":
            two.mine.beat("here", START_NS)
        case _:
            two.mine.end_slices()
    assert not two.mine.is_sliced
    assert sums(two.other)["all", "", "usd"].held == HELD * (3 if look == "reserve" else 2)


def test_what_calls_of_other_sizes_take_is_no_more_than_there_is(two: Two) -> None:
    first(two.mine, asked("a"))

    def take(name: str, fixed_nano: int, input_tokens: int) -> bool:
        cover = Cover(fixed_nano * 1000, 1_000, input_tokens)
        return two.mine.take(replace(asked(name), cover=cover)) is not None

    assert take("b", 450, 20)
    assert not take("c", 50, 51), "of 70 tokens of input 50 are left"
    assert not take("c", 401, 10), "of 1,050 nano-USD 500 are left"
    assert take("c", 400, 50)


def test_the_rest_is_given_back(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(replace(asked("b"), cover=Cover(7_500, 1_000, 3)))
    two.mine.end_slices()
    assert file(two.other) == {"usd": HELD + 108, "requests": 2, "tokens": 110 + 103}


@pytest.mark.parametrize(
    "other",
    [
        replace(asked("b"), labels={"model": "m", "agent": "another"}),
        replace(asked("b"), tenant="another"),
        replace(asked("b"), run=RunAsk("r")),
        replace(asked("b"), lines=LINES[:2]),
        replace(asked("b"), ask=Ask(100, 100)),
        replace(asked("b"), ask=replace(ASK, share=SHARE)),
        replace(asked("a")),
    ],
    ids=["labels", "tenant", "run", "lines", "no more than it asks for", "a large share", "an id that is held"],
)
def test_another_kind_of_call_takes_nothing(two: Two, other: Reservation) -> None:
    first(two.mine, asked("a"))
    if other.ask == Ask(100, 100):
        # It could grow, and is told for how much there is room.
        other = replace(other, lines=(LINES[1],), cover=Cover(0, 0, 0))
    assert two.mine.take(other) is None
    assert isinstance(two.mine.reserve(replace(other, id="c")), Granted)


def test_an_id_that_was_taken_is_the_same_call_again(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    assert two.mine.take(asked("b")) is None
    again = two.mine.reserve(asked("b"))
    assert isinstance(again, Granted)
    assert (again.tokens, again.balances[0]) == (100, Balance(held=HELD * 2))
    end(two.mine, "b")
    first(two.mine, asked("c"))
    assert two.mine.take(asked("b")) is None, "one that has ended is no new one"


@pytest.mark.parametrize("is_enough", [True, False])
def test_nothing_is_set_aside_where_it_is_much_of_what_is_left(two: Two, is_enough: bool) -> None:
    least = HELD + HELD * SLICE_CALLS * SHARE
    first(two.mine, asked("a", line(limit=least if is_enough else least - 1, unit=Unit.USD)))
    assert two.mine.is_sliced is is_enough


def test_nothing_is_set_aside_where_nothing_limits_output(two: Two) -> None:
    first(two.mine, asked("a", line("n", 10**6)))
    assert not two.mine.is_sliced
    first(two.mine, replace(asked("b", line("n", 10**6), USD), cover=Cover(50_000, 0, 0)))
    assert two.mine.take(replace(asked("c", line("n", 10**6), USD), cover=Cover(50_000, 0, 0))) is None
    two.mine.end_slices()


@pytest.mark.parametrize(
    ("run", "is_room"),
    [
        (RunAsk("r", (RunLimit(Guard.STEPS, 1 + SLICE_CALLS * SHARE),)), True),
        (RunAsk("r", (RunLimit(Guard.STEPS, SLICE_CALLS * SHARE),)), False),
        (RunAsk("r", (RunLimit(Guard.PARALLEL, 1 + SLICE_CALLS * 2),)), True),
        (RunAsk("r", (RunLimit(Guard.PARALLEL, SLICE_CALLS * 2),)), False),
        (RunAsk("r", (), parent="p"), False),
        (RunAsk("r", (RunLimit(Guard.TOOL_CALLS, 1),)), True),
    ],
    ids=["steps", "too few steps", "in parallel", "too few in parallel", "a child", "tool calls"],
)
def test_in_a_run_only_far_from_its_limits(two: Two, run: RunAsk, is_room: bool) -> None:
    two.mine.reserve(asked("warm", run=run))
    two.mine.close("warm", Verb.RELEASE, START_NS)
    first(two.mine, asked("a", run=run))
    assert two.mine.is_sliced is is_room


def test_a_run_counts_what_is_set_aside_and_each_call_is_told_the_truth(two: Two) -> None:
    run = RunAsk("r", (RunLimit(Guard.STEPS, 1_000), RunLimit(Guard.PARALLEL, 1_000)))
    first(two.mine, asked("a", run=run))
    for number, name in enumerate("bcd", 2):
        granted = two.mine.take(asked(name, run=run))
        assert granted is not None
        assert granted.run is not None
        assert (granted.run.steps, granted.run.in_flight) == (number, number)
    assert (row_of(two.other).steps, row_of(two.other).in_flight) == (8, 8), "no process lets more through than that"
    assert two.mine.take(asked("e", run=RunAsk("r", (RunLimit(Guard.STEPS, 4),)))) is None
    assert two.mine.take(asked("e", run=RunAsk("r", (RunLimit(Guard.PARALLEL, 4),)))) is None
    assert two.mine.take(asked("e", run=RunAsk("r", (), turns=9))) is None, "it shows more than was counted"
    for name in "abcd":
        end(two.mine, name)
    assert (row_of(two.other).steps, row_of(two.other).in_flight) == (4, 0)


def test_a_run_that_another_process_stops_is_stopped_with_the_next_look(two: Two) -> None:
    run = RunAsk("r")
    first(two.mine, asked("a", run=run))
    two.mine.take(asked("b", run=run))
    two.other.change_run("default", "r", RunChange(RunVerb.STOP, START_NS))
    assert not isinstance(two.mine.reserve(asked("c", run=run)), Granted)
    end(two.mine, "a")
    end(two.mine, "b")
    assert (row_of(two.mine).steps, row_of(two.mine).in_flight, str(row_of(two.mine).state)) == (2, 0, "stopped")


def test_a_process_that_dies_leaves_all_of_it_to_be_presumed(two: Two) -> None:
    first(two.mine, asked("a", run=RunAsk("r")))
    two.mine.take(asked("b", run=RunAsk("r")))
    assert two.other.lapse("here", START_NS) == 2
    assert sums(two.other)["all", "", "usd"] == Balance(presumed=HELD * 8)
    assert sums(two.other)["n", "", "requests"] == Balance(presumed=8)
    assert (row_of(two.other).steps, row_of(two.other).in_flight) == (8, 0)
    two.mine.end_slices()


def test_one_that_was_taken_for_dead_tells_the_truth_late(two: Two) -> None:
    run = RunAsk("r")
    first(two.mine, asked("a", run=run))
    two.mine.take(asked("b", run=run))
    two.mine.take(asked("c", run=run))
    two.other.lapse("here", START_NS)
    assert two.mine.take(asked("d", run=run)) is not None, "it cannot know"
    end(two.mine, "a")
    assert (row_of(two.other).steps, row_of(two.other).in_flight) == (4, 3)
    for name in "bcd":
        end(two.mine, name)
    assert sums(two.other)["all", "", "usd"] == Balance(settled=240)
    assert (row_of(two.other).steps, row_of(two.other).in_flight) == (4, 0)
    assert [two.other.hold("default", name).state for name in "abcd"] == [State.SETTLED] * 4
    withdrawn = two.other.hold("default", "a~7")
    assert (withdrawn.state, withdrawn.settled, withdrawn.is_unused) == (State.SETTLED, ZERO, True)
    assert withdrawn in two.other.ended("default", START_NS + 1, 2**62, 10), "it ended later than it was presumed"
    (spent,) = two.other.spend(SpendQuery("default", (), 0, 2**62))
    assert (spent.calls, spent.settled.cost_nano) == (4, 240), "it is no call"


def test_what_a_person_has_said_of_it_stands_and_what_calls_came_to_is_recorded_all_the_same(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    two.other.lapse("here", START_NS)
    two.other.close("a~7", Verb.CORRECT, START_NS, charge(70))
    for _ in range(2):
        with pytest.raises(NotFound):
            end(two.mine, "b")
        assert not two.mine.is_covered("b", ZERO), "nothing is held for it any more"
    assert sums(two.mine)["all", "", "usd"] == Balance(settled=70, presumed=HELD)
    # As of a call that the ledger never saw.
    two.mine.reserve(asked("b"))
    end(two.mine, "b")
    assert sums(two.other)["all", "", "usd"] == Balance(settled=130, presumed=HELD)
    end(two.mine, "a")


def test_a_budget_that_another_process_begins_meanwhile_counts_what_calls_hold(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    two.other.define([Budget("late", (Limit(Unit.USD, 10**6),), Window(WindowKind.TOTAL))], START_NS)
    assert sums(two.other)["late", "", "usd"].held == HELD * 8
    end(two.mine, "a")
    assert sums(two.mine)["late", "", "usd"] == Balance(settled=60, held=HELD)
    end(two.mine, "b")
    assert sums(two.mine)["late", "", "usd"] == Balance(settled=120)


def test_a_stream_that_was_taken_is_extended(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    assert two.mine.extend(asked("b"), 200, 300).tokens == 300
    assert sums(two.other)["all", "", "usd"].held == HELD + 350


def fail(ledger: SqliteLedger, asking: Reservation | None = None) -> None:
    """Let a transaction fail that has ended what was set aside, and has set more aside."""
    with suppress(ZeroDivisionError), ledger.batch():
        if asking is not None:
            ledger.reserve(asking)
            ledger.set_aside(asking, 100)
        raise ZeroDivisionError


def test_after_a_transaction_that_failed_nothing_is_taken_and_nothing_is_lost(two: Two) -> None:
    fail(two.mine, asked("z"))
    assert two.mine.take(asked("y")) is None
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    fail(two.mine, asked("z"))
    assert two.mine.take(asked("c")) is None
    assert file(two.other)["usd"] == HELD * 8
    end(two.mine, "b")
    assert sums(two.other)["all", "", "usd"] == Balance(settled=60, held=HELD)
    first(two.mine, asked("d"))
    assert two.mine.take(asked("e")) is not None


@pytest.mark.parametrize("where", ["behind the commit", "behind that"])
@pytest.mark.parametrize("when", ["set aside", "ended", "withdrawn"])
def test_an_interrupt_behind_the_commit_leaves_nobody_without_a_hold(
    two: Two, when: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        """A cursor behind whose commit a signal comes."""

        def __init__(self, cursor: sqlite3.Cursor) -> None:
            self._cursor = cursor

        def __getattr__(self, name: str) -> object:
            return getattr(self._cursor, name)

        def execute(self, text: str, *values: Any) -> object:
            done = self._cursor.execute(text, *values)
            if text == "COMMIT":
                two.mine.pending.cursor = self._cursor
                raise KeyboardInterrupt
            return done

    def interrupt(self: SqliteLedger) -> None:
        raise KeyboardInterrupt

    def act() -> None:
        first(two.mine, asked("c")) if when == "set aside" else two.mine.end_slices()

    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    if when == "withdrawn":
        two.other.lapse("here", START_NS)
    if where == "behind the commit":
        two.mine.pending.cursor = Interrupted(two.mine.pending.cursor)  # type: ignore[assignment] # it is like one
    else:
        monkeypatch.setattr(SqliteLedger, "_committed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        act()
    monkeypatch.undo()
    taken = two.mine.take(asked("d"))
    two.mine.end_slices()
    end(two.mine, "b")
    two.mine.reserve(asked("b2"))
    assert taken is None
    count = {"set aside": 3, "ended": 2, "withdrawn": 1}[when]
    assert file(two.other)["usd"] == HELD * count
    assert len(two.other.in_flight("default", 10)) == count


@pytest.mark.parametrize("inner", ["take", "reserve"])
def test_whoever_interrupts_a_call_that_is_being_held_takes_nothing_from_it(
    two: Two, inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler of a signal, in the same thread, so that no lock keeps it out."""
    room = Slice.room

    def interrupted(self: Slice, cover: Cover, ask: Ask) -> int:
        monkeypatch.undo()
        assert getattr(two.mine, inner)(asked("x")) is not None
        return room(self, cover, ask)

    first(two.mine, asked("a"))
    monkeypatch.setattr(Slice, "room", interrupted)
    assert two.mine.take(asked("b")) is None
    for name in "cdefghij":
        two.mine.take(asked(name))
    taken = len(two.mine.in_flight("default", 20)) - 1
    assert taken == (SLICE_CALLS if inner == "take" else 1)


def test_an_id_is_taken_once_whatever_is_remembered(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    two.mine._open_holds.clear()
    assert two.mine.take(asked("b")) is None


def test_what_may_grow_as_it_goes_is_told_the_room(two: Two) -> None:
    grows = replace(asked("a", line(limit=10**12, unit=Unit.USD)), ask=Ask(20, 20))
    first(two.mine, grows)
    granted = two.mine.take(replace(grows, id="b"))
    assert granted is not None
    # Seventy nano-USD for each of eight, and fifty for the input of this one.
    assert (granted.tokens, granted.room) == (20, 10**12 - 8 * 70 - 50)
    assert two.mine.take(replace(grows, id="c", cover=Cover(50_000, 10**9, 0))) is None


def test_what_is_locked_by_another_can_be_read(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine._timeout_s, two.mine._patient = 0, "PRAGMA busy_timeout = 0"
    two.mine.db.execute(two.mine._patient)
    with two.other.transaction():
        assert sums(two.mine)["all", "", "usd"].held == HELD * 8
    assert sums(two.mine)["all", "", "usd"].held == HELD


def test_an_interrupt_behind_the_commit_of_the_first_leaves_nothing_set_aside(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: SqliteLedger) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SqliteLedger, "_committed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        first(two.mine, asked("a"))
    monkeypatch.undo()
    assert two.mine.is_sliced
    two.mine.end_slices()
    assert file(two.other)["usd"] == HELD


def test_where_the_file_is_locked_it_is_ended_the_next_time(two: Two) -> None:
    first(two.mine, asked("a"))
    two.mine.take(asked("b"))
    two.mine.db.execute("PRAGMA busy_timeout = 0")
    with two.other.transaction(), pytest.raises(StoreUnavailable):
        two.mine.end_slices()
    assert two.mine.take(asked("c")) is not None, "it is still held"
    two.mine.end_slices()
    assert file(two.other)["usd"] == HELD * 3


class World:
    """Random acts of two processes, and what they must come to."""

    def __init__(self, two: Two, seed: int) -> None:
        self.two = two
        self.dice = random.Random(seed)
        self.open: dict[str, int] = {}
        """Calls of mine in flight, by their line."""
        self.ended: list[tuple[str, int | None]] = []
        self.settled = self.number = self.taken = 0
        self.lines = [(USD, line(f"n{each}", 10**4), line("t", 10**6, Unit.TOKENS)) for each in range(2)]

    def hold(self) -> None:
        self.number += 1
        id_, which = f"{self.number}", self.dice.randrange(2)
        asking = replace(
            call(*self.lines[which], id=id_, cover=replace(COVER, input_tokens=self.dice.randrange(20)), ask=ASK),
            run=RunAsk("r") if which else None,
        )
        granted = self.two.mine.take(asking)
        self.taken += granted is not None
        if granted is None and self.dice.random() < 0.3:
            granted = self.two.mine.reserve_ahead(asking)
        if granted is None:
            with self.two.mine.batch() if self.dice.random() < 0.5 else nullcontext():
                self.write()
                verdict = self.two.mine.reserve(asking)
                assert isinstance(verdict, Granted)
                granted = verdict
                if self.dice.random() < 0.7:
                    self.two.mine.set_aside(asking, granted.tokens)
        self.open[id_] = which

    def close(self) -> None:
        """Let a call end; that is written later, with others."""
        id_ = self.dice.choice(list(self.open))
        del self.open[id_]
        nano = self.dice.choice([None, *range(0, 200, 10)])
        self.settled += nano or 0
        self.ended.append((id_, nano))

    def write(self) -> None:
        for id_, nano in self.ended:
            if nano is None:
                self.two.mine.end(id_, Verb.RELEASE, START_NS)
            else:
                end(self.two.mine, id_, nano)
        self.ended.clear()

    def others(self) -> None:
        """Let somebody else do something, or let something go wrong."""
        match self.dice.randrange(6):
            case 0:
                self.two.other.lapse("here", START_NS)
            case 1:
                fail(self.two.mine)
            case 2:
                self.two.other.reserve(replace(asked(f"o{self.number}"), process="there"))
                self.two.other.close(f"o{self.number}", Verb.RELEASE, START_NS)
            case 3:
                name = f"b{self.number}"
                self.two.other.define([Budget(name, (Limit(Unit.USD, 10**6),), Window(WindowKind.TOTAL))], START_NS)
            case 4:
                self.two.mine._open_holds.clear()
            case _:
                self.two.mine.end_slices()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_every_call_is_counted_once(two: Two, seed: int) -> None:
    world = World(two, seed)
    for _ in range(300):
        if world.open and world.dice.random() < 0.45:
            world.close()
        elif world.dice.random() < 0.08:
            world.number += 1
            world.others()
        else:
            world.hold()
        if world.dice.random() < 0.2:
            assert two.other.verify() == []
    while world.open:
        world.close()
    world.write()
    assert world.taken > 40
    usd = sums(two.mine)["all", "", "usd"]
    assert (usd.settled, usd.presumed, usd.held) == (world.settled, 0, 0)
    assert row_of(two.mine).in_flight == 0
    rows = [row for row in two.mine.holds("default", tuple(State), 10**6) if row.labels == {"model": "m"}]
    assert sum(row.settled.cost_nano for row in rows) == world.settled
    assert not [row for row in rows if row.state in (State.OPEN, State.PRESUMED)]
