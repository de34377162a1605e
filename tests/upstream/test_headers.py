"""The two lists of headers, over anything that a client or a provider may write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bursar.upstream.headers import down, up

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
