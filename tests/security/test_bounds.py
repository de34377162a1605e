"""S26: whatever is sent, memory stays bounded and others are served."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.house import House, body_of, house, read_to_close, status_of, usd

from bursar.config.settings import Limits

pytestmark = pytest.mark.slow

MIB = 2**20
LIMITS = Limits(body_bytes_max=8 * MIB)
MEMORY_MORE = 320 * MIB
"""What any of these may add at most: some copies of a body of the largest size, and what a parser makes of one."""
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One process for all of this file, so that memory once taken shows in every later test."""
    path: Path = tmp_path_factory.mktemp("bounds")
    with house(path, [usd()], is_process=True, limits=LIMITS) as made:
        made.ask()
        yield made


@pytest.fixture(autouse=True)
def _bounded(home: House) -> Iterator[None]:
    before = home.memory_bytes()
    reached = home.provider.invoice()["requests"]
    yield
    assert home.memory_bytes() - before < MEMORY_MORE
    assert home.provider.invoice()["requests"] == reached
    assert home.ask().status == 200
    home.assert_sound()


def pour(sock: socket.socket, piece: bytes, times: int) -> None:
    """Send a piece again and again, until all is sent or the other end has had enough."""
    with contextlib.suppress(ConnectionError):
        for _ in range(times):
            sock.sendall(piece)


def pour_for_ever(sock: socket.socket, piece: bytes) -> None:
    """Send a piece until the other end has had enough; it must, before some 60 GB."""
    with pytest.raises(ConnectionError):  # noqa: PT012 - whichever of them it is
        for _ in range(1_000_000):
            sock.sendall(piece)


def test_a_gigabyte_is_refused_by_its_announcement(home: House) -> None:
    sock = home.raw(HEAD + b"Content-Length: 1073741824\r\n\r\n")
    assert status_of(sock.recv(65_536)) == 413


def test_a_gigabyte_that_is_sent_all_the_same_is_cut_off(home: House) -> None:
    sock = home.raw(HEAD + b"Content-Length: 1073741824\r\n\r\n")
    assert status_of(sock.recv(65_536)) == 413
    pour_for_ever(sock, b"a" * 65_536)


def test_chunks_without_end_are_cut_off(home: House) -> None:
    sock = home.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    pour_for_ever(sock, b"10000\r\n" + b"a" * 65_536 + b"\r\n")


def test_a_body_above_the_limit_in_chunks_is_413(home: House) -> None:
    sock = home.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(9):
        sock.sendall(b"100000\r\n" + b"a" * MIB + b"\r\n")
    assert status_of(sock.recv(65_536)) == 413


def test_a_million_tiny_chunks_are_one_body(home: House) -> None:
    body = body_of("openai", model="x" * 300)  # Refused when it has been read.
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in b" " * 1_000_000 + body)
    sock = home.raw(HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert status_of(read_to_close(sock)) == 400


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * MIB + b"\r\n",
        b"a" * MIB + b": b\r\n",
        b"".join(b"x-%d: y\r\n" % n for n in range(10_000)),
        b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(150)),
        b"x-many: y\r\n" * 10_000,
    ],
    ids=["1 MB value", "1 MB name", "10,000 headers", "150 KB in all", "10,000 alike"],
)
def test_a_head_that_is_too_long_is_refused(home: House, head: bytes) -> None:
    sock = home.raw()
    pour(sock, b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n", 1)
    assert status_of(read_to_close(sock)) in (400, 431, 0)


def test_a_long_head_that_is_read_in_time_is_told_431(home: House) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + b"x-a: " + b"a" * 65_000 + b"\r\n"
    sock = home.raw(head + b"x-b: " + b"b" * 2_000 + b"\r\n\r\n")
    assert status_of(read_to_close(sock)) == 431


def test_a_head_without_end_is_cut_off(home: House) -> None:
    sock = home.raw(b"GET /v1/models HTTP/1.1\r\n")
    pour_for_ever(sock, b"x-a: " + b"a" * 60_000 + b"\r\n")


def test_the_head_of_a_second_request_has_the_same_limit(home: House) -> None:
    sock = home.raw(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of(sock.recv(65_536)) == 404
    pour(sock, b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * MIB, 1)
    assert status_of(read_to_close(sock)) in (0, 431)


def test_a_target_of_a_megabyte_is_refused(home: House) -> None:
    sock = home.raw()
    pour(sock, b"GET /" + b"a" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n", 1)
    assert status_of(read_to_close(sock)) in (0, 431)


def test_trailers_without_end_are_cut_off(home: House) -> None:
    sock = home.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    pour_for_ever(sock, b"x-a: " + b"a" * 60_000 + b"\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"model":"m","messages":[],"max_tokens":' + b"9" * 5_000 + b"}",
        b'{"model":"m","messages":[],"x":' + b"9" * 5_000_000 + b"}",
        b'{"model":"m","messages":[],"x":1e' + b"9" * 5_000_000 + b"}",
        b'{"model":"m","messages":[],"x":"' + b"\\u0000" * 1_000_000 + b'","model":"n"}',
    ],
    ids=["[[[", "deep array", "deep object", "5,000 digits", "5 million digits", "exponent", "escapes"],
)
def test_json_that_is_deep_or_long_in_a_wrong_way_is_refused(home: House, body: bytes) -> None:
    got = home.send("POST", "/v1/chat/completions", body)
    assert got.status == 400
    assert len(got.body) < 1000


def test_a_body_that_takes_long_to_parse_does_not_keep_others(home: House) -> None:
    """As many small objects as a body may hold are a second of work and more."""
    body = b'{"model":"m","messages":[],"x":[' + b",".join([b'{"a":1}'] * 499_990) + b'],"model":"n"}'
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(home.send, "POST", "/v1/chat/completions", body)
        answered = 0
        while not call.done():
            answered += home.send("GET", "/nowhere").status == 404
        assert call.result().status == 400
        assert answered > 3  # Without a thread of its own: one that came before it, and one after.


def test_a_body_above_the_limit_is_413_in_json(home: House) -> None:
    sock = home.raw(HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % (LIMITS.body_bytes_max + 1))
    answer = read_to_close(sock)
    assert status_of(answer) == 413
    assert b'"code":"too_large"' in answer
