"""S10: however a target is written, it is the plain path or 404; never a call without a hold."""

from __future__ import annotations

import pytest
from tests.gateway.house import House, body_of, status_of

BODY = body_of("openai")
PLAIN = "/v1/chat/completions"
ODD = [
    "//v1/chat/completions",
    "/v1//chat/completions",
    "///v1/chat/completions",
    "/v1/chat/completions/",
    "/v1/chat/completions.",
    "/v1/chat/completions/.",
    "/v1/chat/./completions",
    "/./v1/chat/completions",
    "/v1/x/../chat/completions",
    "/v1/x/%2e%2e/chat/completions",
    "/v1/x/%2E%2E%2Fchat/completions",
    "/v1/%63hat/completions",
    "/v1%2fchat%2fcompletions",
    "/v1%252fchat%252fcompletions",
    "/v1/chat/completions%2f",
    "/v1/chat/completions%00",
    "/v1/chat/completions%20",
    "/v1/chat/completions%",
    "/v1/chat/completions%zz",
    "/v1/chat/completions%0d%0aX-Injected:%20a",
    "/v1/chat/completions;a=b",
    "/v1;a=b/chat/completions",
    "/v1/chat/completions%3fa=b",
    "/v1/chat/completions#fragment",
    "/v1/chat/completions?",
    "/V1/chat/completions",
    "/v1/Chat/Completions",
    "/v1\\chat\\completions",
    "http://evil.example/v1/chat/completions",
    "http://evil.example:80@gateway/v1/chat/completions",
    "https://evil.example/v1/chat/completions",
    "HTTP://EVIL.EXAMPLE/v1/chat/completions",
    "http://evil.example/_invoice",
    "*",
    "/../../../v1/chat/completions",
    "/v1/chat/completions/../../../_invoice",
    "/v1/chat/completions@evil.example",
    "/@evil.example/v1/chat/completions",
    "/v1/ｃhat/completions",
    "v1/chat/completions",
    "/",
]


def request(target: str, *more: str, method: str = "POST") -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(BODY)}", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + BODY


@pytest.mark.parametrize("is_broke", [True, False], ids=["broke", "with money"])
def test_an_odd_target_is_the_plain_path_or_nothing(home: House, broke: House, is_broke: bool) -> None:
    house = broke if is_broke else home
    for target in ODD:
        before = house.provider.invoice()["requests"]
        status = status_of(house.tell(request(target)))
        reached = house.provider.invoice()["requests"] - before
        assert status in ({400, 402, 404} if is_broke else {200, 400, 404}), target
        assert reached == (status == 200), target
    seen = house.provider.requests()
    assert {one["path"] for one in seen} <= {PLAIN}
    assert len(house.holds()) == len(seen)
    house.assert_sound()


def test_an_absolute_target_never_chooses_the_upstream(home: House) -> None:
    answer = home.tell(request("http://evil.example/v1/chat/completions"))
    assert status_of(answer) == 200
    (host,) = [value for name, value in home.provider.requests()[0]["headers"] if name == "host"]
    assert host == home.provider.url.removeprefix("http://")


@pytest.mark.parametrize(
    "header",
    [
        "X-HTTP-Method-Override: POST",
        "X-HTTP-Method: POST",
        "X-Method-Override: POST",
        "X-Original-URL: /v1/chat/completions",
        "X-Rewrite-URL: /v1/chat/completions",
        "X-Forwarded-Prefix: /v1/chat/completions",
        "X-Forwarded-Path: /v1/chat/completions",
    ],
)
def test_no_header_changes_method_or_path(home: House, header: str) -> None:
    assert status_of(home.tell(request("/v1/chat/completions", header, method="GET"))) == 404
    assert status_of(home.tell(request("/v1/embeddings", header))) == 404
    assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize(
    "host", ["a/?#", "evil.example", "", "[::1", "127.0.0.1:99999", "x x", "a@b", "é".encode().decode("latin-1")]
)
def test_the_host_header_decides_nothing(home: House, host: str) -> None:
    status = status_of(
        home.tell(request("/v1/chat/completions").replace(b"Host: x", b"Host: " + host.encode("latin-1")))
    )
    assert status in (200, 400)
    for seen in home.provider.requests():
        assert ["host", home.provider.url.removeprefix("http://")] in seen["headers"]


def test_connect_is_no_tunnel(home: House) -> None:
    assert status_of(home.tell(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")) == 400
