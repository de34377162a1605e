"""A body is read alike however it was written: what is known of canonical bytes is a shortcut, never another answer."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.anatomy import shape_key
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Request, Wire
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.strict_json import parse_whole

CONTROLS = st.sampled_from(
    [
        None,
        {"type": "ephemeral"},
        {"type": "ephemeral", "ttl": "1h"},
        {"ttl": "1h", "type": "ephemeral"},
        {"type": "ephemeral", "ttl": "5m"},
        {"type": "ephemeral", "note": {"a": "1h"}},
        {"type": "ephemeral", "note": "1h"},
        "cache_control",
        {},
    ]
)
KEYS = st.sampled_from(["cache_control", "prompt_cache_options", "prompt_cache_breakpoint", "cache", "x", 'x"'])
TEXTS = st.sampled_from(["cache_control", '"cache_control":', "\\u0063ache_control", "a\\u0061", "é\n", "_cache", ""])
EXTRA = st.recursive(
    TEXTS | CONTROLS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner | CONTROLS, max_size=2),
    max_leaves=5,
)
WIRES: list[tuple[Wire, str]] = [(OpenAIChat(), "messages"), (AnthropicMessages(), "messages")]
WIRES.append((OpenAIResponses(), "input"))


def told(request: Request) -> dict[str, Any]:
    return {each.name: getattr(request, each.name) for each in fields(request)}


@pytest.mark.parametrize(("wire", "items"), WIRES)
@given(text=TEXTS, extra=EXTRA, part=st.dictionaries(KEYS, CONTROLS, max_size=2))
def test_spaces_and_escapes_between_names_change_nothing(
    wire: Wire, items: str, text: str, extra: Any, part: dict[str, Any]
) -> None:
    content = [{"type": "text" if items == "messages" else "input_text", "text": text, **part}]
    body = {"model": "m", "max_tokens": 9, items: [{"role": "user", "content": content}], "extra": extra}
    canonical = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    spaced, escaped = json.dumps(body).encode(), canonical.replace(b'"cache_c', b'"\\u0063ache_c')
    found = told(wire.parse(canonical))
    assert told(wire.parse(spaced)) == found
    assert told(wire.parse(escaped)) == found
    assert not parse_whole(spaced).is_canonical


def test_a_word_that_is_no_lifetime_is_none_whatever_the_texts_hold() -> None:
    odd = {"type": "text", "text": "\\u0061", "cache_control": {"type": "ephemeral", "note": "1h"}}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [odd]}]}
    found = AnthropicMessages().parse(json.dumps(body, separators=(",", ":")).encode())
    assert (found.has_cache_write, found.has_cache_write_1h) == (True, False)


@pytest.mark.parametrize(
    ("control", "lifetimes"),
    [
        ({"type": "ephemeral", "note": "1h"}, (True, False)),
        ({"note": "a}", "ttl": "1h"}, (False, True)),
        ({"note": "{", "ttl": "5m"}, (True, False)),
    ],
)
def test_a_lifetime_is_what_stands_under_its_name(control: dict[str, str], lifetimes: tuple[bool, bool]) -> None:
    block = {"type": "text", "text": '"cache_control":', "cache_control": control}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]}
    canonical = json.dumps(body, separators=(",", ":")).encode()
    escaped = canonical.replace(b'"cache_c', b'"\\u0063ache_c')
    for raw in (canonical, json.dumps(body).encode(), escaped):
        found = AnthropicMessages().parse(raw)
        assert (found.has_cache_write, found.has_cache_write_1h) == lifetimes


def test_bytes_are_canonical_only_where_they_are_what_would_be_written() -> None:
    assert not parse_whole(b'{"a": 1}').is_canonical
    assert not parse_whole(b'{"a":"\\u0061"}').is_canonical
    assert not parse_whole(b'{"a":1e0}').is_canonical


def test_a_shape_has_the_same_key_when_another_of_its_sizes_came_between() -> None:
    first, second = shape_key("system", b"tools", b""), shape_key("sYstem", b"tools", b"")
    assert first != second
    assert [shape_key("system", b"tools", b""), shape_key("sYstem", b"tools", b"")] == [first, second]
    assert shape_key("systemt", b"ools", b"") != first
    assert [shape_key("ä" * 9), shape_key(b"\xc3\xa4" * 9)] == ["aa1528fdc24ad2ec", "aa1528fdc24ad2ec"]


def test_shapes_beyond_those_that_are_remembered_keep_their_keys() -> None:
    sizes = [*range(200), 70_000]
    keys = [shape_key("x" * size) for size in sizes]
    assert len(set(keys)) == len(sizes)
    assert [shape_key("x" * size) for size in sizes] == keys
