"""S27: who sends or reads too slowly is let go; the hold settles, and others are served meanwhile."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.gateway.house import DOLLAR, House, body_of, house, read_to_close, status_of, until, usd

from bursar.config.settings import Limits
from bursar.core.hold import State
from bursar.testing import Script

pytestmark = pytest.mark.slow

SHORT = Limits(headers_s=0.3, body_s=0.3, stall_s=0.5, read_ahead_bytes_max=256 * 1024)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
LONG = Script(output_tokens=2_000_000, tokens_per_event=1000, tokens_per_s=4_000_000)
"""Eight megabytes of stream in half a second: more than all buffers between provider and client."""
RICH = 10_000 * DOLLAR


def small_reader(home: House, data: bytes) -> socket.socket:
    """A client whose own buffer is small, and who reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(30)
    home.open_sockets.append(sock)
    sock.connect(home.address)
    sock.sendall(data)
    return sock


def posted(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_head_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], limits=SHORT) as home:
        for start in (b"", b"P", b"POST /v1/chat", HEAD, HEAD + b"X-A: "):
            sock = home.raw(start)
            assert home.ask().status == 200
            assert status_of(read_to_close(sock)) == 408


def test_a_second_head_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    """The deadline holds for every request of a connection, and a byte now and then does not move it."""
    with house(tmp_path, [usd()], limits=SHORT) as home:
        for start in (b"P", HEAD + b"X-A: "):
            sock = home.raw(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status_of(sock.recv(65_536)) == 404
            sock.sendall(start)
            assert status_of(read_to_close(sock)) == 408


def test_a_body_that_does_not_end_is_refused_and_cut_off(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], limits=SHORT) as home:
        sock = home.raw(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert home.ask().status == 200
        assert status_of(sock.recv(65_536)) == 400
        assert read_to_close(sock) == b""
        assert home.provider.invoice()["requests"] == 1


def test_a_client_that_leaves_in_its_own_body_costs_nothing(tmp_path: Path) -> None:
    with house(tmp_path, [usd()]) as home:
        home.raw(HEAD + b"Content-Length: 100\r\n\r\n{").close()
        assert home.ask().status == 200
        assert len(home.holds()) == home.provider.invoice()["requests"] == 1


@pytest.mark.parametrize("top_speed", [None, 4_000_000], ids=["held whole", "extended"])
def test_a_reader_of_a_stream_that_stops_reading_is_let_go_and_settled(tmp_path: Path, top_speed: int | None) -> None:
    budgets = [usd(RICH)]
    more = {"limits": SHORT, "top_speed": top_speed, "is_process": True}
    with house(tmp_path, budgets, scripts={"long": LONG}, **more) as home:  # type: ignore[arg-type]
        home.ask()
        files, memory = home.files(), home.memory_bytes()
        readers = [
            small_reader(home, posted(body_of("openai", model="long", stream=True, max_tokens=2_000_000)))
            for _ in range(5)
        ]
        home.provider.wait(billed=6)
        assert home.ask().status == 200  # Others are served.
        until(lambda: home.balance().held == 0)
        assert home.memory_bytes() - memory < 64 * 2**20
        until(lambda: home.files() <= files + 2)  # Their connections are gone, both ways.
        rows = [row for row in home.holds() if row.labels["model"] == "long"]
        assert len(rows) == 5
        assert all(row.state in (State.SETTLED, State.PRESUMED) for row in rows)
        home.assert_sound()
        assert all(reader.fileno() > 0 for reader in readers)


def test_a_reader_of_a_whole_answer_that_stops_reading_is_let_go(tmp_path: Path) -> None:
    with house(tmp_path, [usd(RICH)], scripts={"long": LONG}, limits=SHORT, is_process=True) as home:
        home.ask()
        files = home.files()
        small_reader(home, posted(body_of("openai", model="long", max_tokens=2_000_000)))
        home.provider.wait(billed=2)
        until(lambda: home.balance().held == 0)
        until(lambda: home.files() <= files)
        assert home.holds()[-1].state is State.SETTLED
        assert home.assert_sound().settled == home.invoice_nano()


def test_a_reader_that_is_merely_slow_gets_everything(tmp_path: Path) -> None:
    """It takes longer than `stall_s` in all, but never stops for that long."""
    script = Script(output_tokens=300_000, tokens_per_event=1000)
    with house(tmp_path, [usd(RICH)], scripts={"long": script}, limits=SHORT, is_process=True) as home:
        for is_stream in (True, False):
            body = body_of("openai", model="long", max_tokens=300_000, stream=is_stream)
            sock = small_reader(home, HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            home.provider.wait(billed=1 if is_stream else 2)
            size = 0
            while piece := sock.recv(2_048):
                size += len(piece)
            assert size > 1_200_000
        assert home.assert_sound().settled == home.invoice_nano()
        assert [row.note.ended for row in home.holds()] == ["complete", "complete"]


def test_a_client_that_answers_nothing_to_a_pipelined_flood_is_let_go(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], limits=SHORT) as home:
        sock = home.raw(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000)
        assert read_to_close(sock).count(b"HTTP/1.1 404") == 1
        assert home.ask().status == 200
