"""S18, S30: the gateway fetches nothing that a body names, and serves nothing that it cannot meter."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.gateway.house import PATHS, House, body_of

NAMING: dict[str, Any] = {
    "openai": lambda url: {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    },
    "anthropic": lambda url: {
        "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": url}}]}]
    },
    "anthropic document": lambda url: {
        "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": url}}]}]
    },
    "responses": lambda url: {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}],
    },
    "responses file": lambda url: {
        "input": [{"role": "user", "content": [{"type": "input_file", "file_url": url}]}],
    },
    "responses mcp": lambda url: {"tools": [{"type": "mcp", "server_label": "x", "server_url": url}]},
    "gemini": lambda url: {"contents": [{"parts": [{"fileData": {"fileUri": url, "mimeType": "image/png"}}]}]},
}


@pytest.mark.parametrize("case", NAMING)
def test_the_gateway_never_fetches_what_a_body_names(home: House, case: str) -> None:
    wire = case.split(" ", maxsplit=1)[0]
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        port = inside.getsockname()[1]
        for url in (
            f"http://127.0.0.1:{port}/x.png",
            f"http://localhost:{port}/x",
            f"http://[::ffff:127.0.0.1]:{port}/x",
        ):
            got = home.ask(wire, **NAMING[case](url))
            assert got.status in (200, 400), got
        with pytest.raises(BlockingIOError):
            inside.accept()
    home.assert_sound()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/realtime",
        "/v1/realtime?model=m",
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
    ],
)
def test_no_socket_is_opened_for_a_live_session(home: House, path: str) -> None:
    answer = home.tell(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
    assert home.provider.invoice()["requests"] == 0


UNMETERED = (
    "/v1/batches",
    "/v1/messages/batches",
    "/v1/files",
    "/v1/uploads",
    "/v1/assistants",
    "/v1/threads/runs",
    "/v1/fine_tuning/jobs",
    "/v1beta/cachedContents",
    "/v1beta/files",
    "/upload/v1beta/files",
    "/v1/videos",
    "/v1/audio/transcriptions",
    "/v1/images/generations",
    "/v1beta/models/m:batchEmbedContents",
)


def test_what_is_not_metered_is_not_served_under_any_prefix(home: House) -> None:
    for path in UNMETERED:
        for prefix in ("", "/openai", "/anthropic", "/gemini"):
            assert home.send("POST", prefix + path, body_of("openai")).status == 404
        assert home.provider.invoice()["requests"] == 0


def test_what_is_served_is_what_the_house_knows() -> None:
    """A wire that is new needs its place in all of these tests."""
    assert set(PATHS) == {"openai", "anthropic", "responses", "completions", "embeddings", "gemini"}


FILES = (
    "/index.html",
    "/static/app.js",
    "/static/../../etc/passwd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/..%5c..%5cwindows",
    "//server/share",
    "/favicon.ico",
    "/.env",
    "/bursar.db",
    "/bursar.db.pepper",
    "/bursar.yaml",
    "/.git/config",
)


def test_no_file_of_this_machine_is_served(home: House) -> None:
    """S56: there are no static files yet; whatever comes must not serve these."""
    for path in FILES:
        answer = home.tell(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=0-,0-,0-,0-\r\n\r\n".encode()
        )
        assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
        assert b"root:" not in answer and b"SQLite format" not in answer
