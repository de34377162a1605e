"""The two lists of headers, over anything that a client or a provider may write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.headers import CREDENTIALS
from bursar.core.provider import Auth, Provider
from bursar.upstream.headers import authorize, bare, down, up

HOP = {
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "content-length",
}
token = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
listed = st.sampled_from(
    ["authorization", "x-api-key", "user-agent", "x-stainless-os", "x-claude-code-x", *sorted(HOP)]
)
headers = st.dictionaries(
    st.one_of(token, listed), st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
)


@given(headers)
def test_nothing_of_the_hop_and_nothing_of_ours_goes_up(sent: dict[str, str]) -> None:
    passed = up(sent)
    assert not HOP & set(passed)
    assert not any(name.startswith("x-bursar-") for name in passed)
    assert set(passed.items()) <= set(sent.items())
    named = {word.strip().lower() for word in sent.get("connection", "").split(",")}
    assert not named & set(passed)


@given(headers)
def test_nothing_of_the_hop_comes_down(sent: dict[str, str]) -> None:
    pairs = [(name.title(), value) for name, value in sent.items()]
    passed = down(pairs)
    assert not HOP & {name for name, _ in passed}
    assert not any(name.startswith("x-bursar-") for name, _ in passed)
    assert all(name == name.lower() for name, _ in passed)


def test_connection_may_name_several_in_any_case() -> None:
    sent = {
        "connection": "X-Request-Id,  AUTHORIZATION ,,close",
        "x-request-id": "1",
        "authorization": "a",
        "accept": "b",
    }
    assert up(sent) == {"accept": "b"}
    pairs = [("Connection", "X-Hop"), ("Connection", "x-Two"), ("X-HOP", "1"), ("x-two", "2"), ("X-Three", "3")]
    assert down(pairs) == [("x-three", "3")]


def test_several_of_one_name_come_down() -> None:
    assert down([("Warning", "a"), ("warning", "b")]) == [("warning", "a"), ("warning", "b")]


OF_THE_CLIENT = {
    "authorization": "Bearer mine",
    "x-api-key": "mine",
    "api-key": "mine",
    "x-goog-api-key": "mine",
    "openai-organization": "mine",
    "openai-project": "mine",
    "x-bursar-key": "mine",
    "cookie": "mine",
}
PLAIN = {"user-agent": "sdk/1", "content-type": "application/json"}
WIRES = [
    "openai.chat",
    "openai.responses",
    "openai.embeddings",
    "openai.completions",
    "anthropic.messages",
    "gemini.generate",
]


def provider(auth: Auth | None = None, key: str = "ours", **more: object) -> Provider:
    return Provider("p", "https://x.example", tuple(WIRES), auth=auth, api_key=key, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (Auth.BEARER, "authorization", "Bearer ours"),
        (Auth.X_API_KEY, "x-api-key", "ours"),
        (Auth.API_KEY, "api-key", "ours"),
        (Auth.X_GOOG_API_KEY, "x-goog-api-key", "ours"),
    ],
)
def test_the_operators_key_stands_alone(auth: Auth, name: str, value: str, wire: str) -> None:
    headers = authorize(OF_THE_CLIENT | PLAIN, provider(auth), wire)
    assert headers == {**PLAIN, name: value}
    assert authorize(headers, provider(auth), wire) == headers  # Twice is as good as once.


@pytest.mark.parametrize("wire", WIRES)
def test_each_api_has_its_own_place_for_a_key(wire: str) -> None:
    family = wire.partition(".")[0]
    name = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}[family]
    assert set(authorize({}, provider(), wire)) == {name}


def test_without_the_operators_key_the_clients_own_passes() -> None:
    sent = up(OF_THE_CLIENT | PLAIN)
    passed = authorize(sent, provider(key=""), "openai.chat")
    assert set(passed) & CREDENTIALS == set(OF_THE_CLIENT) - {"x-bursar-key", "cookie"}


@pytest.mark.parametrize("key", ["", "ours"])
def test_a_provider_that_takes_no_key_is_shown_none(key: str) -> None:
    assert authorize(OF_THE_CLIENT | PLAIN, provider(Auth.NONE, key), "openai.chat") == PLAIN


def test_the_operators_headers_replace_the_clients() -> None:
    made = provider(headers=(("user-agent", "house"), ("http-referer", "https://house.example")))
    headers = authorize({"user-agent": "sdk/1"}, made, "openai.chat")
    assert headers == {
        "user-agent": "house",
        "http-referer": "https://house.example",
        "authorization": "Bearer ours",
    }


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-bursar-run", "host", "te", "proxy-x", "Big"])
def test_a_header_that_means_something_else_cannot_be_set(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be set"):
        provider(headers=((name, "x"),))


@given(headers, st.sampled_from(["bk_4711", "Bearer x"]), st.sampled_from(["{}", "Bearer {}", "a{}b", "{} {}"]))
def test_the_key_with_which_a_client_came_never_goes_up(sent: dict[str, str], secret: str, shape: str) -> None:
    named = {
        name: shape.replace("{}", secret) for name in ("authorization", "x-api-key", "user-agent", "x-stainless-a")
    }
    assert not any(secret in value for value in up({**sent, **named}, secret).values())
    assert set(up(named)) == set(named)


def test_what_is_bare_says_nothing_of_who_pays() -> None:
    assert bare(OF_THE_CLIENT | PLAIN) == PLAIN
