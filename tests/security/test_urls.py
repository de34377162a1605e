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
    assert status_of(home.tell(request("/v1/files", header))) == 404
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


# --- paths that name something ---------------------------------------------------------------------------------------

NAMED = {
    "gemini": "/v1beta/models/{}:generateContent",
    "gemini stream": "/v1beta/models/{}:streamGenerateContent?alt=sse",
    "gemini count": "/v1beta/models/{}:countTokens",
    "kept": "/v1/responses/{}",
    "cancel": "/v1/responses/{}/cancel",
    "items": "/v1/responses/{}/input_items",
    "model": "/v1/models/{}",
}
NO_NAME = [
    "",
    ".",
    "..",
    "%2e%2e",
    "../models/m",
    "..%2f..%2f_invoice",
    "%2f%2fevil.example",
    "a/b",
    "a%2fb",
    "a%252fb",
    "a\\b",
    "a%5cb",
    "a%00b",
    "a%0d%0aX-Injected:%20a",
    "a%20b",
    "a;b=c",
    "a%3fb",
    "a%23b",
    "a?key=x",
    "é",
    "%c3%a9",
    "-a",
    "_a",
    "a" * 300,
    "{model}",
    "$a",
    "a'OR'1'='1",
    "@evil.example",
]


def test_a_verb_within_a_models_name_is_no_verb(broke: House) -> None:
    """A colon stands before the verb and nowhere else, so that no two readers find another one."""
    for verb in ("generateContent:streamGenerateContent", "streamGenerateContent:generateContent"):
        assert broke.send("POST", f"/v1beta/models/m:{verb}?alt=sse", body_of("gemini")).status == 404
    assert broke.send("POST", "/v1beta/models/m:generateContent:countTokens", body_of("gemini")).status == 404
    assert broke.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("place", NAMED)
def test_what_is_no_name_in_a_path_reaches_no_provider(home: House, place: str) -> None:
    """A name becomes part of the path that goes up; nothing of it may be more than a name there."""
    for name in NO_NAME:
        for prefix in ("", "/openai", "/gemini"):
            method = "GET" if place in ("kept", "items", "model") else "POST"
            data = request(prefix + NAMED[place].format(name), method=method)
            data = data.replace(BODY, body_of("gemini")).replace(SIZE, SIZE_GEMINI)
            assert status_of(home.tell(data)) in (400, 404), name
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


SIZE = f"Content-Length: {len(BODY)}".encode()
SIZE_GEMINI = f"Content-Length: {len(body_of('gemini'))}".encode()


@pytest.mark.parametrize(
    "verb", ["", "GenerateContent", "generatecontent", "predict", "embedContent", "batchGenerateContent"]
)
def test_an_unlisted_verb_is_404(home: House, verb: str) -> None:
    assert home.send("POST", f"/v1beta/models/m:{verb}", body_of("gemini")).status == 404
    assert home.provider.invoice()["requests"] == 0


PREFIXES = [
    "",
    "/",
    "//",
    "/OPENAI",
    "/openai/",
    "/openai//",
    "/openai/..",
    "/%6fpenai",
    "/openai%2f",
    "/openai;a",
    "/nobody",
]


@pytest.mark.parametrize("is_broke", [True, False], ids=["broke", "with money"])
def test_an_odd_prefix_is_a_plain_one_or_nothing(home: House, broke: House, is_broke: bool) -> None:
    house = broke if is_broke else home
    for prefix in (*PREFIXES, "/openai", "/anthropic", "/gemini", "/openai/openai", "/openai/gemini", "/../openai"):
        before = house.provider.invoice()["requests"]
        status = status_of(house.tell(request(prefix + "/v1/chat/completions")))
        reached = house.provider.invoice()["requests"] - before
        assert status in ({400, 402, 404} if is_broke else {200, 400, 404}), prefix
        assert reached == (status == 200), prefix
    assert {one["path"] for one in house.provider.requests()} <= {PLAIN}
    assert len(house.holds()) == len(house.provider.requests())


def test_a_response_is_found_by_its_whole_id_alone(home: House) -> None:
    """S61: a part of an id, another case of it or a pattern is another id."""
    kept = home.ask("responses").json["id"]
    assert home.send("GET", f"/v1/responses/{kept}").status == 200
    before = home.provider.invoice()["requests"]
    for other in (kept[:-1], kept + "a", kept.upper(), kept[5:], "resp", "resp_", "resp_a", "0", "id"):
        assert home.send("GET", f"/v1/responses/{other}").status == 404
    assert home.provider.invoice()["requests"] == before
