"""Heads of requests, mutated, over plain sockets to a running gateway: an answer of HTTP, or a closed connection."""

from __future__ import annotations

import contextlib
import logging
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Self

from tests.gateway.house import PATHS, House, body_of, house, usd
from tests.security.fuzzed.bodies import _Failures
from tests.security.fuzzed.mutate import broken_bytes

from bursar.config.settings import Limits
from bursar.core.money import AMOUNT_MAX

__all__ = ["HeadFuzz"]

ANSWER_S = 20.0
OPEN_S = 0.2
QUICK = Limits(headers_s=0.05, body_s=0.05)
ALLOWED = frozenset({0, 200, 400, 402, 404, 405, 408, 413, 431, 502, 503})
METHODS = (
    *["POST"] * 12,
    "GET",
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PRI",
    "post",
    "P OST",
    "",
)
TARGETS = (
    *PATHS.values(),
    "/v1/models",
    "/v1/models/m",
    "/v1/responses/resp_1",
    "/v1/responses/a/b",
    "/healthz",
    "/metrics",
    "*",
    "",
    "/v1beta/models/../m:generateContent",
    "//",
    "http://x/v1/models",
    "/%00",
    "/é",
    "/v1/models?limit=5",
    "/openai/v1/models",
    "/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
    "/v1/responses/" + "a" * 300,
    "?",
    "#",
    "/api/budgets",
)
VERSIONS = (*["HTTP/1.1"] * 12, "HTTP/1.0", "HTTP/2", "HTTP/1.9", "HTCPCP/1.0", "")
HEADERS = (
    "Content-Type: application/json",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Content-Encoding: gzip",
    "Expect: 100-continue",
    "Connection: keep-alive, x-a",
    "Upgrade: h2c",
    "Origin: null",
    "Origin: http://localhost",
    "x-api-key: k",
    "Authorization: Bearer k",
    "Authorization:",
    "x-bursar-key: \x00",
    "x-bursar-agent: é",
    "baggage: a=b,%,user.id=%ff",
    "Trailer: a",
    'x-codex-turn-metadata: {"a":',
    'x-portkey-metadata: {"_user":"a\\ud800"}',
    "x-bursar-tags: ,=,a=",
    "anthropic-version: 1",
    "Cookie: a=b",
    "Range: bytes=0-",
    "X" * 300 + ": y",
    ": y",
    "a b: c",
    " folded: x",
    "Host: a",
    "Content-Length: 5",
    "x-goog-api-key:",
)


class HeadFuzz:
    """Open a gateway; `check` sends it one request and reads until it closes."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._failures = _Failures()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._home: House = self._stack.enter_context(house(folder, [usd(AMOUNT_MAX)], limits=QUICK))
        for name in ("bursar", "uvicorn", "asyncio"):
            logging.getLogger(name).addHandler(self._failures)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("bursar", "uvicorn", "asyncio"):
            logging.getLogger(name).removeHandler(self._failures)
        try:
            assert self._home.ask().status == 200, "it serves others no more"
            self._home.assert_sound()
        finally:
            self._stack.close()

    def check(self, random: Random) -> str:
        """Send one request whose head is nearly right."""
        answer = self._tell(_request(random))
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
        assert status in ALLOWED, answer[:300]
        assert status or not answer, answer[:300]
        assert not self._failures.found, self._failures.taken()
        return f"heads: {status or 'closed'}"

    def _tell(self, data: bytes) -> bytes:
        """Send bytes and read the answer; its end is not waited for where the connection was asked to stay open."""
        with socket.create_connection(self._home.address, timeout=ANSWER_S) as sock:
            pieces = []
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
                try:
                    while piece := sock.recv(65_536):
                        pieces.append(piece)
                        sock.settimeout(OPEN_S)
                except TimeoutError:
                    assert pieces, "no answer, and the connection stays open"
            return b"".join(pieces)


def _request(random: Random) -> bytes:
    wire = random.choice(tuple(PATHS))
    body = body_of(wire)
    target = PATHS[wire] if random.random() < 0.5 else random.choice(TARGETS)
    lines = [f"{random.choice(METHODS)} {target} {random.choice(VERSIONS)}", "Host: x"]
    lines += random.sample(HEADERS, random.randrange(3))
    lines += [f"Content-Length: {len(body)}"] if random.random() < 0.8 else []
    lines += ["Connection: close"]
    end = "\r\n" if random.random() < 0.9 else random.choice(("\n", "\r", "\r\n "))
    data = end.join(lines).encode("utf-8", "replace") + end.encode() * 2 + body
    return broken_bytes(random, data) if random.random() < 0.3 else data
