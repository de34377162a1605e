"""A request that is signed already goes on as it is, and holds its own cap; what would have to change is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.errors import BadRequest
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Refusal, Wire
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_embeddings import OpenAIEmbeddings
from bursar.wire.signed import Signed

MESSAGES = [{"role": "user", "content": "hi"}]


def signed(wire: Wire, **body: Any) -> tuple[Signed, bytes]:
    raw = json.dumps({"model": "m", **body}, indent=2).encode()
    return Signed(wire, raw), raw


@pytest.mark.parametrize(
    ("inner", "body"),
    [
        (AnthropicMessages(), {"messages": MESSAGES, "max_tokens": 9_000, "stream": True}),
        (OpenAIChat(), {"messages": MESSAGES, "max_completion_tokens": 9_000, "stream": True}),
    ],
)
def test_the_bytes_stay_and_the_whole_cap_is_held(inner: Wire, body: dict[str, Any]) -> None:
    wire, raw = signed(inner, **body)
    request = wire.parse(raw)
    assert (request.cap, request.cap_least) == (9_000, 9_000)
    assert wire.encode(request, model="m", cap=4_000) == raw
    assert (wire.name, wire.path("m")) == (inner.name, inner.path("m"))
    assert wire.refusal(Refusal(402, "budget_exceeded", "no")) == inner.refusal(Refusal(402, "budget_exceeded", "no"))
    assert type(wire.reader(request)) is type(inner.reader(request))


def test_what_bills_no_output_needs_no_cap() -> None:
    wire, raw = signed(OpenAIEmbeddings(), input="hi")
    assert not wire.parse(raw).has_output


@pytest.mark.parametrize(
    ("inner", "body", "why"),
    [
        (OpenAIChat(), {"messages": MESSAGES}, "cap"),
        (AnthropicMessages(), {"messages": MESSAGES, "max_tokens": 9, "fallbacks": ["x"]}, "left out"),
    ],
)
def test_what_would_have_to_change_is_refused(inner: Wire, body: dict[str, Any], why: str) -> None:
    wire, raw = signed(inner, **body)
    with pytest.raises(BadRequest, match=why):
        wire.parse(raw)
