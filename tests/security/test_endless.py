"""S28: a provider that never ends, goes silent or sends one endless line is stopped; the call is settled."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gateway.house import House, house, until, usd

from bursar.core.hold import State
from bursar.core.provider import Deadlines
from bursar.testing import Script

pytestmark = pytest.mark.slow

WIRES = ["openai", "anthropic"]
STREAMED = [*WIRES, "responses", "completions", "gemini"]
QUICK = Deadlines(connect_s=5, first_byte_s=5, idle_s=5, total_s=0.8)
MIB = 2**20


def assert_stopped(home: House) -> None:
    """The provider is rid of the call, and the ledger of its hold."""
    home.provider.wait(open_calls=0)
    until(lambda: home.balance().held == 0)
    (row,) = home.holds()
    assert row.state in (State.SETTLED, State.PRESUMED)
    home.assert_sound()


@pytest.mark.parametrize("wire", STREAMED)
def test_a_stream_of_keep_alives_ends_at_the_total_deadline(tmp_path: Path, wire: str) -> None:
    script = Script(fault="never_ends")
    with house(tmp_path, [usd()], scripts={"m": script}, deadlines=QUICK) as home:
        got = home.ask(wire, stream=True)
        assert got.status == 200 and got.is_whole
        assert b"error" in got.body
        assert_stopped(home)


@pytest.mark.parametrize("wire", STREAMED)
def test_a_stream_that_goes_silent_ends_at_the_idle_deadline(tmp_path: Path, wire: str) -> None:
    script = Script(output_tokens=1000, tokens_per_s=2, tokens_per_event=4)
    deadlines = Deadlines(connect_s=1, first_byte_s=5, idle_s=0.3, total_s=60)
    with house(tmp_path, [usd()], scripts={"m": script}, deadlines=deadlines) as home:
        got = home.ask(wire, stream=True)
        assert got.is_whole
        assert b"went silent" in got.body
        assert_stopped(home)
        assert home.provider.invoice()["calls"][0]["ended"] == "disconnect"


@pytest.mark.parametrize("wire", STREAMED)
def test_a_whole_answer_that_never_ends_is_given_up(tmp_path: Path, wire: str) -> None:
    """Its bytes keep coming, so only the total deadline can end it."""
    script = Script(fault="never_ends")
    with house(tmp_path, [usd()], scripts={"m": script}, deadlines=QUICK) as home:
        got = home.ask(wire)
        assert got.status == 504
        assert got.headers["x-should-retry"] == "false"
        assert_stopped(home)
        assert home.holds()[0].state is State.PRESUMED


@pytest.mark.parametrize("wire", WIRES)
def test_one_endless_line_ends_at_the_event_limit(tmp_path: Path, wire: str) -> None:
    script = Script(fault="long_line", fault_bytes=100 * MIB)
    with house(tmp_path, [usd()], scripts={"m": script}, is_process=True) as home:
        home.ask(wire, model="other")
        home.provider.new_period()
        memory = home.memory_bytes()
        got = home.ask(wire, stream=True)
        assert got.is_whole and len(got.body) < MIB
        assert b"event of more than" in got.body
        assert home.memory_bytes() - memory < 64 * MIB
        home.provider.wait(open_calls=0)
        until(lambda: home.balance().held == 0)
        assert home.holds()[-1].state in (State.SETTLED, State.PRESUMED)
        home.assert_sound()


@pytest.mark.parametrize("wire", WIRES)
def test_a_long_event_within_the_limit_passes(tmp_path: Path, wire: str) -> None:
    script = Script(fault="long_line", fault_bytes=2 * MIB)
    with house(tmp_path, [usd()], scripts={"m": script}) as home:
        got = home.ask(wire, stream=True)
        assert got.is_whole and len(got.body) > 2 * MIB
        assert home.assert_sound().settled == home.invoice_nano()


@pytest.mark.parametrize("wire", WIRES)
def test_a_whole_answer_above_the_limit_is_given_up_in_bounded_memory(tmp_path: Path, wire: str) -> None:
    script = Script(fault="long_line", fault_bytes=100 * MIB)
    with house(tmp_path, [usd()], scripts={"m": script}, is_process=True) as home:
        memory = home.memory_bytes()
        got = home.ask(wire)
        assert got.status == 502
        assert home.memory_bytes() - memory < 200 * MIB  # `answer_bytes_max` is 64 MiB.
        until(lambda: home.balance().held == 0)
        assert home.holds()[0].state is State.PRESUMED
        home.assert_sound()
