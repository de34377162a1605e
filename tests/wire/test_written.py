"""What goes upstream is what `dump` writes of the body with its fields set, also where its own bytes are used again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Wire
from bursar.wire.notes import with_note
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_responses import OpenAICompact, OpenAIResponses
from bursar.wire.strict_json import dump_parsed, parse_whole
from bursar.wire.written import KEPT_BYTES_MAX, KEPT_BYTES_MIN, Canonical, kept, write_with

NAMES = st.sampled_from(["model", "n", "max_tokens", "stream_options", "é", 'a"b', "user"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = [{"role": "user", "content": 'say "hi"\n\u2028 é' + "x" * KEPT_BYTES_MIN}]
WIRES: list[tuple[Wire, dict[str, Any], str]] = [
    (OpenAIChat(), {"messages": MESSAGES}, "max_completion_tokens"),
    (OpenAIChat("max_tokens", takes_stream_options=False), {"messages": MESSAGES}, "max_tokens"),
    (OpenAIChat(), {"messages": MESSAGES, "max_tokens": 9}, "max_tokens"),
    (OpenAIChat(), {"messages": MESSAGES, "max_completion_tokens": None}, "max_completion_tokens"),
    (AnthropicMessages(), {"messages": MESSAGES, "max_tokens": 9}, "max_tokens"),
    (OpenAIResponses(), {"input": MESSAGES}, "max_output_tokens"),
    (OpenAIResponses(), {"input": MESSAGES, "max_output_tokens": 99}, "max_output_tokens"),
    (OpenAICompact(), {"input": MESSAGES}, ""),
]


def compact(value: object) -> bytes:
    """Write as the SDKs do."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@given(body=st.dictionaries(NAMES, VALUES, max_size=5), fields=st.dictionaries(NAMES, VALUES, max_size=4))
def test_setting_fields_gives_the_bytes_that_dumping_gives(body: dict[str, Any], fields: dict[str, Any]) -> None:
    raw = dump_parsed({"model": "m", **body})
    parsed = parse_whole(raw)
    expected = dump_parsed({**parsed.body, **fields})
    assert write_with(kept(parsed, parsed.body), fields) == expected
    canonical = Canonical(parsed.body)
    canonical.raw = raw
    assert write_with(canonical, fields) == expected


@pytest.mark.parametrize(("wire", "more", "cap_name"), WIRES)
@pytest.mark.parametrize("is_spaced", [False, True])
@pytest.mark.parametrize(("model", "cap"), [("m", None), ("m", 77), ("other", None), ("other", 77)])
def test_each_wire_writes_the_parsed_body_with_model_and_cap(
    wire: Wire, more: dict[str, Any], cap_name: str, is_spaced: bool, model: str, cap: int | None
) -> None:
    body = {"model": "m", **more}
    request = wire.parse(json.dumps(body).encode() if is_spaced else compact(body))
    expected = {**body, "model": model}
    if cap is not None and cap_name:
        expected[cap_name] = cap
    assert wire.encode(request, model=model, cap=cap) == compact(expected)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": 1, "x": 2}])
def test_a_stream_asks_for_its_usage_whatever_the_client_said_of_it(options: Any) -> None:
    wire, body = OpenAIChat(), {"model": "m", "messages": MESSAGES, "stream": True}
    if options is not None:
        body["stream_options"] = options
    written = json.loads(wire.encode(wire.parse(compact(body)), model="m", cap=None))
    assert written["stream_options"] == {**(options or {}), "include_usage": True}
    assert written["stream_options"]["include_usage"] is True


@pytest.mark.parametrize("wire", [OpenAIChat(), AnthropicMessages(), OpenAIResponses()])
def test_a_note_goes_upstream_although_the_bytes_were_kept(wire: Wire) -> None:
    items = "input" if isinstance(wire, OpenAIResponses) else "messages"
    request = wire.parse(compact({"model": "m", "max_tokens": 9, items: MESSAGES}))
    noted = with_note(request, "finish now")
    assert b"finish now" in wire.encode(noted, model="m", cap=None)
    assert b"finish now" not in wire.encode(request, model="m", cap=None)


def test_what_is_left_out_of_a_body_does_not_come_back_with_its_bytes() -> None:
    wire = AnthropicMessages()
    raw = compact({"model": "m", "max_tokens": 9, "messages": MESSAGES, "fallbacks": ["x"]})
    request = wire.parse(raw)
    assert request.dropped == ("fallbacks",)
    assert b"fallbacks" not in wire.encode(request, model="m", cap=None)


def test_bytes_are_kept_of_bodies_that_are_neither_small_nor_large() -> None:
    for size, is_kept in ((KEPT_BYTES_MIN - 100, False), (KEPT_BYTES_MIN, True), (KEPT_BYTES_MAX, False)):
        parsed = parse_whole(compact({"model": "m", "text": "x" * size}))
        assert isinstance(kept(parsed, parsed.body), Canonical) is (is_kept and parsed.is_canonical)
