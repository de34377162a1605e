"""The table of routes is all there is: what is billable holds, what is free writes nothing, the rest is 404."""

from __future__ import annotations

import pytest
from tests.gateway.house import Got, House, body_of

from bursar.gateway.routes import COMPACT, ROUTES, Route

BODIES = {
    "openai.chat": "openai",
    "openai.responses": "responses",
    "openai.embeddings": "embeddings",
    "openai.completions": "completions",
    "anthropic.messages": "anthropic",
    "gemini.generate": "gemini",
}
"""The name of each wire's body in the house; a wire without one here is a new one, and belongs here."""
BILLABLE = [route for route in ROUTES if route.is_billable]
FREE = [route for route in ROUTES if not route.is_billable and not route.is_owned]
OWNED = [route for route in ROUTES if route.is_owned]
STREAMING = [
    route for route in BILLABLE if route.wire not in ("openai.embeddings", "gemini.generate") and route.path != COMPACT
]
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def name_of(route: Route) -> str:
    return f"{route.method} {route.path} {route.wire}"


def headers_of(route: Route) -> dict[str, str]:
    """Say which API is meant, as its SDK does."""
    if route.wire.startswith("gemini"):
        return {"x-goog-api-key": "k"}
    return ANTHROPIC if route.wire.startswith("anthropic") else {}


def path_of(route: Route) -> str:
    path = route.path.replace("{model}", "m").replace("{version}", "v1beta")
    return f"{path}?alt=sse" if route.is_stream else path


def body_for(route: Route) -> bytes:
    return body_of(BODIES[route.wire]) if route.method == "POST" else b""


@pytest.mark.parametrize("prefix", ["", "/openai", "/anthropic", "/gemini"])
@pytest.mark.parametrize("route", BILLABLE, ids=name_of)
def test_a_billable_route_reaches_no_provider_without_money(broke: House, route: Route, prefix: str) -> None:
    got = broke.send(route.method, prefix + path_of(route), body_for(route), headers_of(route))
    assert_refused(broke, got)


@pytest.mark.parametrize("route", STREAMING, ids=name_of)
def test_a_stream_reaches_no_provider_without_money(broke: House, route: Route) -> None:
    body = body_for(route)[:-1] + b', "stream": true}'
    assert_refused(broke, broke.send(route.method, route.path, body, headers_of(route)))


def assert_refused(broke: House, got: Got) -> None:
    assert got.status == 402
    assert got.headers["x-should-retry"] == "false"
    assert broke.provider.invoice()["requests"] == 0
    assert broke.holds() == []


@pytest.mark.parametrize("route", BILLABLE, ids=name_of)
def test_a_billable_route_holds_and_settles(home: House, route: Route) -> None:
    got = home.send(route.method, path_of(route), body_for(route), headers_of(route))
    assert got.status == 200
    (row,) = home.holds()
    assert row.id == got.headers["x-bursar-call"]
    assert home.assert_sound().settled == home.invoice_nano() > 0


@pytest.mark.parametrize("route", FREE, ids=name_of)
def test_a_free_route_is_answered_by_the_provider_and_costs_nothing(broke: House, route: Route) -> None:
    got = broke.send(route.method, path_of(route), body_for(route), headers_of(route))
    assert got.status == 200
    assert got.json
    (seen,) = broke.provider.requests()
    assert (seen["method"], seen["path"]) == (route.method, path_of(route))
    assert broke.provider.invoice()["billed"] == 0
    assert broke.holds() == []


def test_only_these_routes_are_declared_free() -> None:
    """Another free route needs a reason here: what a provider may bill has to be held."""
    assert {(route.method, route.path) for route in FREE} == {
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/responses/input_tokens"),
        ("POST", "/{version}/models/{model}:countTokens"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model}"),
        ("GET", "/v1beta/models"),
        ("GET", "/{version}/models/{model}"),
    }


@pytest.mark.parametrize("wire", sorted({route.wire for route in ROUTES}))
def test_every_wire_has_a_billable_route(wire: str) -> None:
    assert any(route.wire == wire for route in BILLABLE)


ELSEWHERE = [
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/realtime"),
    ("POST", "/v1/realtime/sessions"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/messages/batches"),
    ("POST", "/v1/files"),
    ("GET", "/v1/files"),
    ("POST", "/v1/uploads"),
    ("POST", "/v1/assistants"),
    ("POST", "/v1/threads/runs"),
    ("POST", "/v1/vector_stores"),
    ("POST", "/v1/fine_tuning/jobs"),
    ("POST", "/v1/conversations"),
    ("POST", "/v1/complete"),
    ("POST", "/v1/moderations"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/videos"),
    ("POST", "/v1/evals"),
    ("POST", "/v1/containers"),
    ("POST", "/v1/skills"),
    ("POST", "/v1/rerank"),
    ("GET", "/v1/organization/costs"),
    ("POST", "/openai/deployments/gpt-4o/chat/completions"),
    ("POST", "/model/anthropic.claude/invoke"),
    ("POST", "/chat/completions"),
    ("POST", "/messages"),
    ("DELETE", "/v1/models/m"),
    ("POST", "/v1beta/models/gemini-2.5-pro:batchGenerateContent"),
    ("POST", "/v1beta/models/a/b:generateContent"),
    ("POST", "/v1beta/models/m:generateContent:countTokens"),
    ("POST", "/v1beta/models/m:countTokens:generateContent"),
    ("POST", "/v1beta/cachedContents"),
    ("POST", "/v1beta/tunedModels/m:generateContent"),
    ("POST", "/nobody/v1/chat/completions"),
    ("POST", "/openai/openai/v1/chat/completions"),
    ("POST", "/openai/chat/completions"),
    ("PATCH", "/v1/responses/resp_1"),
    ("GET", "/v1/responses"),
    ("GET", "/v1/responses/a/b"),
    ("GET", "/_invoice"),
    ("PUT", "/_scripts/m"),
    *((method, "/v1/chat/completions") for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")),
    *((method, "/v1/messages") for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")),
    *((method, "/v1/models") for method in ("POST", "PUT", "DELETE", "OPTIONS")),
]


def test_every_other_path_is_404_in_json_and_reaches_nobody(home: House) -> None:
    for method, path in ELSEWHERE:
        got = home.send(method, path, body_of("openai"), {"content-type": "application/json"})
        assert (method, path, got.status) == (method, path, 404)
        assert got.headers["content-type"] == "application/json"
        assert path in got.message
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


def test_a_404_has_the_shape_of_the_api_that_the_client_speaks(home: House) -> None:
    assert home.send("POST", "/v1/files").json["error"]["code"] == "not_found"
    assert home.send("POST", "/v1/files", headers=ANTHROPIC).json["error"]["type"] == "not_found_error"


def test_head_of_a_route_is_404_without_a_body(home: House) -> None:
    got = home.send("HEAD", "/v1/models")
    assert (got.status, got.body) == (404, b"")


def test_a_websocket_is_not_accepted(home: House) -> None:
    answer = home.tell(
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_both_versions_of_the_gemini_api_go_on_as_they_came(home: House) -> None:
    for version in ("v1", "v1beta"):
        path = f"/{version}/models/m:generateContent"
        assert home.send("POST", path, body_of("gemini")).status == 200
        assert home.provider.requests()[-1]["path"] == path
    assert home.send("POST", "/v2/models/m:generateContent", body_of("gemini")).status == 404
    assert "models" in home.send("GET", "/v1/models", headers={"x-goog-api-key": "k"}).json


def test_which_models_are_listed_follows_the_api_that_the_client_speaks(home: House) -> None:
    assert home.send("GET", "/v1/models").json["object"] == "list"
    assert "has_more" in home.send("GET", "/v1/models?limit=5", headers=ANTHROPIC).json
    assert home.provider.requests()[-1]["query"] == "limit=5"


def test_tokens_are_counted_by_the_provider_that_the_model_names(home: House) -> None:
    got = home.send("POST", "/v1/messages/count_tokens", body_of("anthropic", model="anthropic/m"), ANTHROPIC)
    assert got.json == {"input_tokens": 10}
    assert '"model":"m"' in home.provider.requests()[-1]["body"]
    got = home.send("POST", "/v1/messages/count_tokens", b'{"model":"a","model":"b","messages":[]}', ANTHROPIC)
    assert got.status == 400


@pytest.mark.parametrize("query", ["a=b", "beta=true&key=x", "&".join(f"a{n}=1" for n in range(50)), "beta=true&beta"])
def test_an_unknown_query_is_refused(home: House, query: str) -> None:
    got = home.send("POST", f"/v1/chat/completions?{query}", body_of("openai"))
    assert got.status == 400
    assert home.provider.invoice()["requests"] == 0


def test_a_known_query_goes_upstream(home: House) -> None:
    assert home.send("POST", "/v1/messages?beta=true", body_of("anthropic")).status == 200
    assert home.provider.requests()[-1]["query"] == "beta=true"
