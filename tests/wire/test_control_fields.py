"""S15: where a call goes, who pays and who is told of it is never the body's to say, on any wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.errors import BadRequest
from bursar.wire.fields import CONTROL_FIELDS
from bursar.wire.gemini_generate import GeminiGenerate
from bursar.wiring.wires import Wires

WIRES = Wires(2**20)
TURNS = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "openai.chat": {"model": "m", "messages": TURNS},
    "openai.responses": {"model": "m", "input": "hello"},
    "openai.embeddings": {"model": "m", "input": "hello"},
    "openai.completions": {"model": "m", "prompt": "hello"},
    "anthropic.messages": {"model": "m", "messages": TURNS, "max_tokens": 10},
    "gemini.generate": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}
NAMED = {
    "base_url",
    "api_base",
    "api_key",
    "organization",
    "extra_headers",
    "callbacks",
    "mock_response",
}


def parse(wire: str, body: dict[str, Any]) -> object:
    adapter = GeminiGenerate("m", is_stream=False) if wire == "gemini.generate" else WIRES.wire(wire)
    return adapter.parse(json.dumps(body).encode())


@pytest.mark.parametrize("wire", BODIES)
def test_a_body_without_them_is_taken(wire: str) -> None:
    assert parse(wire, BODIES[wire])


@pytest.mark.parametrize("value", ["https://evil.example", None, {}, []], ids=["text", "null", "object", "list"])
@pytest.mark.parametrize("wire", BODIES)
@pytest.mark.parametrize("name", CONTROL_FIELDS)
def test_a_field_that_other_gateways_obey_is_refused_by_name(wire: str, name: str, value: object) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(wire, {**BODIES[wire], name: value})
    assert caught.value.param == name
    assert name in caught.value.message
    assert "evil" not in caught.value.message


def test_the_list_holds_what_is_known_to_have_been_used() -> None:
    assert set(CONTROL_FIELDS) >= NAMED
