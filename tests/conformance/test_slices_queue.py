"""When something is set aside for calls to come, and when no longer: by how fast they follow each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance.kit import line
from tests.conformance.test_ahead import asked, reserve, settle
from tests.conformance.test_joined import House, locked

from bursar.core.budget import Unit
from bursar.core.charge import Amounts, Charge
from bursar.core.hold import State, Verb
from bursar.core.ledger import Granted, Reservation
from bursar.stores import threaded
from bursar.stores.joined import AHEAD_MAX, BUSY_LOOKS, PATIENCE, InlineStore
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.sqlite_slices import SLICE_CALLS
from bursar.stores.threaded import DOZE_S
from bursar.testing.clock import START_NS

PLENTY = line(limit=10**9, unit=Unit.USD)
TOLD = Charge(Amounts(60, 5, 0, 0, 7, 0, 1))
look = InlineStore._look


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house whose thread looks after nothing by itself: the tests say when."""
    monkeypatch.setattr(InlineStore, "_look", lambda self: None)
    opened = House(tmp_path / "ledger.db")
    yield opened
    opened.queue.stop()
    assert not opened.ledger.is_sliced
    assert opened.ledger.verify() == []
    assert opened.heard == []
    assert not opened.ledger.in_flight("default", 10)
    opened.ledger.close_store()


def is_sliced(house: House) -> bool:
    return house.ledger.is_sliced


def one(name: str) -> Reservation:
    return asked(name, PLENTY)


def calls(house: House, face: str, count: int, name: str = "") -> None:
    """Make calls that follow each other at once."""
    for number in range(count):
        assert isinstance(reserve(house, one(f"{name}{number}"), face), Granted)
        settle(house, f"{name}{number}", TOLD)


@pytest.mark.parametrize("face", ["joined", "loop"])
def test_behind_eight_closes_seven_calls_more_are_held_at_once(house: House, face: str) -> None:
    with house.held_up():
        calls(house, face, AHEAD_MAX + 1)
        assert not is_sliced(house)
        for turn in range(3):
            before = house.begins()
            calls(house, face, SLICE_CALLS + 1, f"{turn}-")
            assert house.begins() == before + 1, "eight calls, one transaction"
            assert is_sliced(house)


def test_calls_that_do_not_follow_each_other_at_once_set_nothing_aside(house: House) -> None:
    for number in range(3 * AHEAD_MAX):
        calls(house, "joined", AHEAD_MAX // 2, f"{number}-")
        house.queue.catch_up()
        assert not is_sliced(house)


def test_where_every_cost_must_be_seen_at_once_nothing_is_set_aside(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    queue = InlineStore(ledger, is_ahead=False)
    with queue._turn:
        for number in range(3 * AHEAD_MAX):
            assert isinstance(queue.reserve_now(one(f"{number}")), Granted)
            for _ in range(AHEAD_MAX + 2):
                queue.later(lambda: None, lambda error: None, is_freeing=True)
            assert not ledger.is_sliced
    queue.stop()
    ledger.close_store()


def test_the_thread_sets_aside_for_a_program_that_holds_again_and_again(house: House) -> None:
    for number in range(BUSY_LOOKS + 3):
        with house.held_up():
            calls(house, "joined", 2, f"{number}-")
            look(house.queue)
            assert is_sliced(house) is (number + 1 >= BUSY_LOOKS)
            before = house.begins()
            calls(house, "joined", 1, f"{number}-more-")
            assert (house.begins() == before) is (number + 1 >= BUSY_LOOKS)
        house.queue.catch_up()
        assert not is_sliced(house)
    look(house.queue)
    assert is_sliced(house)
    look(house.queue)
    assert not is_sliced(house), "nobody has held since"
    calls(house, "joined", 1, "slow")
    house.queue.catch_up()
    look(house.queue)
    assert not is_sliced(house)


def test_nothing_stays_set_aside_when_the_thread_sleeps(house: House) -> None:
    with house.held_up():
        calls(house, "joined", AHEAD_MAX + 2)
        assert is_sliced(house)
        house.queue.sleep()
        assert not is_sliced(house)
        calls(house, "joined", 1, "z")


@pytest.mark.parametrize("what", ["rest", "sleep"])
def test_a_thread_that_cannot_write_now_goes_on(house: House, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    here = threading.current_thread()
    with house.held_up():
        calls(house, "joined", AHEAD_MAX + 2)
        monkeypatch.setattr(
            InlineStore, "_look", lambda self: look(self) if threading.current_thread() is here else None
        )
        house.queue._asked = None
        with locked(house.ledger.path):
            house.queue._next_look_ns = 0
            getattr(house.queue, what)()
            assert is_sliced(house)
        calls(house, "joined", 1, "z")


def test_a_process_that_is_copied_has_nothing_set_aside(house: House) -> None:
    calls(house, "joined", 1, "a")
    house.queue.catch_up()
    house.ledger.set_aside(one("b"), 100)
    house.queue.let_go()
    house.queue.take_up()
    assert not is_sliced(house)
    calls(house, "joined", 1, "c")


def test_what_was_taken_is_closed_behind_the_programs_back(house: House) -> None:
    with house.held_up():
        calls(house, "joined", AHEAD_MAX + 1)
        assert isinstance(reserve(house, one("x")), Granted)
        assert isinstance(reserve(house, one("y")), Granted)
        assert house.ledger.is_covered("y", TOLD.amounts)
        settle(house, "x", TOLD)
        settle(house, "y", TOLD)
    house.queue.catch_up()
    assert [house.ledger.hold("default", name).state for name in "xy"] == [State.SETTLED] * 2


def test_a_thread_that_could_not_end_it_comes_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threaded, "AWAKE_S", 0.01)
    calls(house, "joined", 1)
    with locked(house.ledger.path):
        house.queue.sleep()
    house.ledger.set_aside(one("x"), 100)
    with locked(house.ledger.path):
        assert house.queue.sleep() is False
        house.queue._wake()
    until(lambda: not is_sliced(house))


def test_who_sets_something_aside_while_the_thread_sleeps_wakes_it(house: House) -> None:
    with house.held_up():
        calls(house, "joined", AHEAD_MAX + 1)
        late = house.queue._held_behind(one("late"))
    house.queue.catch_up()
    asleep = 0
    while asleep < 5:  # also of what it was woken for before
        asleep = 0 if house.queue._is_dozing or not house.queue._signal.empty() else asleep + 1
        threading.Event().wait(0.02)
    late()
    until(lambda: not is_sliced(house))
    house.ledger.close("late", Verb.RELEASE, START_NS)


def test_a_fast_program_writes_by_itself_what_the_thread_leaves_to_it(house: House) -> None:
    for number in range(BUSY_LOOKS):
        assert house.queue._looks == 1
        with house.held_up():
            calls(house, "joined", 2, f"{number}-")
        look(house.queue)
    assert house.queue._looks == PATIENCE
    house.queue._looks = 10**9
    house.queue.catch_up()
    calls(house, "joined", 1, "left")
    head = house.queue._jobs[0]
    for _ in range(2 * PATIENCE):
        threading.Event().wait(DOZE_S)
    assert house.queue._jobs[0] is head
    look(house.queue)
    look(house.queue)
    assert house.queue._looks == 1, "nobody has held since"
    until(lambda: not house.queue._jobs)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what the thread does."""
    ends = time.monotonic() + 15
    while not is_so():
        assert time.monotonic() < ends, "it does not happen"
        threading.Event().wait(0.02)


def test_what_does_more_than_make_room_is_done_before_anything_is_taken(house: House) -> None:
    with house.held_up():
        calls(house, "joined", AHEAD_MAX + 2)
        calls(house, "joined", 1, "taken")
        before = house.begins()
        house.queue.later(lambda: None, house.heard.append)
        calls(house, "joined", 1, "behind")
        assert house.begins() == before + 1
        assert len(house.queue._jobs) == 1


def test_no_more_closes_are_left_behind_because_there_is_something_to_take(house: House) -> None:
    with house.held_up():
        calls(house, "joined", 4)
        house.ledger.set_aside(one("x"), 100)
        calls(house, "joined", AHEAD_MAX - 3, "taken")
        before = house.begins()
        calls(house, "joined", 1, "eighth")
        assert (house.begins(), len(house.queue._jobs)) == (before + 1, 1)
