"""R61: told to stop, the gateway takes no new calls, lets streams finish within the grace, and settles the others."""

from __future__ import annotations

import concurrent.futures
import signal
from pathlib import Path

import pytest
from tests.gateway.house import GatewayThread, Got, House, house, settings_for, usd

from bursar.config.settings import Settings
from bursar.core.hold import State
from bursar.testing import Script
from bursar.testing.gateway import GatewayProcess

pytestmark = pytest.mark.slow

WIRES = ["openai", "anthropic"]


def begun(home: House, wire: str, count: int, *, is_stream: bool) -> list[concurrent.futures.Future[Got]]:
    """Start calls in threads of their own, and wait until the provider is at work on all of them."""
    pool = concurrent.futures.ThreadPoolExecutor(count)
    calls = [pool.submit(home.ask, wire, stream=is_stream or None, max_tokens=1000) for _ in range(count)]
    pool.shutdown(wait=False)
    home.provider.wait(open_calls=count)
    return calls


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_gateway_stops_at_once_with_exit_code_0(tmp_path: Path, sign: signal.Signals) -> None:
    with house(tmp_path, [usd()], is_process=True) as home:
        assert home.ask().status == 200
        sock = home.raw()  # An idle connection does not hold it up.
        assert home.process._process is not None
        home.process._process.send_signal(sign)
        assert home.process.wait(10) == 0
        assert sock.recv(100) == b""
        home.assert_sound()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_what_ends_within_the_grace_is_finished_and_settled_by_truth(
    tmp_path: Path, wire: str, is_stream: bool
) -> None:
    script = Script(output_tokens=60, tokens_per_s=60)
    with house(tmp_path, [usd()], scripts={"m": script}, is_process=True, grace_s=20) as home:
        calls = begun(home, wire, 3, is_stream=is_stream)
        assert home.process.stop() == 0
        for call in calls:
            got = call.result()
            assert got.status == 200 and got.is_whole
        balance = home.assert_sound()
        assert balance.settled == home.invoice_nano() > 0
        assert {row.note.ended for row in home.holds()} == {"complete"}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_what_outlasts_the_grace_is_settled_and_nothing_stays_held(tmp_path: Path, wire: str, is_stream: bool) -> None:
    script = Script(output_tokens=900, tokens_per_s=1)
    with house(tmp_path, [usd()], scripts={"m": script}, is_process=True, grace_s=1) as home:
        calls = begun(home, wire, 20, is_stream=is_stream)
        assert home.process.stop() == 0
        for call in calls:
            got = call.result()
            if is_stream:
                assert not got.is_whole
            else:
                assert (got.status, got.headers["x-should-retry"]) == (503, "false")
                assert "stopping" in got.message
        home.provider.wait(open_calls=0)
        home.assert_sound()
        rows = home.holds()
        assert len(rows) == 20
        assert all(row.state in (State.SETTLED, State.PRESUMED) for row in rows)


def test_no_new_call_is_taken_while_it_stops(tmp_path: Path) -> None:
    script = Script(output_tokens=60, tokens_per_s=60)
    with house(tmp_path, [usd()], scripts={"m": script}, is_process=True, grace_s=20) as home:
        (call,) = begun(home, "openai", 1, is_stream=True)
        assert home.process._process is not None
        home.process._process.send_signal(signal.SIGTERM)
        call.result()
        assert home.process.wait(20) == 0
        with pytest.raises(ConnectionError):
            home.ask()
        assert home.provider.invoice()["requests"] == 1


def test_a_thread_stops_as_a_process_does(tmp_path: Path) -> None:
    """The house of most tests must not hide what a real stop does."""
    settings = settings_for("http://127.0.0.1:9", tmp_path / "bursar.db", [usd()])
    with GatewayThread(settings) as gateway:
        gateway.stop()


def test_a_ledger_that_cannot_be_opened_ends_the_start_with_a_failure(tmp_path: Path) -> None:
    (tmp_path / "bursar.db").mkdir()
    settings: Settings = settings_for("http://127.0.0.1:9", tmp_path / "bursar.db", [usd()])
    gateway = GatewayProcess(settings)
    gateway.start()
    assert gateway.wait(20) == 1
    gateway.stop()
