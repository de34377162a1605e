"""S35, S44: what bursar answers is kept by nobody on the way, and no name, link or provider writes into its headers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.gateway.house import PATHS, GatewayThread, Got, House, body_of, house, send, settings_for, until, usd
from tests.gateway.keyed import bearer, by, give_key

from bursar.actions.pauses import PauseWish, pause
from bursar.config.settings import KeyPolicy
from bursar.core.control import EVERY_TENANT

PRIVATE = "private, no-store"


# --- S35 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", sorted(PATHS))
def test_an_answer_may_be_kept_by_nobody_on_the_way(home: House, wire: str) -> None:
    assert home.ask(wire).headers["cache-control"] == PRIVATE
    assert home.send("POST", PATHS[wire], b"{").headers["cache-control"] == PRIVATE


def test_what_bursar_itself_says_may_be_kept_by_nobody(broke: House) -> None:
    for got in (broke.ask(), broke.ask("anthropic"), broke.send("GET", "/nowhere"), broke.send("GET", "/v1/models")):
        assert got.headers["cache-control"] == PRIVATE
    for page in ("/healthz", "/readyz", "/metrics"):
        assert "no-store" in broke.send("GET", page).headers["cache-control"]


def test_a_provider_that_says_how_its_stream_may_be_kept_has_said_it(home: House) -> None:
    assert home.ask(stream=True).headers["cache-control"] == "no-cache"


# --- S44: hostile names ---------------------------------------------------------------------------------------------

HOSTILE = [
    "{0.__class__.__mro__}",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "%n%s%x",
    "a\r\nX-Injected: yes",
    "a\nSet-Cookie: a=b",
    "a\x00b",
    "@here <!channel>",
    "[click](http://evil.example)",
    "<script>alert(1)</script>",
    '"; rm -rf /',
    "\u202egnp.exe",
    "é\u2028ü",
    "\ud7ff" * 50,
]


def assert_plain(got: Got, headers_most: int = 30) -> None:
    """Nothing was added to the head, and whatever the words, the body is JSON with a message."""
    assert not {"x-injected", "set-cookie"} & set(got.headers)
    assert len(got.headers) < headers_most
    assert all(value.isascii() and value.isprintable() for value in got.headers.values())
    assert got.message


@pytest.mark.parametrize("name", HOSTILE)
def test_a_budgets_name_and_link_are_literal_text(tmp_path: Path, name: str) -> None:
    """Whoever may set budgets may not write headers, nor have a template filled in."""
    with house(tmp_path, [usd(0, name=name, link=f"https://x.example/{name}")]) as home:
        for headers in ({}, {"originator": "codex_cli_rs"}):
            got = home.ask(headers=headers)
            assert got.status in (402, 429)
            assert_plain(got)
            assert repr(name) in got.message and f"https://x.example/{name}" in got.message
        assert_plain(home.ask("anthropic"))
    (tmp_path / "rich").mkdir()
    with house(tmp_path / "rich", [usd(name=name)]) as home:
        got = home.ask()
        assert got.status == 200
        assert not {"x-injected", "set-cookie"} & set(got.headers)


def test_what_clients_call_themselves_is_literal_text_in_a_refusal(tmp_path: Path) -> None:
    with house(tmp_path, [usd(0, per=("user", "agent"))]) as home:
        for name in HOSTILE:
            said = "".join(letter for letter in name if letter.isascii() and letter.isprintable())
            for headers in ({"x-bursar-agent": said}, {"x-bursar-agent": said, "originator": "codex_cli_rs"}):
                got = home.ask(headers=headers, user=name)
                assert_plain(got)
                assert "49" not in got.message and "<class" not in got.message


def test_the_reason_of_a_pause_is_literal_text(tmp_path: Path) -> None:
    with house(tmp_path, [usd(tenant=EVERY_TENANT)], keys=KeyPolicy.REQUIRED) as home:
        _, token = give_key(home)
        with home.ledger() as ledger:
            pause(ledger, PauseWish("acme", {}, "{{7*7}} [x](http://evil.example) <script>"), by())
        for headers in (bearer(token), {**bearer(token), "originator": "codex_cli_rs"}):
            got = home.ask(headers=headers)
            until(lambda: home.ask(headers=headers).status not in (200, 401))  # noqa: B023 - used at once
            got = home.ask(headers=headers)
            assert_plain(got)
            assert "{{7*7}}" in got.message


# --- S44, S12: hostile providers ------------------------------------------------------------------------------------

TOLD = (
    b'{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1}}'
)
ODD_HEADS = {
    "999": b"HTTP/1.1 999 Odd\r\n",
    "600": b"HTTP/1.1 600 Odd\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n",
    "205": b"HTTP/1.1 205 Reset Content\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "103 first": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n",
    "1.0": b"HTTP/1.0 200 OK\r\n",
    "control letter": b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\n",
    "bare return": b"HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: a=b\r\n",
    "bare newline": b"HTTP/1.1 200 OK\r\nX-A: a\nX-Injected: b\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\n",
    "beyond latin": "HTTP/1.1 200 OK\r\nX-A: é\u2028Ċ\r\n".encode(),
    "raw bytes": b"HTTP/1.1 200 OK\r\nX-A: \xff\xfe\r\n",
    "odd name": b"HTTP/1.1 200 OK\r\nX A: b\r\n",
    "empty name": b"HTTP/1.1 200 OK\r\n: b\r\n",
    "a long value": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n",
    "many": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(2_000)),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n",
    "both framings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
    "an encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n",
    "an unknown encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n",
    "an odd type": b"HTTP/1.1 200 OK\r\nContent-Type: \xff; charset=\xfe\r\n",
    "no HTTP": b"GIMME\r\n",
    "nothing": b"",
}


@contextmanager
def answering(head: bytes) -> Iterator[str]:
    """A provider that answers every connection with these bytes, and closes it."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                if stop.is_set():
                    return
                data = piece = connection.recv(65_536)
                while (piece and b"\r\n\r\n" not in data) or (data.startswith(b"POST") and not data.endswith(b"}")):
                    data += (piece := connection.recv(65_536))
                    if not piece:
                        break
                if head and piece:
                    connection.sendall(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(TOLD) + TOLD)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stop.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
        server.close()


@pytest.mark.parametrize("case", ODD_HEADS)
def test_whatever_head_a_provider_sends_the_client_gets_a_whole_answer(
    tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        answering(ODD_HEADS[case]) as url,
        GatewayThread(settings_for(url, tmp_path / "bursar.db", [usd()])) as gateway,
    ):
        for _ in range(2):
            got = send(gateway.url, "POST", PATHS["openai"], body_of("openai", max_tokens=10))
            assert got.is_whole
            assert got.status in (200, 204, 205, 304, 502, 504), got
            assert not {"set-cookie", "upgrade"} & set(got.headers)
        free = send(gateway.url, "GET", "/v1/models/m", b"")
        assert free.status < 505
    assert "unforeseen" not in caplog.text
    assert "Exception" not in caplog.text
