"""What is read in one go, because it is plain, is what the whole reading reads: a shortcut, never another answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest
from bursar.wire import anthropic_plain, anthropic_request, openai_request, responses_request
from bursar.wire.anthropic_request import VOLATILE_SYSTEM
from bursar.wire.base import Request
from bursar.wire.plain import _known_model, plain_model
from bursar.wire.strict_json import DEPTH_MAX, Parsed, parse_unwalked, parse_whole, walked
from bursar.wire.usage import _NotTold, _openai_usage, _plain_openai_usage

TEXTS = st.sampled_from(["", "a", "é", "€😀", "cache_control", '"', "gpt-4o", "x" * 300, "a-search-preview", "auto"])
SYSTEMS = TEXTS | st.just(f"{VOLATILE_SYSTEM}: 1")
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**31) | st.just(0.5) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["include_usage", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
ROLES: st.SearchStrategy[Any] = st.sampled_from(
    ["user", "user", "assistant", "assistant", "system", "developer", "tool", 1, None, "", []]
)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "text", "input_text", "output_text", "image", None]), "text": TEXTS},
    optional={"cache_control": st.just({"type": "ephemeral"})},
)
CONTENTS = TEXTS | st.lists(PARTS, max_size=2)
PLAIN_MESSAGES = st.fixed_dictionaries({"role": ROLES, "content": CONTENTS})
MESSAGES = st.fixed_dictionaries(
    {"role": ROLES, "content": CONTENTS | ODD}, optional={"name": TEXTS}
) | st.dictionaries(st.sampled_from(["role", "content", "type", "tool_calls"]), ODD, max_size=3)
ITEMS = st.lists(PLAIN_MESSAGES, max_size=5) | st.lists(MESSAGES, max_size=3) | ODD
CAPS = st.integers(1, 99)
FLAGS = frozenset({"store", "logprobs", "parallel_tool_calls"})
SCALARS: st.SearchStrategy[Any] = TEXTS | st.integers(0, 3) | st.just(0.5) | st.none()
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans() | st.none(),
    "stream_options": st.sampled_from([None, {}, {"include_usage": True}, {"include_usage": False}]),
    "max_tokens": CAPS,
    "max_completion_tokens": CAPS,
    "max_output_tokens": CAPS,
    "system": SYSTEMS,
    "instructions": SYSTEMS,
}
Reading = tuple[Callable[[str, Parsed], Request | None], Callable[[str, Parsed], Request], frozenset[str], str]
CHAT: Reading = (openai_request.read_plain, openai_request.read_request, openai_request.PLAIN, "messages")
RESPONSES: Reading = (responses_request.read_plain, responses_request.read_request, responses_request.PLAIN, "input")
MESSAGES_API: Reading = (
    anthropic_plain.read_plain,
    anthropic_request.read_request,
    anthropic_plain.PLAIN,
    "messages",
)
READINGS = [CHAT, RESPONSES, MESSAGES_API]


def bodies(reading: Reading) -> st.SearchStrategy[dict[str, Any]]:
    """Make bodies of which half are plain: in the others one value or message is not."""
    *_, plain, items = reading
    names = [*sorted(plain - {"model", items}), "n", "tools", "x"]
    kind = "input_text" if items == "input" else "text"
    text = TEXTS | st.lists(st.fixed_dictionaries({"type": st.just(kind), "text": TEXTS}), max_size=2)
    role = st.sampled_from(["user", "user", "assistant", "system" if "system" not in plain else "user"])
    turns = st.lists(st.fixed_dictionaries({"role": role, "content": text}), max_size=6)
    usual = {name: USUAL.get(name, st.booleans() if name in FLAGS else SCALARS) for name in plain - {"model", items}}
    ordinary = st.fixed_dictionaries({"model": st.sampled_from(["m", "gpt-é"]), items: turns}, optional=usual)
    spoilt: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.dictionaries(st.sampled_from(names), ODD, max_size=1)
    return st.builds(
        lambda body, more, other: {**body, **more, **other},
        ordinary,
        spoilt,
        st.just({}) | st.just({}) | st.fixed_dictionaries({}, optional={"model": TEXTS | ODD, items: ITEMS | TEXTS}),
    )


def compact(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def read(reading: Reading, raw: bytes) -> Request | str:
    try:
        return reading[1]("w", parse_whole(raw))
    except BadRequest as error:
        return error.message


@pytest.mark.parametrize("reading", READINGS)
@given(data=st.data(), is_spaced=st.booleans())
def test_a_request_that_is_plain_is_the_one_that_is_read_whole(
    reading: Reading, data: st.DataObject, is_spaced: bool
) -> None:
    body = data.draw(bodies(reading))
    raw = json.dumps(body).encode() if is_spaced else compact(body)
    try:
        plain: Request | str | None = reading[0]("w", parse_unwalked(raw, len(raw)))
    except BadRequest as error:
        plain = error.message
    assert plain is None or plain == read(reading, raw)


TURNS = [{"role": role, "content": f"{role} é"} for role in ("user", "assistant", "user", "user", "assistant")]
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
PART = [{"role": "user", "content": [{"type": "text", "text": "é" * 9}]}]


@pytest.mark.parametrize(
    ("reading", "more"),
    [
        (CHAT, {"messages": TURNS}),
        (CHAT, {"messages": [{"role": "system", "content": "s"}, *PART], "max_tokens": 9}),
        (CHAT, {"messages": TURNS, "max_completion_tokens": 9, "temperature": 0.5, "user": "ann"}),
        (CHAT, {"messages": TURNS, **STREAM, "stop": "end"}),
        (RESPONSES, {"input": "é"}),
        (RESPONSES, {"input": [{"role": "developer", "content": "s"}, *TURNS], "instructions": "be", "store": False}),
        (RESPONSES, {"input": PART, "stream": True, "max_output_tokens": 5, "user": "ann"}),
        (MESSAGES_API, {"messages": TURNS, "max_tokens": 9}),
        (MESSAGES_API, {"messages": PART, "max_tokens": 9, "system": "é", "stream": True, "temperature": 1}),
        (MESSAGES_API, {"messages": PART, "max_tokens": 9, "system": VOLATILE_SYSTEM}),
    ],
)
def test_ordinary_requests_are_plain(reading: Reading, more: dict[str, Any]) -> None:
    raw = compact({"model": "m", **more})
    plain = reading[0]("w", parse_unwalked(raw, len(raw)))
    assert plain is not None
    assert plain == read(reading, raw)


@pytest.mark.parametrize(
    ("reading", "name"), [(reading, name) for reading in READINGS for name in (*sorted(reading[2]), "x")]
)
def test_nothing_deep_is_plain(reading: Reading, name: str) -> None:
    deep: Any = 1
    for _ in range(DEPTH_MAX + 1):
        deep = [deep]
    message = {"role": "user", "content": "a" * 300}
    inside_items = ([{**message, "content": deep}], [{**message, "role": deep}], [{**message, "content": [deep]}])
    for inside in (
        deep,
        {"include_usage": deep},
        *inside_items,
        [{**message, "content": [{"type": "text", "text": deep}]}],
    ):
        body = {"model": "m", reading[3]: [message], "max_tokens": 0, name: inside}
        parsed = parse_unwalked(compact(body), 10_000)
        assert reading[0]("w", parsed) is None
        with pytest.raises(BadRequest, match="deeper than"):
            walked(parsed)


def test_names_of_models_are_remembered_within_bounds() -> None:
    for number in range(3_000):
        assert plain_model(f"m{number}") == f"m{number}"
    assert plain_model("x" * 256) is plain_model("x" * 256)
    assert [plain_model(name) for name in ("x" * 257, "", "a\n", 3, None, ["m"])] == [""] * 6
    assert _known_model.cache_info().currsize <= 1_024


COUNTS = st.none() | st.sampled_from([0, 0, 2, 2**63 - 1, 2**63, -1, True, False, 1.0, "", "1", [], {}])
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "audio_tokens", "reasoning_tokens", "cache_write_tokens", "other"]),
    st.just(0) | st.just(0) | st.integers(0, 3) | COUNTS,
    max_size=3,
)
TOLD = st.integers(0, 9) | st.integers(0, 9) | st.sampled_from([2**63 - 1, 2**63 + 1, -1])
USAGES = st.builds(
    lambda usage, more: {**usage, **more},
    st.fixed_dictionaries(
        {"prompt_tokens": TOLD, "completion_tokens": TOLD},
        optional={
            "total_tokens": st.integers(0, 20),
            "prompt_tokens_details": DETAILS,
            "completion_tokens_details": DETAILS,
        },
    ),
    st.just({})
    | st.dictionaries(
        st.sampled_from(
            [
                "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
                "completion_tokens_details", "cached_tokens", "prompt_cache_hit_tokens",
            ]
        ),
        COUNTS,
        max_size=1,
    ),
)  # fmt: skip


@given(raw=USAGES, searches=st.integers(0, 2))
def test_a_usage_that_is_plain_is_split_as_any_other(raw: dict[str, Any], searches: int) -> None:
    try:
        plain = _plain_openai_usage(raw, searches)
    except ValueError:
        with pytest.raises((_NotTold, ValueError)):
            _openai_usage(raw, searches)
        return
    assert plain is None or plain == _openai_usage(raw, searches)


def test_a_usage_whose_details_are_all_naught_is_plain() -> None:
    naught = {"cached_tokens": 0, "audio_tokens": None}
    raw = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": naught}
    assert _plain_openai_usage({**raw, "completion_tokens_details": {"reasoning_tokens": 0}}, 0) is not None
