"""Work that callers do themselves, and work that nobody waits for: one queue, one order, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest
from tests.conformance.kit import call, charge, line, sums

from bursar.core.admission import Balance
from bursar.core.hold import State, Verb
from bursar.core.ledger import Granted, Refused
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.stores import joined
from bursar.stores.joined import InlineStore, JoinedStore
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.clock import START_NS

T = TypeVar("T")
HERE = Path(joined.__file__).parent


def done(work: Awaitable[T]) -> T:
    """Run what never suspends."""
    try:
        work.__await__().send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for a loop")


class House:
    """A ledger, its queue, both faces, and a thread that can be kept from working."""

    def __init__(self, path: Path) -> None:
        self.ledger = SqliteLedger(path, timeout_s=0.05)
        self.ticks = itertools.count(0, 2 * joined.BURST_NS)
        self.queue = InlineStore(self.ledger, now_ns=lambda: next(self.ticks))
        self.joined = JoinedStore(self.queue)
        self.statements: list[str] = []
        self.ledger.db.set_trace_callback(self.statements.append)
        self.heard: list[Exception] = []

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Keep the queue's own thread away from the queue, as a busy machine may."""
        with self.queue._turn:
            yield

    def settle_later(self, id_: str, verb: Verb = Verb.SETTLE) -> None:
        """Leave a close to the queue."""
        told = charge() if verb is Verb.SETTLE else None
        self.queue.later(partial(self.ledger.close, id_, verb, START_NS, told), self.heard.append)

    def begins(self) -> int:
        return self.statements.count("BEGIN IMMEDIATE")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path / "ledger.db")
    yield opened
    opened.queue.stop()
    assert opened.ledger.verify() == []
    opened.ledger.close_store()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be another process that writes."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_who_asks_next_sees_what_nobody_waited_for_and_both_are_one_transaction(house: House) -> None:
    done(house.joined.reserve(call(line(limit=1), id="a")))
    with house.held_up():
        house.statements.clear()
        house.settle_later("a", Verb.RELEASE)
        granted = done(house.joined.reserve(call(line(limit=1), id="b")))
        assert house.begins() == 1
    assert isinstance(granted, Granted), "what the first one gave back is there for the second"
    assert granted.balances == (Balance(held=1),)


def test_of_several_that_nobody_waited_for_each_has_its_own_end(house: House) -> None:
    for id_ in ("a", "b", "c"):
        done(house.joined.reserve(call(line(limit=3), id=id_)))
    with house.held_up():
        house.statements.clear()
        house.settle_later("a", Verb.RELEASE)
        house.settle_later("b", Verb.RELEASE)
        assert isinstance(done(house.joined.reserve(call(line(limit=3), id="d"))), Granted)
        assert house.begins() == 1 and house.heard == []
        for id_ in ("nobody", "c", "d"):
            house.settle_later(id_)
        # What cannot be written undoes the others' as well; then they are done without it.
        with pytest.raises(NotFound):
            house.queue.now(partial(house.ledger.close, "nobody either", Verb.SETTLE, START_NS, charge()))
        assert [type(each) for each in house.heard] == [NotFound] and not house.queue._jobs
    assert sums(house.ledger) == {("all", "", "requests"): Balance(settled=2)}


def test_a_read_sees_what_nobody_waited_for(house: House) -> None:
    done(house.joined.reserve(call(line(), id="a")))
    with house.held_up():
        house.settle_later("a")
        assert done(house.joined.run(partial(sums, house.ledger))) == {("all", "", "requests"): Balance(settled=1)}


def test_what_nobody_waits_for_is_done_all_the_same(house: House) -> None:
    done(house.joined.reserve(call(line(), id="a")))
    house.settle_later("a")
    house.queue.stop()
    assert house.ledger.hold("default", "a").state is State.SETTLED
    with pytest.raises(StoreUnavailable, match="closed"):
        house.settle_later("a")


@pytest.mark.parametrize(("id_", "error"), [("nobody", NotFound), ("released", HoldConflict)])
def test_what_could_not_be_written_is_heard_of_and_harms_nobody(house: House, id_: str, error: type[Exception]) -> None:
    done(house.joined.reserve(call(line(), id="released")))
    done(house.joined.close("released", Verb.SETTLE, START_NS, charge()))
    with house.held_up():
        house.settle_later(id_, Verb.RELEASE)
        assert isinstance(done(house.joined.reserve(call(line(), id="b"))), Granted)
    assert [type(each) for each in house.heard] == [error]


def test_behind_a_locked_file_everybody_hears_of_it_and_can_do_it_again(house: House) -> None:
    done(house.joined.reserve(call(line(), id="a")))
    with locked(house.ledger.path), house.held_up():
        house.settle_later("a")
        with pytest.raises(StoreUnavailable):
            done(house.joined.reserve(call(line(), id="b")))
    assert [type(each) for each in house.heard] == [StoreUnavailable]
    house.settle_later("a")
    house.queue.catch_up()
    assert house.ledger.hold("default", "a").state is State.SETTLED


def test_an_interrupt_forgets_nothing_that_others_asked_for(house: House) -> None:
    done(house.joined.reserve(call(line(), id="a")))

    def interrupted() -> None:
        raise KeyboardInterrupt

    with house.held_up():
        house.settle_later("a")
        with pytest.raises(KeyboardInterrupt):
            house.queue.now(interrupted)
        assert house.ledger.hold("default", "a").state is State.OPEN, "all of it was undone"
        house.queue.catch_up()
    assert house.ledger.hold("default", "a").state is State.SETTLED
    assert house.heard == []


def is_interrupted(number: int, work: Callable[[], object]) -> bool:
    """Interrupt work where a handler of signals can: where a function begins, and after a call into C.

    `number` says at which of these places of the ledger's; False where the work ends sooner.
    """
    places = itertools.count(1)

    def look(frame: FrameType, event: str, _: object) -> None:
        if event in ("call", "c_return") and Path(frame.f_code.co_filename).parent == HERE and next(places) == number:
            raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.mark.parametrize("way", ["at once", "ahead", "behind", "in a loop", "by itself"])
def test_an_interrupt_at_any_moment_leaves_nothing_locked_and_nothing_half_done(house: House, way: str) -> None:
    def hold(id_: str) -> object:
        asked = call(line(limit=10_000), id=id_)
        return done(house.queue.reserve(asked) if way == "in a loop" else house.joined.reserve(asked))

    def work(number: int) -> object:
        if way == "by itself":
            return done(house.joined.run(partial(house.ledger.reserve, call(line(limit=10_000), id=f"a{number}"))))
        return hold(f"a{number}")

    has_been = True
    for number in itertools.count(1):
        hold(f"before {number}")
        with house.held_up():
            if way in ("ahead", "behind"):
                close = partial(house.ledger.close, f"before {number}", Verb.RELEASE, START_NS)
                house.queue.later(close, house.heard.append, is_freeing=way == "ahead")
            has_been = is_interrupted(number, partial(work, number))
        assert not house.ledger.inside and not house.ledger.db.in_transaction
        house.ledger.be_patient()
        assert house.ledger.db.execute("PRAGMA busy_timeout").fetchone() == (50,)
        beside = threading.Thread(target=hold, args=(f"beside {number}",))
        beside.start()
        beside.join(10)
        assert not beside.is_alive(), f"a lock is held after place {number}"
        if not has_been:
            break
    assert number > 10
    house.queue.catch_up()
    assert house.heard == []
    (balance,) = sums(house.ledger).values()
    # Whoever was interrupted after the commit has a hold that he does not know of; nobody has half of one.
    least = number + (0 if way in ("ahead", "behind") else number)
    assert least <= balance.held <= least + number


async def test_an_interrupt_before_the_work_or_after_it_lets_nobody_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("_together", "_first"):
        inner = getattr(house.queue, place)

        def interrupted(*given: Any, inner: Any = inner, place: str = place) -> Any:
            monkeypatch.setattr(house.queue, place, inner)
            raise KeyboardInterrupt

        with house.held_up():
            waiting = asyncio.ensure_future(house.queue.close("nobody", Verb.RELEASE, START_NS))
            await asyncio.sleep(0)
            monkeypatch.setattr(house.queue, place, interrupted)
            with pytest.raises(KeyboardInterrupt):
                house.queue.catch_up()
        with pytest.raises(NotFound):
            await waiting


def test_nobody_is_at_the_ledger_twice(house: House) -> None:
    for again in (house.queue.catch_up, partial(house.queue.now, list)):

        def work(again: Callable[[], object] = again) -> None:
            again()

        with pytest.raises(StoreUnavailable, match="interrupted"):
            house.queue.now(work)
    assert isinstance(done(house.joined.reserve(call(line(), id="a"))), Granted)


def test_no_file_of_a_ledger_stays_open_while_its_process_is_copied(house: House) -> None:
    for limit in (10, 20):
        # The last thing that it writes is several rows by one statement.
        done(house.joined.reserve(call(line(limit=limit), line("other"), id=str(limit))))
    house.queue.let_go()
    held = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # The one by which this is read.
            held.append(str(each.readlink()))
    house.queue.take_up()
    assert held
    assert not [name for name in held if str(house.ledger.path) in name]
    assert isinstance(done(house.joined.reserve(call(line(), id="c"))), Granted)


def test_more_than_a_batch_is_done_before_ones_own(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.stores.threaded.BATCH_MAX", 3)
    for number in range(10):
        done(house.joined.reserve(call(line(), id=str(number))))
    with house.held_up():
        for number in range(10):
            house.settle_later(str(number), Verb.RELEASE)
        granted = done(house.joined.reserve(call(line(), id="own")))
    assert isinstance(granted, Granted)
    assert granted.balances == (Balance(held=1),)


def test_threads_that_do_it_themselves_lose_nothing(house: House) -> None:
    def work(name: int) -> None:
        for number in range(50):
            id_ = f"{name}-{number}"
            verdict = done(house.joined.reserve(call(line(limit=8), id=id_)))
            if isinstance(verdict, Granted):
                house.settle_later(id_, Verb.RELEASE if number % 2 else Verb.SETTLE)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    house.queue.catch_up()
    assert house.heard == []
    assert sums(house.ledger) == {("all", "", "requests"): Balance(settled=8)}, "and never one more"


async def where(house: House, work: Callable[[], Awaitable[Any]]) -> tuple[Any, str]:
    """Give a verdict, and the name of the thread that wrote it."""
    names = []
    house.ledger.db.set_trace_callback(
        lambda text: names.append(threading.current_thread().name) if text == "BEGIN IMMEDIATE" else None
    )
    verdict = await work()
    return verdict, names[-1]


async def test_a_loop_holds_by_itself_where_nobody_else_is_at_the_ledger(house: House) -> None:
    asked = call(line(limit=1), id="a")
    verdict, name = await where(house, partial(house.queue.reserve, asked))
    assert isinstance(verdict, Granted)
    assert name == threading.current_thread().name
    refused, _ = await where(house, partial(house.queue.reserve, call(line(limit=1), id="b")))
    assert isinstance(refused, Refused)
    await house.queue.close("a", Verb.RELEASE, START_NS)


async def test_holds_of_a_burst_share_the_threads_transaction(house: House) -> None:
    house.ticks = itertools.count(joined.BURST_NS * 2, 1_000)
    _, first = await where(house, partial(house.queue.reserve, call(line(limit=100), id="a")))
    assert first == threading.current_thread().name
    house.ledger.db.set_trace_callback(house.statements.append)
    with house.ledger.lock:
        tasks = [asyncio.ensure_future(house.queue.reserve(call(line(limit=100), id=str(n)))) for n in range(20)]
        await asyncio.sleep(0)
    verdicts = await asyncio.gather(*tasks)
    assert all(isinstance(verdict, Granted) for verdict in verdicts)
    assert house.begins() <= 2


async def test_a_loop_waits_for_no_other_thread(house: House) -> None:
    has_lock, may_go = threading.Event(), threading.Event()

    def hold_up() -> None:
        with house.ledger.lock:
            has_lock.set()
            may_go.wait(10)

    thread = threading.Thread(target=hold_up)
    thread.start()
    has_lock.wait(10)
    task = asyncio.ensure_future(where(house, partial(house.queue.reserve, call(line(), id="a"))))
    await asyncio.sleep(0)
    assert not task.done(), "the loop goes on"
    may_go.set()
    verdict, name = await task
    thread.join()
    assert isinstance(verdict, Granted)
    assert name == "bursar-ledger"


async def test_a_loop_waits_for_no_other_process(house: House) -> None:
    house.ledger.db.execute("PRAGMA busy_timeout = 10000")
    house.ledger._timeout_s = 10
    with locked(house.ledger.path):
        task = asyncio.ensure_future(where(house, partial(house.queue.reserve, call(line(), id="a"))))
        await asyncio.sleep(0)
        assert not task.done(), "the loop goes on"
    verdict, name = await task
    assert isinstance(verdict, Granted)
    assert name == "bursar-ledger"


async def test_what_a_loop_does_at_once_comes_after_what_was_queued(house: House) -> None:
    await house.queue.reserve(call(line(limit=1), id="a"))
    with house.held_up():
        house.settle_later("a", Verb.RELEASE)
        verdict, name = await where(house, partial(house.queue.reserve, call(line(limit=1), id="b")))
    assert isinstance(verdict, Granted)
    assert name == threading.current_thread().name


async def test_with_commits_that_wait_for_the_disk_the_thread_does_all(tmp_path: Path) -> None:
    house = House(tmp_path / "synced.db")
    house.queue.stop()
    house.queue = InlineStore(house.ledger, is_inline=False)
    _, name = await where(house, partial(house.queue.reserve, call(line(), id="a")))
    assert name == "bursar-ledger"
    house.queue.stop()
    house.ledger.close_store()


def test_the_log_is_written_back_by_the_thread(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Event()
    checkpoint = house.ledger.checkpoint

    def seen() -> None:
        checkpoint()
        written.set()

    monkeypatch.setattr(joined, "CHECKPOINT_COMMITS", 20)
    monkeypatch.setattr(house.ledger, "checkpoint", seen)
    for number in range(20):
        done(house.joined.reserve(call(line(limit=100), id=str(number))))
    house.settle_later("0")
    assert written.wait(10)
    with contextlib.closing(sqlite3.connect(f"file:{house.ledger.path}?immutable=1", uri=True)) as alone:
        (count,) = alone.execute("SELECT count(*) FROM hold").fetchone()
    assert count == 20, "it is in the file itself"
