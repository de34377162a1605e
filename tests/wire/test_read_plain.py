"""What is read in one go, because it is plain, is what the whole reading reads: a shortcut, never another answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest
from bursar.wire.base import Request
from bursar.wire.openai_request import PLAIN, read_plain, read_request
from bursar.wire.strict_json import DEPTH_MAX, check_depth, parse_unwalked, parse_whole
from bursar.wire.usage import _openai_usage, _plain_openai_usage

TEXTS = st.sampled_from(["", "a", "é", "€😀", "cache_control", '"', "gpt-4o", "x" * 300, "a-search-preview", "auto"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**31) | st.just(0.5) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["include_usage", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
ROLES: st.SearchStrategy[Any] = st.sampled_from(
    ["user", "user", "assistant", "system", "developer", "tool", 1, None, "", []]
)
MESSAGES = st.fixed_dictionaries({"role": ROLES, "content": TEXTS}, optional={"name": TEXTS}) | st.dictionaries(
    st.sampled_from(["role", "content", "tool_calls"]), ODD, max_size=3
)
PLAIN_MESSAGES = st.fixed_dictionaries({"role": ROLES, "content": TEXTS})
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans() | st.none(),
    "stream_options": st.sampled_from([None, {}, {"include_usage": True}, {"include_usage": False}]),
    "max_tokens": st.none() | st.integers(1, 9),
    "max_completion_tokens": st.none() | st.integers(1, 9),
}
BODIES = st.fixed_dictionaries(
    {"model": TEXTS | ODD, "messages": st.lists(PLAIN_MESSAGES, max_size=5) | st.lists(MESSAGES, max_size=3) | ODD},
    optional={
        name: USUAL.get(name, TEXTS) | ODD for name in [*sorted(PLAIN - {"model", "messages"}), "n", "tools", "x"]
    },
)


def compact(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def read(raw: bytes) -> Request | str:
    try:
        return read_request("w", parse_whole(raw))
    except BadRequest as error:
        return error.message


@given(body=BODIES, is_spaced=st.booleans())
def test_a_chat_request_that_is_plain_is_the_one_that_is_read_whole(body: dict[str, Any], is_spaced: bool) -> None:
    raw = json.dumps(body).encode() if is_spaced else compact(body)
    try:
        plain: Request | str | None = read_plain("w", parse_unwalked(raw, len(raw)))
    except BadRequest as error:
        plain = error.message
    assert plain is None or plain == read(raw)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"max_tokens": 9},
        {"max_completion_tokens": 9, "temperature": 0.5, "user": "ann"},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stop": "end"},
    ],
)
def test_ordinary_chat_requests_are_plain(more: dict[str, Any]) -> None:
    turns = [{"role": role, "content": f"{role} é"} for role in ("system", "user", "assistant", "user", "user")]
    raw = compact({"model": "m", "messages": turns, **more})
    plain = read_plain("w", parse_unwalked(raw, len(raw)))
    assert plain is not None
    assert plain == read(raw)


@pytest.mark.parametrize("name", [*sorted(PLAIN), "x"])
def test_nothing_deep_is_plain(name: str) -> None:
    deep: Any = 1
    for _ in range(DEPTH_MAX + 1):
        deep = [deep]
    for inside in (deep, {"include_usage": deep}, [{"role": "user", "content": deep}], [{"role": deep, "content": ""}]):
        body = {"model": "m", "messages": [{"role": "user", "content": "a" * 300}], name: inside}
        parsed = parse_unwalked(compact(body), 10_000)
        assert read_plain("w", parsed) is None
        with pytest.raises(BadRequest, match="deeper than"):
            check_depth(parsed)


COUNTS = (
    st.none() | st.integers(0, 9) | st.sampled_from([0, 0, 2**63 - 1, 2**63, -1, True, False, 1.0, "", "1", [], {}])
)
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "audio_tokens", "reasoning_tokens", "cache_write_tokens", "other"]),
    st.just(0) | COUNTS,
    max_size=3,
)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 9) | COUNTS, "completion_tokens": st.integers(0, 9) | COUNTS},
    optional={
        "total_tokens": st.integers(0, 20) | COUNTS,
        "prompt_tokens_details": DETAILS | COUNTS,
        "completion_tokens_details": DETAILS | COUNTS,
        "cached_tokens": COUNTS,
        "prompt_cache_hit_tokens": COUNTS,
    },
)


@given(raw=USAGES, searches=st.integers(0, 2))
def test_a_usage_that_is_plain_is_split_as_any_other(raw: dict[str, Any], searches: int) -> None:
    plain = _plain_openai_usage(raw, searches)
    assert plain is None or plain == _openai_usage(raw, searches)


def test_a_usage_whose_details_are_all_naught_is_plain() -> None:
    naught = {"cached_tokens": 0, "audio_tokens": None}
    raw = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": naught}
    assert _plain_openai_usage({**raw, "completion_tokens_details": {"reasoning_tokens": 0}}, 0) is not None
