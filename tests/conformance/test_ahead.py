"""A hold with ample room need not wait for the closes before it: every call gets what it would have got behind them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.kit import call, charge, line, sums
from tests.conformance.test_joined import House, done, locked

from bursar.core.admission import Ask, Balance, Cover
from bursar.core.budget import Unit
from bursar.core.charge import Charge
from bursar.core.hold import State, Verb
from bursar.core.ledger import Granted, Refused, Reservation
from bursar.core.run import RunAsk, RunChange, RunVerb
from bursar.errors import HoldConflict, StoreUnavailable
from bursar.stores.joined import AHEAD_MAX, SCARCE
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.clock import START_NS

COVER = Cover(fixed_pico=50_000, output_pico=1_000, input_tokens=10)
ASK = Ask(at_least=5, at_most=100, middle=20, share=4)
USD = line(limit=100_000, unit=Unit.USD)


@pytest.fixture
def house(tmp_path: Path) -> Any:
    opened = House(tmp_path / "ledger.db")
    yield opened
    opened.queue.stop()
    assert opened.ledger.verify() == []
    opened.ledger.close_store()


def asked(id_: str, *lines: Any, ask: Ask = ASK, cover: Cover = COVER) -> Reservation:
    return call(*(lines or (USD,)), id=id_, ask=ask, cover=cover)


def settle(house: House, id_: str, told: Charge | None = None, verb: Verb = Verb.SETTLE) -> None:
    """Leave a close to the queue, as the library does."""
    is_freeing = told is None or house.ledger.is_covered(id_, told.amounts)
    work = partial(house.ledger.close, id_, verb, START_NS, told)
    house.queue.later(work, house.heard.append, is_freeing=is_freeing)


def reserve(house: House, asking: Reservation, face: str = "joined") -> Granted | Refused:
    if face == "joined":
        return done(house.joined.reserve(asking))
    return asyncio.run(_reserve(house, asking))


async def _reserve(house: House, asking: Reservation) -> Granted | Refused:
    return await house.queue.reserve(asking)


def state(house: House, id_: str) -> State:
    """Say what the file has of a hold, whatever is queued."""
    return State(house.ledger.hold("default", id_).state)


@pytest.mark.parametrize("face", ["joined", "loop"])
def test_with_ample_room_a_hold_goes_ahead_and_the_eighth_writes_all(house: House, face: str) -> None:
    with house.held_up():
        for number in range(AHEAD_MAX + 1):
            assert isinstance(reserve(house, asked(str(number)), face), Granted)
            settle(house, str(number), charge(60, tokens=10, output=10))
        assert [state(house, str(number)) for number in range(AHEAD_MAX + 1)] == [State.OPEN] * (AHEAD_MAX + 1)
        house.statements.clear()
        granted = reserve(house, asked("last"), face)
        assert house.begins() == 1, "all of them in one transaction"
        assert [state(house, str(number)) for number in range(AHEAD_MAX + 1)] == [State.SETTLED] * (AHEAD_MAX + 1)
    assert isinstance(granted, Granted)
    assert granted.balances == (Balance(settled=60 * (AHEAD_MAX + 1), held=150),)


def test_what_waits_is_still_held_for_whoever_goes_ahead(house: House) -> None:
    with house.held_up():
        reserve(house, asked("a"))
        settle(house, "a", charge(60, tokens=10, output=10))
        granted = reserve(house, asked("b"))
        assert sums(house.ledger)["all", "", "usd"] == Balance(held=300)
    assert isinstance(granted, Granted)
    assert granted.balances == (), "nobody is told what is not true for long"


def test_where_less_would_be_given_the_room_is_made_first(house: House) -> None:
    tight = line(limit=620, unit=Unit.USD)
    with house.held_up():
        assert reserve(house, asked("a", tight)) == Granted(100, 570, (Balance(held=150),))
        settle(house, "a", charge(10, tokens=1))
        # A quarter of the 470 that are free would not do; of the 610 that are free in truth it does.
        granted = reserve(house, asked("b", tight))
        assert state(house, "a") is State.SETTLED
    assert isinstance(granted, Granted)
    assert granted.tokens == 100


def test_a_cost_beyond_the_hold_is_written_before_anybody_holds(house: House) -> None:
    with house.held_up():
        reserve(house, asked("a"))
        settle(house, "a", charge(99_000, tokens=10, output=100))
        granted = reserve(house, asked("b"))
        assert state(house, "a") is State.SETTLED
    assert isinstance(granted, Granted)
    assert granted.tokens == 100
    assert granted.balances == (Balance(settled=99_000, held=150),)


@pytest.mark.parametrize(
    ("amounts", "is_covered"),
    [
        (charge(150, tokens=10, output=100), True),
        (charge(151, tokens=10, output=100), False),
        (charge(150, tokens=11, output=100), False),
        (charge(150, tokens=10, output=101), False),
    ],
)
def test_covered_is_what_no_unit_has_more_of(house: House, amounts: Charge, is_covered: bool) -> None:
    assert not house.ledger.is_covered("a", amounts.amounts), "nobody has held it"
    reserve(house, asked("a"))
    assert house.ledger.is_covered("a", amounts.amounts) is is_covered


def test_what_may_grow_as_it_goes_is_told_the_true_room(house: House) -> None:
    growing = Ask(5, 5)
    with house.held_up():
        reserve(house, asked("a", ask=growing))
        settle(house, "a", charge(50, tokens=10))
        granted = reserve(house, asked("b", ask=growing))
    assert isinstance(granted, Granted)
    assert granted.room == 99_900, "as after the close"


def test_what_somebody_waits_for_is_never_overtaken(house: House) -> None:
    async def ask() -> tuple[bool, Granted | Refused]:
        with house.held_up():
            asking = asyncio.ensure_future(house.queue.close("a", Verb.SETTLE, START_NS, charge(60, tokens=10)))
            await asyncio.sleep(0)
            granted = await house.joined.reserve(asked("b"))
            is_settled = state(house, "a") is State.SETTLED
            await asking
            return is_settled, granted

    reserve(house, asked("a"))
    is_settled, granted = asyncio.run(ask())
    assert is_settled
    assert isinstance(granted, Granted)


def test_a_try_that_found_no_room_is_not_made_again_with_every_call(house: House) -> None:
    tight = line(limit=320, unit=Unit.USD)
    with house.held_up():
        reserve(house, asked("first", tight))
        begins = []
        for number in range(SCARCE + 2):
            settle(house, "first" if number == 0 else str(number - 1), charge(0))
            house.statements.clear()
            reserve(house, asked(str(number), tight))
            begins.append(house.begins())
    assert begins == [2, *[1] * SCARCE, 2]


def test_an_id_that_was_held_is_the_same_call_again(house: House) -> None:
    with house.held_up():
        first = reserve(house, asked("a"))
        reserve(house, asked("b"))
        settle(house, "b", charge(60, tokens=10))
        again = reserve(house, asked("a"))
    assert isinstance(first, Granted)
    assert isinstance(again, Granted)
    assert again.tokens == first.tokens
    assert sums(house.ledger)["all", "", "usd"] == Balance(settled=60, held=150)


class Calls:
    """Random calls, the same for everybody who asks with the same seed."""

    def __init__(self, seed: int, scale: int) -> None:
        self._dice = random.Random(seed)
        self._scale = scale
        self._open: list[str] = []
        self._count = 0

    def run(self, hold: Callable[[Reservation], Granted | Refused], close: Callable[..., object]) -> list[object]:
        """Make holds and closes; gives what each hold was told."""
        told: list[object] = []
        for _ in range(120):
            if self._open and self._dice.random() < 0.5:
                id_ = self._open.pop(self._dice.randrange(len(self._open)))
                verb = self._dice.choice([Verb.SETTLE] * 6 + [Verb.RELEASE, Verb.PRESUME])
                dear = self._dice.choice([0, 40, 150, 151, 4_000])
                output = self._dice.choice([0, 7, 100, 130])
                close(id_, charge(dear, tokens=self._dice.choice([1, 10, 12]), output=output), verb)
                continue
            self._count += 1
            ask = self._dice.choice([ASK, ASK, Ask(5, 5), Ask(3, 90)])
            lines = (
                line(limit=40_000 * self._scale, unit=Unit.USD),
                line("t", 9_000 * self._scale, Unit.TOKENS),
                line("n", 60 * self._scale),
            )
            verdict = hold(asked(str(self._count), *lines, ask=ask))
            if isinstance(verdict, Granted):
                self._open.append(str(self._count))
                told.append(verdict.tokens if ask.at_least < ask.at_most else (verdict.tokens, verdict.room))
            else:
                told.append((verdict.line.budget, verdict.is_exhausted))
        return told


@pytest.mark.parametrize("scale", [1, 5, 100], ids=["scarce", "enough", "plenty"])
@pytest.mark.parametrize("seed", range(8))
def test_everybody_is_told_what_they_would_be_told_in_order(tmp_path: Path, seed: int, scale: int) -> None:
    plain = SqliteLedger(tmp_path / "plain.db")
    in_order = Calls(seed, scale).run(
        plain.reserve,
        lambda id_, told, verb: plain.close(id_, verb, START_NS, told if verb is Verb.SETTLE else None),
    )
    house = House(tmp_path / "ahead.db")
    with house.held_up():
        ahead = Calls(seed, scale).run(
            partial(reserve, house),
            lambda id_, told, verb: settle(house, id_, told if verb is Verb.SETTLE else None, verb),
        )
    house.queue.stop()
    assert ahead == in_order
    assert sums(house.ledger) == sums(plain)
    assert house.heard == []
    assert house.ledger.verify() == []
    house.ledger.close_store()
    plain.close_store()


def test_whoever_seizes_waits_for_nobody_and_whoever_does_not_waits_again(house: House) -> None:
    def waits() -> int:
        return int(house.ledger.db.execute("PRAGMA busy_timeout").fetchone()[0])

    assert waits() == 50
    with house.held_up():
        reserve(house, asked("a"), "loop")
        assert waits() == 0
        reserve(house, asked("b"), "joined")
        assert waits() == 50
        reserve(house, asked("c"), "loop")
        assert waits() == 0
        house.ledger.balances("default")
        assert waits() == 50


def test_what_another_process_has_taken_meanwhile_is_seen_before_anything_is_held(house: House) -> None:
    other = SqliteLedger(house.ledger.path)
    with house.held_up():
        reserve(house, asked("a"))
        settle(house, "a", charge(60, tokens=10, output=10))
        other.reserve(asked("theirs", ask=Ask(99_800, 99_800)))
        granted = reserve(house, asked("b"))
        assert state(house, "a") is State.SETTLED, "what waits is written, and then it is looked again"
    other.close_store()
    assert isinstance(granted, Granted)
    assert granted.tokens == 5, "90 nano-USD are left, and 99,940 would be without theirs"
    assert sums(house.ledger)["all", "", "usd"] == Balance(settled=60, held=99_850 + 55)


@pytest.mark.parametrize("run", [RunAsk("r"), RunAsk("child", parent="r")], ids=["the run", "the run above"])
def test_a_run_that_another_process_has_stopped_meanwhile_is_refused(house: House, run: RunAsk) -> None:
    other = SqliteLedger(house.ledger.path)
    with house.held_up():
        reserve(house, replace(asked("a"), run=run))
        settle(house, "a", charge(60, tokens=10, output=10))
        # Now all rows are remembered here.
        assert isinstance(reserve(house, replace(asked("b"), run=run)), Granted)
        other.change_run("default", "r", RunChange(RunVerb.STOP, START_NS))
        refused = reserve(house, replace(asked("c"), run=run))
    other.close_store()
    assert isinstance(refused, Refused)
    assert refused.run is not None


def ahead(house: House, *ids: str, face: str = "joined") -> None:
    """Hold ahead of a close for each, and leave a view of the file open."""
    reserve(house, asked("first"), face)
    settle(house, "first", charge(60, tokens=10, output=10))
    for id_ in ids:
        assert reserve(house, asked(id_), face) == Granted(100, 100, ())


@pytest.mark.parametrize("face", ["joined", "loop"])
def test_as_long_as_nobody_else_writes_nobody_asks_for_it(house: House, face: str) -> None:
    with house.held_up():
        ahead(house, "a", face=face)
        house.statements.clear()
        assert reserve(house, asked("b"), face) == Granted(100, 100, ())
    kinds = [text.split()[0] for text in house.statements]
    assert kinds == ["BEGIN", "INSERT", "UPDATE", "COMMIT"], "no SELECT and no PRAGMA"


@pytest.mark.parametrize("face", ["joined", "loop"])
def test_what_another_process_has_taken_breaks_the_view_and_counts(house: House, face: str) -> None:
    other = SqliteLedger(house.ledger.path)
    with house.held_up():
        ahead(house, "a", face=face)
        other.reserve(asked("theirs", ask=Ask(99_600, 99_600)))
        granted = reserve(house, asked("b"), face)
        assert sums(house.ledger)["all", "", "usd"] == Balance(settled=60, held=150 + 99_650 + 55)
        assert isinstance(granted, Granted)
        assert granted.tokens == 5, "140 nano-USD are left"
        other.close("theirs", Verb.RELEASE, START_NS)
        assert sums(house.ledger)["all", "", "usd"] == Balance(settled=60, held=150 + 55), "readers see it too"
    other.close_store()


def test_a_view_waits_for_who_is_writing_as_any_other_hold_does(house: House) -> None:
    with house.held_up():
        ahead(house, "a")
        with locked(house.ledger.path), pytest.raises(StoreUnavailable, match="locked"):
            reserve(house, asked("b"))
        assert isinstance(reserve(house, asked("c")), Granted)
        assert sums(house.ledger)["all", "", "usd"] == Balance(held=450), "the first is not closed yet"


def is_free(house: House) -> bool:
    """Tell whether nobody keeps the log from beginning anew."""
    with contextlib.closing(sqlite3.connect(house.ledger.path, timeout=0)) as other:
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


@pytest.mark.parametrize("face", ["joined", "loop"])
def test_no_view_is_left_open_when_nobody_comes_any_more(house: House, face: str) -> None:
    with house.held_up():
        ahead(house, "a", "b", face=face)
        assert not is_free(house)
    # The thread does what is queued, and looks away before it sleeps.
    deadline = time.monotonic() + 30
    while not is_free(house):
        assert time.monotonic() < deadline


def test_the_log_begins_anew_however_busy_a_program_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a view is open nobody can write the log back whole: every eighth call begins without one."""
    house.ledger.db.execute("PRAGMA wal_autocheckpoint = 30")
    with house.held_up():
        reserve(house, asked("0"))
        for number in range(400):
            settle(house, str(number), charge(60, tokens=10, output=10))
            assert isinstance(reserve(house, asked(str(number + 1), line(unit=Unit.USD, limit=10**9))), Granted)
        log = house.ledger.path.with_name("ledger.db-wal")
        assert log.stat().st_size < 150 * 2_100, "of some 1,500 pages that were written"


def test_an_id_that_has_ended_here_is_not_held_again_ahead_of_others(house: House) -> None:
    with house.held_up():
        reserve(house, asked("x"))
        house.ledger.close("x", Verb.SETTLE, START_NS, charge(60, tokens=10, output=10))
        reserve(house, asked("a"))
        settle(house, "a", charge(60, tokens=10, output=10))
        with pytest.raises(HoldConflict):
            reserve(house, asked("x"))


def test_a_stopped_queue_leaves_no_view_open(tmp_path: Path) -> None:
    house = House(tmp_path / "ledger.db")
    with house.held_up():
        ahead(house, "a")
    house.queue.stop()
    assert is_free(house)
    house.ledger.close_store()


def test_who_has_been_written_beside_leaves_no_view_for_a_while(house: House) -> None:
    other = SqliteLedger(house.ledger.path)
    with house.held_up():
        ahead(house, "a")
        other.reserve(asked("theirs"))
        reserve(house, asked("b"))
        settle(house, "b", charge(60, tokens=10, output=10))
        assert reserve(house, asked("c")) == Granted(100, 100, ())
        assert is_free(house)
    other.close_store()
