"""S29: a tenant that floods has its share of a process and no more; others are served meanwhile."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.gateway.house import PATHS, House, body_of, house, status_of, until, usd
from tests.gateway.keyed import bearer, give_key

from bursar.config.settings import KeyPolicy, Limits
from bursar.core.control import EVERY_TENANT
from bursar.errors import Contended
from bursar.gateway.shares import Shares
from bursar.testing import Script

FEW = Limits(calls_per_tenant_max=3)
SLOW = {"slow": Script(output_tokens=100, first_byte_s=60)}


def asking(home: House, token: str) -> socket.socket:
    body = body_of("openai", model="slow", max_tokens=100)
    head = f"POST {PATHS['openai']} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}"
    return home.raw(head.encode() + b"\r\n\r\n" + body)


def test_a_tenant_that_floods_keeps_nobody_else_out(tmp_path: Path) -> None:
    budgets = [usd(tenant=EVERY_TENANT)]
    with house(tmp_path, budgets, scripts=SLOW, limits=FEW, keys=KeyPolicy.REQUIRED, grace_s=0.2) as home:
        _, flooding = give_key(home, tenant="flooding")
        _, quiet = give_key(home, tenant="quiet")
        until(lambda: home.ask(headers=bearer(quiet)).status == 200)
        socks = [asking(home, flooding) for _ in range(3)]
        home.provider.wait(open_calls=3)
        for wire in ("openai", "anthropic", "gemini"):
            got = home.ask(wire, headers=bearer(flooding))
            assert got.status == 429
            assert got.headers["retry-after"] == "1"
            assert "rate limit" not in got.message.lower() and "429" not in got.message
        assert status_of(asking(home, flooding).recv(65_536)) == 429
        for _ in range(10):
            assert home.ask(headers=bearer(quiet)).status == 200
        assert all(sock.fileno() > 0 for sock in socks)
        assert home.balance(tenant="quiet").settled > 0


def test_a_place_is_free_again_when_its_call_ends_however_it_ends(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], limits=Limits(calls_per_tenant_max=1)) as home:
        for _ in range(3):
            home.ask(stream=True)
            until(lambda: home.ask().status == 200)
            until(lambda: home.send("POST", "/v1/chat/completions", b"{").status == 400)
            home.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").close()
            until(lambda: home.send("GET", "/v1/models").status == 200)
            assert home.send("GET", "/nowhere").status == 404


def test_shares_are_counted_for_each_tenant_alone() -> None:
    shares = Shares(1)
    shares.take("a")
    shares.take("b")
    for tenant in "ab":
        with pytest.raises(Contended):
            shares.take(tenant)
    shares.give_back("a")
    shares.take("a")
    shares.give_back("a")
    shares.give_back("b")
    assert not shares._in_flight, "a tenant without calls is forgotten"
