"""R32: a client that goes away. A whole answer is settled by truth, a stream is aborted."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gateway.house import PATHS, House, body_of, house, until, usd

from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.testing import Script

WIRES = ["openai", "anthropic"]
SPEEDS = pytest.mark.parametrize("top_speed", [None, 2000], ids=["speed unknown", "speed known"])


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asked(wire: str, **fields: object) -> bytes:
    body = body_of(wire, **fields)
    return f"POST {PATHS[wire]} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def only(home: House) -> HoldRow:
    home.provider.wait(open_calls=0)
    until(lambda: home.balance().held == 0)
    home.assert_sound()
    (row,) = home.holds()
    return row


def test_a_whole_answer_that_nobody_awaits_any_more_is_settled_by_truth(tmp_path: Path, wire: str) -> None:
    with house(tmp_path, [usd()], scripts={"m": Script(output_tokens=40, tokens_per_s=100)}) as home:
        sock = home.raw(asked(wire))
        home.provider.wait(open_calls=1)
        sock.close()
        home.provider.wait(billed=1)
        row = only(home)
        assert home.provider.invoice()["calls"][0]["ended"] == "complete"
        assert (row.state, row.note.ended, row.flags) == (State.SETTLED, "complete", frozenset())
        assert row.settled.cost_nano == home.invoice_nano()


@SPEEDS
def test_a_stream_left_before_its_first_byte_is_aborted(tmp_path: Path, wire: str, top_speed: int | None) -> None:
    script = Script(output_tokens=1000, tokens_per_s=1000, first_byte_s=0.3, run_ahead_tokens=20)
    with house(tmp_path, [usd()], scripts={"m": script}, top_speed=top_speed) as home:
        sock = home.raw(asked(wire, stream=True, max_tokens=1000))
        home.provider.wait(open_calls=1)
        sock.close()
        row = only(home)
        assert row.note.ended == "hangup"
        assert home.provider.invoice()["calls"][0]["ended"] == "disconnect"
        assert row.state is (State.PRESUMED if top_speed is None else State.SETTLED)


@SPEEDS
def test_a_stream_left_in_the_middle_is_aborted_and_counted_from_above(
    tmp_path: Path, wire: str, top_speed: int | None
) -> None:
    script = Script(output_tokens=1000, tokens_per_s=500, tokens_per_event=10, run_ahead_tokens=20)
    with house(tmp_path, [usd()], scripts={"m": script}, top_speed=top_speed) as home:
        sock = home.raw(asked(wire, stream=True, max_tokens=1000))
        seen = b""
        while seen.count(b"data: ") < 8:
            seen += sock.recv(65_536)
        sock.close()
        row = only(home)
        (call,) = home.provider.invoice()["calls"]
        assert call["ended"] == "disconnect" and call["output_tokens"] < 1000
        assert row.note.ended == "hangup"
        if top_speed is not None:
            assert row.state is State.SETTLED
            assert {"estimated", "hangup"} <= row.flags
            assert call["cost_nano"] <= row.settled.cost_nano <= row.held.cost_nano
        else:
            assert row.state is State.PRESUMED


def test_a_stream_left_after_its_last_event_has_ended_normally(tmp_path: Path, wire: str) -> None:
    with house(tmp_path, [usd()], scripts={"m": Script(output_tokens=40)}) as home:
        sock = home.raw(asked(wire, stream=True))
        seen = b""
        last = b"[DONE]" if wire == "openai" else b"message_stop"
        while last not in seen:
            seen += sock.recv(65_536)
        sock.close()
        row = only(home)
        assert (row.state, row.note.ended, row.flags) == (State.SETTLED, "complete", frozenset())
        assert row.settled.cost_nano == home.invoice_nano()


def test_a_provider_that_stays_open_after_the_last_event_does_not_keep_the_client(tmp_path: Path, wire: str) -> None:
    """All that is billed has passed: the client gets its end, and the connection is closed from here."""
    from bursar.testing.provider import Fault

    fault: Fault = "never_ends"
    with house(tmp_path, [usd()], scripts={"m": Script(fault=fault)}) as home:
        sock = home.raw(asked(wire, stream=True))
        seen = sock.recv(100)
        assert b" 200 OK" in seen
        sock.close()
        assert only(home).note.ended == "hangup"


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_hundred_clients_that_leave_at_once_leave_nothing_behind(tmp_path: Path, wire: str, is_stream: bool) -> None:
    script = Script(output_tokens=300, tokens_per_s=1000, run_ahead_tokens=10)
    with house(tmp_path, [usd(10**12)], scripts={"m": script}, top_speed=1000) as home:
        socks = [home.raw(asked(wire, stream=is_stream, max_tokens=400)) for _ in range(100)]
        home.provider.wait(requests=100)
        for sock in socks:
            sock.close()
        home.provider.wait(ended=100, open_calls=0)
        until(lambda: home.balance().held == 0)
        home.assert_sound()
        assert {row.state for row in home.holds()} == {State.SETTLED}
