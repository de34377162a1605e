"""What another program asks through the relay counts here, as if this program had asked."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from tests.client.house import ASKED, QUARTER, House

import bursar
from bursar.client.relay import HEAD_BYTES_MAX, Asked, Relay
from bursar.testing import Script

BODY = json.dumps(ASKED).encode()


def send(
    url: str, path: str = "/v1/chat/completions", body: bytes = BODY, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Ask as a program that knows nothing of bursar: with the standard library, which nobody meters."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.request("POST", address.path + path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_what_is_asked_through_it_counts_against_the_budget_around_it(home: House) -> None:
    seen: list[str] = []
    with (
        bursar.budget("$0.30", agent="child") as budget,
        Relay(home.provider.url, lambda a: seen.append(a.target)) as relay,
    ):
        status, body = send(relay.url)
        assert status == 200
        assert json.loads(body)["choices"]
        assert budget.calls == 1
        status, body = send(relay.url)
        assert status == 402
        assert "Budget 'child'" in json.loads(body)["error"]["message"]
    assert home.requests == 1
    assert seen == ["/v1/chat/completions"] * 2
    home.assert_sound()


def test_a_stream_comes_through_and_is_counted(home: House) -> None:
    with bursar.budget("$1") as budget, Relay(home.provider.url) as relay:
        status, body = send(relay.url, body=json.dumps({**ASKED, "stream": True}).encode())
        assert status == 200
        assert body.startswith(b"data: {") and body.rstrip().endswith(b"data: [DONE]")
    assert budget.spent == budget.report().rows[0].cost > 0
    assert home.spent().settled == home.provider.invoice(calls=0)["total_nano"]


def test_the_clients_key_goes_through_and_none_is_added(home: House) -> None:
    with bursar.budget("$1"), Relay(home.provider.url) as relay:
        send(relay.url, headers={"authorization": "Bearer mine", "x-other": "1"})
        send(relay.url)
    first, second = (dict(call["headers"]) for call in home.provider.requests())
    assert (first["authorization"], first["x-other"]) == ("Bearer mine", "1")
    assert "authorization" not in second and "x-api-key" not in second


def test_its_address_is_a_secret(home: House) -> None:
    with bursar.budget("$1"), Relay(home.provider.url) as relay:
        address = urlsplit(relay.url)
        assert address.hostname == "127.0.0.1"
        assert len(address.path) > 20
        assert send(f"http://{address.netloc}")[0] == 404
        assert send(f"http://{address.netloc}{address.path[:-1]}x")[0] == 404
    assert home.requests == 0


def test_what_is_still_open_at_its_end_is_counted_and_nobody_waits_for_it(home: House) -> None:
    home.provider.set("m", Script(output_tokens=5000, tokens_per_s=100, rates=QUARTER.rates))
    streamed = json.dumps({**ASKED, "stream": True}).encode()
    with bursar.budget("$1") as budget:
        with Relay(home.provider.url) as relay:
            address = urlsplit(relay.url)
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
            connection.request("POST", f"{address.path}/v1/chat/completions", streamed)
            assert connection.getresponse().readline()
        connection.close()
        assert budget.calls == 1
    home.provider.wait(open_calls=0)
    home.assert_sound()
    assert home.provider.invoice(calls=0)["total_nano"] <= home.spent().settled + home.spent().presumed


@pytest.mark.parametrize(
    ("headers", "status"), [({"Transfer-Encoding": "chunked"}, 411), ({"Content-Length": "999999999999"}, 413)], ids=str
)
def test_a_body_without_a_size_or_too_large_is_refused(home: House, headers: dict[str, str], status: int) -> None:
    with Relay(home.provider.url) as relay:
        address = urlsplit(relay.url)
        lines = [f"POST {address.path}/v1/chat/completions HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        assert raw(relay.url, "\r\n".join([*lines, "", ""]).encode()).startswith(f"HTTP/1.1 {status} ".encode())
    assert home.requests == 0


def test_a_head_without_an_end_is_refused(home: House) -> None:
    with Relay(home.provider.url) as relay:
        path = urlsplit(relay.url).path
        assert b" 431 " in raw(relay.url, f"POST {path}".encode() + b"x" * (2 * HEAD_BYTES_MAX))[:20]


def test_a_provider_that_is_not_there_is_a_502(home: House) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with bursar.budget("$1"), Relay(f"http://127.0.0.1:{nobody.getsockname()[1]}") as relay:
            assert send(relay.url)[0] == 502
    home.assert_sound()


def test_each_request_may_be_named(home: House) -> None:
    from bursar.client.adapters import naming

    def before(asked: Asked) -> None:
        naming.name_step(agent=asked.headers["x-who"])

    with bursar.budget("$1"), Relay(home.provider.url, before) as relay:
        for who in ("a", "b"):
            send(relay.url, headers={"x-who": who})
    assert [(row.labels["agent"], row.labels["step"]) for row in home.holds()] == [("a", "1"), ("b", "2")]


def raw(url: str, data: bytes) -> bytes:
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as connection:
        connection.sendall(data)
        return connection.recv(4096)
