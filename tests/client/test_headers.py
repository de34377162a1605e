"""A request's headers: those that something reads are read; written anew, a request keeps all but what must change."""

from __future__ import annotations

import inspect
import re
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.identity.test_labels import SOURCES

from bursar.client import calls, exchange, heads, meter
from bursar.client.exchange import Exchange
from bursar.client.heads import headers_of
from bursar.client.kit import kit_of
from bursar.identity import labels
from bursar.identity.labels import labels_of
from bursar.wire import bedrock_common

URL = "https://api.openai.com/v1/chat/completions"
READING = re.compile(r"""headers(?:\.get\(|\[)f?"([^"]+)"|"([^"]+)"\s+(?:not\s+)?in\s+(?:\w+\.)?headers""")
"""How the code reads a header by its name."""
BEGINNINGS = {"authorization": "AWS4-HMAC-SHA256", "user-agent": "claude-cli/2.0"}
"""Headers that nearly every request has, and how they begin where they say anything."""
NAMES = ["user-agent", "x-stainless-lang", "accept", *{name for headers, _, _ in SOURCES for name in headers}]
texts = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
tokens = st.text("abcXYZ-", min_size=1, max_size=6)


def heard_in(request: Any) -> Any:
    return headers_of(request)[0]


def request_with(headers: Any, library: Any = httpx2) -> Any:
    return library.Request("POST", URL, headers=headers, content=b"{}")


@pytest.mark.parametrize(
    "module", [labels, calls, heads, meter, exchange, bedrock_common], ids=lambda module: str(module.__name__)
)
def test_whatever_the_code_reads_by_its_name_is_read(module: Any) -> None:
    for name in {one or other for one, other in READING.findall(inspect.getsource(module))}:
        value = BEGINNINGS.get(name, "here")
        assert heard_in(request_with({name.title(): value})) == {name: value}, name


def test_what_the_code_reads_by_its_name_is_found() -> None:
    assert READING.findall('headers.get("a", "") or headers["b"] or "c" in headers') == [
        ("a", ""),
        ("b", ""),
        ("", "c"),
    ]
    assert len(READING.findall(inspect.getsource(calls))) > 2 < len(READING.findall(inspect.getsource(labels)))


@given(st.dictionaries(st.sampled_from(NAMES), texts))
def test_the_labels_of_what_is_read_are_the_labels_of_all(headers: dict[str, str]) -> None:
    raw = [(name.upper().encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert labels_of(heard_in(request_with(raw)), {}) == labels_of(headers, {})


def test_of_a_header_that_comes_twice_the_last_counts() -> None:
    raw = [(b"X-Bursar-Agent", b"one"), (b"x-bursar-agent", b"two")]
    assert heard_in(request_with(raw)) == {"x-bursar-agent": "two"}


def test_what_nothing_reads_is_left_out() -> None:
    assert heard_in(request_with({"accept": "*/*", "x-api-key": "secret", "cookie": "secret"})) == {}


@pytest.mark.parametrize("library", [httpx, httpx2])
@given(
    pairs=st.lists(st.tuples(tokens, texts), max_size=5),
    is_chunked=st.booleans(),
    encoding=st.sampled_from(["", "latin-1"]),
)
def test_only_the_length_of_a_request_changes_in_its_headers(
    library: Any, pairs: list[tuple[str, str]], is_chunked: bool, encoding: str
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    request = request_with(raw + [(b"Transfer-Encoding", b"chunked")] * is_chunked, library)
    if encoding:
        request.headers.encoding = encoding
    was = list(request.headers.raw)
    sent = [_rewritten(library, request, is_read=is_read) for is_read in (False, True)]
    general, ordinary = (sorted((name.lower(), value) for name, value in each.headers.raw) for each in sent)
    kept = sorted((name.lower(), value) for name, value in was if not _is_about_length(name))
    assert ordinary == general == sorted([*kept, (b"content-length", b"9")])
    assert [each.headers.encoding for each in sent] == [request.headers.encoding] * 2
    assert request.headers.raw == was and request.content == b"{}", "the program's own request is as it was"


def _rewritten(library: Any, request: Any, *, is_read: bool) -> Any:
    made = Exchange(kit_of(library), None, request, request.read(), {})
    if is_read:
        made.headers, made.length_at = headers_of(request)
    sent = made.rewrite({}, b'{"n": 10}')
    assert sent.read() == b'{"n": 10}' and sent is not request
    return sent


def _is_about_length(name: bytes) -> bool:
    return name.lower() in (b"content-length", b"transfer-encoding")


def test_what_is_written_into_the_headers_replaces_the_programs_own() -> None:
    request = request_with({"Authorization": "Bearer theirs", "x-api-key": "theirs", "X-Own": "kept"})
    made = Exchange(kit_of(httpx2), None, request, b"{}", {})
    made.headers, made.length_at = headers_of(request)
    sent = made.rewrite({"authorization": "Bearer ours"}, b"{}")
    assert sent.headers.get_list("authorization") == ["Bearer ours"]
    assert "x-api-key" not in sent.headers and sent.headers["x-own"] == "kept"
    assert sent.headers.get_list("content-length") == ["2"]
