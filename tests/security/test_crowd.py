"""S29: ten thousand idle connections, or one client that floods, do not keep others from being served."""

from __future__ import annotations

import concurrent.futures
import contextlib
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.house import HELLO, House, body_of, house, read_to_close, status_of, usd

from bursar.config.settings import Limits
from bursar.testing import Script

pytestmark = pytest.mark.slow

IDLE = 10_000


@pytest.fixture
def files_max() -> Iterator[int]:
    """As many open files as this process may have, raised for the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def crowd(home: House, size: int) -> Iterator[list[socket.socket]]:
    """Open connections that send nothing, or a part of a head."""
    socks: list[socket.socket] = []
    try:
        for number in range(size):
            sock = socket.create_connection(home.address, timeout=10)
            socks.append(sock)
            if number % 2:
                sock.sendall(b"POST /v1/chat")
        yield socks
    finally:
        for sock in socks:
            sock.close()


def test_ten_thousand_idle_connections_keep_nobody_out(tmp_path: Path, files_max: int) -> None:
    size = min(IDLE, files_max - 1_000)
    with house(tmp_path, [usd()], is_process=True) as home:
        home.ask()
        memory = home.memory_bytes()
        with crowd(home, size):
            for wire in ("openai", "anthropic"):
                for is_stream in (False, True):
                    assert home.ask(wire, stream=is_stream).status == 200
        assert home.memory_bytes() - memory < size * 40_000
        assert home.ask().status == 200
        home.assert_sound()


def test_where_connections_run_out_the_longest_idle_one_gives_way(tmp_path: Path) -> None:
    few = Limits(connections_max=20)
    with house(tmp_path, [usd()], is_process=True, limits=few) as home, crowd(home, 60) as socks:
        assert home.ask().status == 200
        assert home.files() < 60
        assert read_to_close(socks[0]) == b""
        socks[-2].sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status_of(socks[-2].recv(1000)) == 404


def test_one_that_is_being_answered_never_gives_way(tmp_path: Path) -> None:
    script = {"slow": Script(output_tokens=100, tokens_per_s=100)}
    with house(tmp_path, [usd()], is_process=True, limits=Limits(connections_max=5), scripts=script) as home:
        request = body_of("openai", model="slow", stream=True, max_tokens=100)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(request)
        working = [home.raw(head + request) for _ in range(5)]
        home.provider.wait(open_calls=5)
        assert status_of(home.raw().recv(1000)) == 503
        home.provider.wait(billed=5)
        for sock in working:
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += sock.recv(65_536)
            assert b"[DONE]" in answer
        home.assert_sound()


def test_a_client_that_floods_keeps_nobody_out(tmp_path: Path) -> None:
    """Floods of good and bad requests on many connections at once, while others make calls of their own."""
    with house(tmp_path, [usd(100_000_000_000)], is_process=True) as home:
        stop = threading.Event()
        bad = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]"

        def flood(number: int) -> int:
            count = 0
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    if number % 2:
                        home.ask(model="flood", max_tokens=10)
                    else:
                        with socket.create_connection(home.address, timeout=10) as sock:
                            sock.sendall(bad)
                            sock.recv(1000)
                count += 1
            return count

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            floods = [pool.submit(flood, number) for number in range(16)]
            try:
                for number in range(20):
                    got = home.ask("anthropic" if number % 2 else "openai", stream=number % 3 == 0, messages=HELLO)
                    assert got.status == 200
            finally:
                stop.set()
            assert sum(one.result() for one in floods) > 16
        home.assert_sound()
