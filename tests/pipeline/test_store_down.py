"""P10: a ledger that is down denies in bounded time; with leave the call goes through and is told later."""

from __future__ import annotations

import concurrent.futures
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.gateway.house import DOLLAR, House, house, until, usd

from bursar.config.settings import Limits, StoreSettings
from bursar.core.budget import Policy
from bursar.core.hold import State
from bursar.testing import Script

WIRES = ["openai", "anthropic"]


@contextmanager
def down(home: House) -> Iterator[None]:
    """Lock the ledger away, as a backup tool or a broken disk does."""
    other = sqlite3.connect(home.ledger_path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def opened(path: Path, *policies: Policy, **more: object) -> Iterator[House]:
    store = StoreSettings(path=path / "bursar.db", timeout_s=0.3)
    budgets = [usd(100 * DOLLAR, f"b{n}", on_store_down=policy) for n, policy in enumerate(policies)]
    with house(path, budgets, store=store, limits=Limits(heartbeat_s=0.1), **more) as home:  # type: ignore[arg-type]
        yield home


def logged(caplog: pytest.LogCaptureFixture, home: House) -> list[str]:
    """What the log tells the operator of refused calls, with the file's path."""
    told = [record.getMessage() for record in caplog.records if record.name == "bursar.pipeline"]
    assert all(str(home.ledger_path) in message for message in told)
    return told


def settled(home: House) -> set[int]:
    """What each balance has settled."""
    with home.ledger() as ledger:
        rows = ledger.balances("default")
        assert all(row.balance.held == 0 for row in rows)
        assert list(ledger.verify()) == []
        return {row.balance.settled for row in rows}


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_ledger_that_is_down_denies_and_recovers(
    tmp_path: Path, wire: str, is_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "bursar.pipeline")
    with opened(tmp_path, Policy.DENY) as home:
        assert home.ask(wire).status == 200
        with down(home):
            got = home.ask(wire, stream=is_stream)
            assert got.status == 503
            assert 1 <= int(got.headers["retry-after"]) <= 60
            assert "the ledger cannot be read or written now" in got.message
            assert str(tmp_path) not in got.body.decode()
            assert len(logged(caplog, home)) == 1
            assert home.provider.invoice()["requests"] == 1
        assert home.ask(wire, stream=is_stream).status == 200
        until(lambda: home.balance().held == 0)
        assert home.assert_sound().settled == home.invoice_nano()


def test_what_is_free_or_continues_a_response_tells_no_client_where_the_ledger_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, Policy.DENY) as home:
        named = home.ask("responses").json["id"]
        with down(home):
            told = [
                home.send("GET", f"/v1/responses/{named}"),
                home.ask("responses", previous_response_id=named),
            ]
        for got in told:
            assert got.status == 503
            assert got.message == "the ledger cannot be read or written now"
        assert len(logged(caplog, home)) == 2


def test_many_calls_at_once_are_denied_as_soon_as_one(tmp_path: Path) -> None:
    """Each must not wait for the file in turn."""
    with opened(tmp_path, Policy.DENY) as home, down(home), concurrent.futures.ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(home.ask) for _ in range(40)]
        done, late = concurrent.futures.wait(calls, timeout=8)  # In turn they would take twelve seconds.
        assert not late
        assert {call.result().status for call in done} == {503}
        assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_with_leave_a_call_goes_through_and_is_recorded_when_the_ledger_is_back(
    tmp_path: Path, wire: str, is_stream: bool
) -> None:
    with opened(tmp_path, Policy.ALLOW, Policy.ALLOW) as home:
        with down(home):
            for _ in range(2):
                got = home.ask(wire, stream=is_stream)
                assert got.status == 200 and got.is_whole
        until(lambda: len(home.holds()) == 2 and all(row.state is not State.OPEN for row in home.holds()))
        assert settled(home) == {home.invoice_nano()}
        assert {row.state for row in home.holds()} == {State.SETTLED}


def test_one_budget_that_denies_is_enough(tmp_path: Path) -> None:
    with opened(tmp_path, Policy.ALLOW, Policy.DENY) as home, down(home):
        assert home.ask().status == 503
        assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("policy", list(Policy))
def test_a_ledger_that_goes_down_in_mid_call_gets_the_truth_afterwards(
    tmp_path: Path, policy: Policy, is_stream: bool
) -> None:
    scripts = {"m": Script(output_tokens=30, tokens_per_s=100)}
    with opened(tmp_path, policy, scripts=scripts) as home, concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(home.ask, stream=is_stream)
        home.provider.wait(open_calls=1)
        with down(home):
            assert call.result().status == 200
        until(lambda: home.balance().held == 0)
        assert home.assert_sound().settled == home.invoice_nano()
        assert home.holds()[0].state is State.SETTLED


def test_free_routes_need_no_ledger(tmp_path: Path) -> None:
    with opened(tmp_path, Policy.DENY) as home, down(home):
        assert home.send("GET", "/v1/models").status == 200


def test_the_event_loop_does_not_wait_for_the_ledger(tmp_path: Path) -> None:
    """Others are answered while a call waits for the file."""
    with opened(tmp_path, Policy.DENY) as home, down(home), concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(home.ask)
        answered = 0
        while not call.done():
            answered += home.send("GET", "/nowhere").status == 404
        assert answered > 3
        assert call.result().status == 503
