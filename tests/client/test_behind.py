"""A program has its answer before the ledger has its cost; nobody in it can see that, and a kill loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.client.house import ASKED, PRICES, House, house

import bursar
from bursar.client.runtime import runtime
from bursar.core.hold import State
from bursar.stores.joined import JoinedStore
from bursar.wiring.driving import Way

QUARTER_NANO = 250_000_000


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


@contextlib.contextmanager
def locked(home: House) -> Iterator[None]:
    """Be another process that writes."""
    with contextlib.closing(sqlite3.connect(home.path / "bursar.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class Blocked:
    """Locks the ledger at the moment in which an answer has come, as another process may."""

    def __init__(self, home: House) -> None:
        self._lock = contextlib.ExitStack()
        self._home = home

    def begin(self, _: object) -> None:
        self._lock.enter_context(locked(self._home))

    async def begin_async(self, _: object) -> None:
        self.begin(None)

    def end(self) -> None:
        self._lock.close()


def test_an_answer_does_not_wait_for_a_ledger_that_another_process_has_in_use(home: House) -> None:
    blocked = Blocked(home)
    with bursar.budget("$1") as budget, httpx2.Client(event_hooks={"response": [blocked.begin]}) as client:
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        blocked.end()
        assert budget.spent == Decimal("0.25")
        assert budget.calls == 1
    home.assert_sound()


def test_nor_does_a_task(home: House) -> None:
    async def ask() -> None:
        blocked = Blocked(home)
        async with bursar.budget("$1") as budget:
            async with httpx2.AsyncClient(event_hooks={"response": [blocked.begin_async]}) as client:
                assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
            blocked.end()
            assert budget.spent == Decimal("0.25")

    asyncio.run(ask())
    home.assert_sound()


def test_the_block_ends_when_all_is_written(home: House) -> None:
    with bursar.budget("$1"), httpx2.Client() as client:
        for _ in range(3):
            client.post(home.chat_url, json=ASKED)
    assert [hold.state for hold in home.holds()] == [State.SETTLED] * 3


def test_the_next_call_has_what_the_last_one_left(home: House) -> None:
    with bursar.budget("$1", on_exceed="raise"), httpx2.Client() as client:
        # Each holds a quarter of all there is: one that were not settled in time would be cut short, or wait.
        statuses = [client.post(home.chat_url, json=ASKED).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 402]
    assert all(hold.settled.cost_nano == QUARTER_NANO for hold in home.holds())


KILLED = f"""
import os, signal, sys, threading
import httpx2, bursar
from bursar.client.runtime import runtime
taken = threading.Event()

def hold_up():
    runtime.engine()._face._turn.acquire()
    taken.set()
    threading.Event().wait()

def answered(_):
    threading.Thread(target=hold_up, daemon=True).start()
    taken.wait()

with bursar.budget("$1"), httpx2.Client(event_hooks={{"response": [answered]}}) as client:
    print(client.post(sys.argv[1], json={ASKED!r}).status_code, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_between_an_answer_and_its_being_written_the_hold_is_presumed(home: House) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, home.chat_url], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ended.stdout, ended.returncode) == ("200\n", -signal.SIGKILL), ended.stderr
    assert [hold.state for hold in home.holds()] == [State.OPEN]
    with bursar.budget("$1") as budget:
        until_presumed = threading.Event()
        for _ in range(500):
            if [hold.state for hold in home.holds()] == [State.PRESUMED]:
                break
            until_presumed.wait(0.02)
        assert budget.spent == 0
    (hold,) = home.holds()
    assert (hold.state, hold.settled.cost_nano + hold.held.cost_nano >= QUARTER_NANO) == (State.PRESUMED, True)


def ask_and_leave(url: str) -> None:
    """End as such a child may, without its exit handlers."""
    with bursar.budget("$1"), httpx2.Client() as client:
        client.post(url, json=ASKED)
        os._exit(0 if not runtime.engine().is_behind else 9)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_that_ends_without_a_word_has_written_everything(home: House, method: Any) -> None:
    child = multiprocessing.get_context(method).Process(target=ask_and_leave, args=(home.chat_url,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert [hold.state for hold in home.holds()] == [State.SETTLED]
    home.assert_sound()


def test_a_ledger_that_cannot_be_written_for_a_while_gets_it_later(home: House) -> None:
    with bursar.budget("$1") as budget, httpx2.Client() as client:
        engine = runtime.engine()
        engine._parts.ledger._timeout_s = 0  # type: ignore[union-attr]
        engine._parts.ledger.db.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
        blocked = Blocked(home)
        client.event_hooks = {"response": [blocked.begin]}
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        engine.catch_up()
        blocked.end()
        assert [hold.state for hold in home.holds()] == [State.OPEN], "the ledger has not heard of it"
        assert budget.spent == Decimal("0.25"), "who looks lets it hear of it first"
    home.assert_sound()


def test_two_threads_may_tell_a_ledger_at_once_what_it_could_not_be_told(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bursar.budget("$5") as budget, httpx2.Client() as client:
        engine = runtime.engine()
        engine._parts.ledger._timeout_s = 0  # type: ignore[union-attr]
        engine._parts.ledger.db.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
        for _ in range(3):
            blocked = Blocked(home)
            client.event_hooks = {"response": [blocked.begin]}
            assert client.post(home.chat_url, json=ASKED).status_code == 200
            engine._face.catch_up()  # type: ignore[union-attr]
            blocked.end()
        kept = engine._ports[Way.BLOCKING].written
        close = JoinedStore.close

        async def beside(*given: Any, **more: Any) -> Any:
            monkeypatch.setattr(JoinedStore, "close", close)
            other = threading.Thread(target=engine.catch_up)
            other.start()
            other.join()
            return await close(*given, **more)

        assert len(kept.unclosed) == 3
        monkeypatch.setattr(JoinedStore, "close", beside)
        engine.catch_up()
        assert (budget.spent, len(kept.unclosed)) == (Decimal("0.75"), 0)
    home.assert_sound()


def test_the_end_of_an_asynchronous_block_waits_for_the_ledger_and_the_loop_goes_on(home: House) -> None:
    async def ask() -> None:
        blocked = Blocked(home)
        budget = bursar.budget("$1")
        await budget.__aenter__()
        async with httpx2.AsyncClient(event_hooks={"response": [blocked.begin_async]}) as client:
            await client.post(home.chat_url, json=ASKED)
        leaving = asyncio.ensure_future(budget.__aexit__(None, None, None))
        await asyncio.sleep(0)
        assert not leaving.done()
        blocked.end()
        await leaving
        assert [hold.state for hold in home.holds()] == [State.SETTLED]

    asyncio.run(ask())


AT_EXIT = f"""
import atexit, sys
import httpx2, bursar

def last():
    with bursar.budget("$1"), httpx2.Client() as client:
        print(client.post(sys.argv[1], json={ASKED!r}).status_code, flush=True)

atexit.register(last)
with bursar.budget("$1"), httpx2.Client() as client:
    client.post(sys.argv[1], json={ASKED!r})
"""


def test_a_call_of_the_programs_last_moment_is_written_as_well(home: House) -> None:
    command = [sys.executable, "-c", AT_EXIT, home.chat_url]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("200\n", "", 0)
    assert [hold.state for hold in home.holds()] == [State.SETTLED] * 2
    home.assert_sound()


def test_a_handler_that_interrupts_the_ledgers_work_is_refused_and_harms_nothing(home: House) -> None:
    statuses = []
    with bursar.budget("$5") as budget, httpx2.Client() as client:
        client.post(home.chat_url, json=ASKED)
        ledger: Any = runtime.engine()._parts.ledger
        hold = ledger._hold_new

        def interrupted(*given: Any, **named: Any) -> Any:
            ledger._hold_new = hold
            statuses.append(client.post(home.chat_url, json=ASKED).status_code)
            return hold(*given, **named)

        ledger._hold_new = interrupted
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert statuses == [503]
        assert (budget.calls, budget.spent) == (2, Decimal("0.50"))
    assert home.requests == 2
    home.assert_sound()


@pytest.mark.parametrize(("durability", "is_inline"), [("process", True), ("power", False)])
def test_where_a_commit_waits_for_the_disk_no_loop_makes_one(tmp_path: Path, durability: str, is_inline: bool) -> None:
    with house(tmp_path, configuration=PRICES + f"store: {{durability: {durability}}}\n") as home:

        async def ask() -> str:
            names = []
            ledger: Any = runtime.engine()._parts.ledger
            ledger.db.set_trace_callback(
                lambda text: (
                    names.append(threading.current_thread().name) if text.startswith("INSERT INTO open_hold") else 0
                )
            )
            async with httpx2.AsyncClient() as client:
                await client.post(home.chat_url, json=ASKED)
            return names[0]

        with bursar.budget("$1"):
            assert (asyncio.run(ask()) == threading.current_thread().name) is is_inline
        home.assert_sound()
