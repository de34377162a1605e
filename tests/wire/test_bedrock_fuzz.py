"""Whatever comes as a request or as an answer of Bedrock's, nothing but what is meant is raised."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.errors import BadRequest, TooLarge, UpstreamFailed
from bursar.wire.base import Request
from bursar.wire.bedrock_common import Asked
from bursar.wire.bedrock_converse import BedrockConverse
from bursar.wire.bedrock_invoke import BedrockInvoke
from bursar.wire.event_stream import frame

ASKED = Asked("anthropic.claude-x-v1:0", is_stream=True)
WIRES = (BedrockConverse(ASKED), BedrockInvoke(ASKED))
NAMES = st.sampled_from(
    ["messages", "role", "content", "text", "image", "source", "bytes", "document", "format", "name", "toolResult",
     "toolUse", "input", "cachePoint", "ttl", "system", "inferenceConfig", "maxTokens", "toolConfig", "tools",
     "toolSpec", "additionalModelRequestFields", "thinking", "type", "budget_tokens", "serviceTier", "usage",
     "inputTokens", "outputTokens", "cacheDetails", "delta", "contentBlockIndex", "start", "stopReason", "output",
     "message", "reasoningContent", "anthropic_version", "max_tokens", "requestMetadata", "outputConfig"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-5, 10**10) | st.text(max_size=8) | st.floats(allow_nan=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)
KINDS = st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop",
                         "metadata", "chunk", ""])  # fmt: skip


def plain(wire: BedrockConverse | BedrockInvoke) -> Request:
    if isinstance(wire, BedrockConverse):
        return wire.parse(b'{"messages":[]}')
    return wire.parse(b'{"anthropic_version":"x","max_tokens":9,"messages":[]}')


@given(OBJECTS)
def test_a_body_is_read_or_refused(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    for wire in WIRES:
        with contextlib.suppress(BadRequest, TooLarge):
            request = wire.parse(raw)
            assert request.anatomy.total >= 0
            assert request.cap is None or request.cap_least <= request.cap
            json.loads(wire.encode(request, model=ASKED.model, cap=7))


@given(OBJECTS)
def test_an_answer_is_read_or_is_none(body: dict[str, Any]) -> None:
    for wire in WIRES:
        answer = wire.read_whole(plain(wire), json.dumps(body).encode())
        assert answer is None or answer.visible_tokens >= 0


@given(st.lists(st.tuples(KINDS, OBJECTS), max_size=8))
def test_a_stream_of_anything_passes_and_can_be_cut(events: list[tuple[str, dict[str, Any]]]) -> None:
    raw = b"".join(frame({":event-type": kind}, json.dumps(value).encode()) for kind, value in events)
    for wire in WIRES:
        reader = wire.reader(plain(wire))
        assert reader.feed(raw) == raw
        assert reader.answer().visible_tokens >= 0
        reader.cut(Usage(output_tokens=3))
        assert reader.is_finished


@given(st.binary(max_size=80))
def test_bytes_that_are_no_messages_are_damage(raw: bytes) -> None:
    for wire in WIRES:
        with contextlib.suppress(UpstreamFailed, TooLarge):
            reader = wire.reader(plain(wire))
            assert reader.feed(raw) + reader.rest() == raw
