"""S12, S13, S14: only what is on the list goes up; what describes the hop stays; nobody else's word for ours."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import GatewayThread, House, body_of, house, send, settings_for, usd

UP = {
    "accept": "application/json",
    "anthropic-beta": "a,b",
    "anthropic-version": "2023-06-01",
    "authorization": "Bearer mine",
    "openai-beta": "x",
    "openai-organization": "org",
    "user-agent": "sdk/1",
    "x-api-key": "mine",
    "x-request-id": "r1",
    "x-stainless-lang": "python",
    "x-claude-code-session-id": "s",
}
NOT_UP = {
    "cookie": "a=b",
    "proxy-authorization": "Basic x",
    "te": "trailers",
    "keep-alive": "timeout=5",
    "forwarded": "for=1.2.3.4",
    "x-forwarded-for": "1.2.3.4",
    "x-forwarded-host": "evil.example",
    "x-real-ip": "1.2.3.4",
    "x-bursar-agent": "a",
    "x-bursar-budget": "other",
    "x-org-id": "o",
    "x-budget-id": "b",
    "x-litellm-tags": "t",
    "helicone-auth": "Bearer h",
    "traceparent": "00-1",
    "baggage": "user.id=u",
    "origin": "http://localhost:3000",
    "referer": "http://localhost:3000/secret",
    "session-id": "s",
    "x-internal": "1",
    "accept-encoding": "gzip, br",
    "content-language": "de",
    "range": "bytes=0-1",
    "if-none-match": "x",
    "expect": "100-continue",
}
OWN = {"host", "content-length", "content-type", "accept-encoding"}
"""What the gateway itself says to a provider."""


def seen_by(home: House) -> dict[str, str]:
    pairs = [(name, value) for name, value in home.provider.requests()[-1]["headers"]]
    return dict(pairs)


def test_only_listed_headers_go_up(home: House) -> None:
    assert home.ask(headers={**UP, **NOT_UP, "content-type": "application/json"}).status == 200
    seen = seen_by(home)
    assert set(seen) == set(UP) | OWN
    assert {name: seen[name] for name in UP} == UP
    assert seen["accept-encoding"] == "identity"


def test_what_connection_names_stays_here(home: House) -> None:
    headers = {**UP, "connection": "close, X-Request-Id , x-internal,OPENAI-BETA", "x-internal": "1"}
    assert home.ask(headers=headers).status == 200
    assert not {"x-request-id", "x-internal", "openai-beta", "connection"} & set(seen_by(home))


def test_a_value_beyond_ascii_does_not_go_up(home: House) -> None:
    assert home.ask(headers={"x-request-id": "é", "user-agent": "ÿ"}).status == 200
    assert not {"x-request-id", "user-agent"} & set(seen_by(home))


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_with_a_key_of_the_operator_no_key_of_the_client_goes_up(tmp_path: Path, wire: str) -> None:
    with house(tmp_path, [usd()], api_key="operators-key") as home:
        for path in ("ask", "models"):
            if path == "ask":
                home.ask(wire, headers=UP)
            else:
                home.send("GET", "/v1/models", headers=UP)
            seen = seen_by(home)
            assert "mine" not in str(seen) and "org" not in seen.values()
            assert "operators-key" in str(seen)
        got = home.ask(wire, headers=UP)
        assert "operators-key" not in str(got)


class _Rude(http.server.BaseHTTPRequestHandler):
    """A provider whose answers describe the hop, set cookies, and speak for bursar."""

    protocol_version = "HTTP/1.1"
    HEADERS = (
        ("Connection", "X-Secret-Hop, keep-alive"),
        ("X-Secret-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Set-Cookie", "a=b"),
        ("Proxy-Authenticate", "Basic"),
        ("Alt-Svc", 'h3=":443"'),
        ("Strict-Transport-Security", "max-age=1"),
        ("X-Bursar-Call", "forged"),
        ("X-Bursar-Cost-Usd", "0"),
        ("X-Request-Id", "kept"),
        ("X-RateLimit-Remaining-Tokens", "5"),
        ("X-Latin", "\xe9\xff"),
    )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        if self.server.redirects:  # type: ignore[attr-defined]
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = (
            b'{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",'
            b'"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
        )
        self.send_response(200)
        for name, value in self.HEADERS:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def rude(path: Path, *, redirects: bool = False) -> Iterator[GatewayThread]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Rude)
    server.redirects = redirects  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        with GatewayThread(settings_for(url, path / "bursar.db", [usd()])) as gateway:
            yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models")])
def test_what_describes_the_providers_hop_does_not_come_down(tmp_path: Path, method: str, path: str) -> None:
    with rude(tmp_path) as gateway:
        got = send(gateway.url, method, path, body_of("openai") if method == "POST" else b"")
        assert got.status == 200
        gone = {
            "x-secret-hop",
            "keep-alive",
            "set-cookie",
            "proxy-authenticate",
            "alt-svc",
            "strict-transport-security",
        }
        assert not gone & set(got.headers)
        assert got.headers["x-request-id"] == "kept"
        assert got.headers["x-ratelimit-remaining-tokens"] == "5"
        assert got.headers.get("x-bursar-call") != "forged"
        assert got.headers.get("x-bursar-cost-usd") != "0"


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models")])
def test_a_redirect_is_neither_followed_nor_handed_on(tmp_path: Path, method: str, path: str) -> None:
    """S17: a client that followed it would take its prompt, and maybe its key, past the budget."""
    with rude(tmp_path, redirects=True) as gateway:
        got = send(gateway.url, method, path, body_of("openai") if method == "POST" else b"")
        assert got.status == 502
        assert "location" not in got.headers
        assert "redirect" in got.message


@pytest.mark.parametrize(
    "name", ["x-user-id", "x-org-id", "x-budget-id", "x-tenant", "x-bursar-tenant", "x-bursar-key"]
)
def test_no_header_chooses_tenant_key_or_budget(broke: House, name: str) -> None:
    assert broke.ask(headers={name: "other"}).status == 402
    assert broke.provider.invoice()["requests"] == 0


ORIGINS = {
    "http://evil.example": False,
    "https://evil.example:8484": False,
    "null": False,
    "": False,
    "http://localhost.evil.example": False,
    "http://127.0.0.1.evil.example": False,
    "http://[::ffff:8.8.8.8]": False,
    "file://": False,
    "http://[bad": False,
    "http://localhost:3000": True,
    "http://127.0.0.1:8484": True,
    "https://[::1]": True,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_web_page_cannot_spend(home: House, origin: str) -> None:
    """A page needs no permission to post plain text to this machine, and with a rebound name none to post JSON."""
    got = home.ask(headers={"origin": origin, "content-type": "text/plain"})
    assert got.status == (200 if ORIGINS[origin] else 400)
    assert home.provider.invoice()["requests"] == ORIGINS[origin]
    assert "access-control-allow-origin" not in got.headers
