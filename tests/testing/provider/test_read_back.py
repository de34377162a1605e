"""bursar's own readers read exactly the usage that the provider bills, from every wire, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.testing.provider.plain import Plain

from bursar.core.usage import Usage
from bursar.testing import Script, ScriptedProvider, ToolCall
from bursar.testing.provider.client import CallLine
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Answer, Wire
from bursar.wire.gemini_generate import GeminiGenerate
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_completions import OpenAICompletions
from bursar.wire.openai_embeddings import OpenAIEmbeddings
from bursar.wire.openai_responses import OpenAIResponses

MODEL = "m"
MESSAGES = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
CAPS: Mapping[str, tuple[str, ...]] = {
    "openai": ("max_completion_tokens",),
    "anthropic": ("max_tokens",),
    "responses": ("max_output_tokens",),
    "completions": ("max_tokens",),
    "gemini": ("generationConfig", "maxOutputTokens"),
}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "openai": MESSAGES,
    "anthropic": MESSAGES,
    "responses": {"model": MODEL, "input": "hello"},
    "embeddings": {"model": MODEL, "input": ["hello", "you"]},
    "completions": {"model": MODEL, "prompt": ["hello", "you"], "n": 2, "echo": True},
    "gemini": CONTENTS,
}
SCRIPTS = {
    "text": Script(output_tokens=50),
    "reasoning": Script(output_tokens=50, reasoning_tokens=23),
    "cached": Script(output_tokens=50, input_tokens=1_000, cached_input_tokens=600, cache_write_tokens=100),
    "tool": Script(output_tokens=12, reasoning_tokens=5, tool_call=ToolCall("find", '{"q": "blue"}')),
    "only thought": Script(output_tokens=0, reasoning_tokens=30),
    "capped": Script(output_tokens=5_000, reasoning_tokens=20),
    "nothing": Script(output_tokens=0),
    "usage twice": Script(output_tokens=50, reasoning_tokens=20, fault="usage_twice"),
    "long line": Script(output_tokens=50, fault="long_line", fault_bytes=4_096),
    "over cap": Script(output_tokens=5_000, fault="over_cap"),
}
CASES = [
    (wire, is_stream, name)
    for wire in BODIES
    for is_stream in (False, True)
    for name in SCRIPTS
    if wire != "embeddings" or not is_stream
]


def _wire(name: str, is_stream: bool) -> Wire:
    wires: Mapping[str, Wire] = {
        "openai": OpenAIChat(),
        "anthropic": AnthropicMessages(),
        "responses": OpenAIResponses(),
        "embeddings": OpenAIEmbeddings(),
        "completions": OpenAICompletions(),
        "gemini": GeminiGenerate(MODEL, is_stream=is_stream),
    }
    return wires[name]


def _body(name: str, is_stream: bool) -> bytes:
    """Return a request with a cap of 400."""
    body: dict[str, Any] = dict(BODIES[name])
    match CAPS.get(name, ()):
        case (cap,):
            body[cap] = 400
        case (config, cap):
            body[config] = {cap: 400}
        case _:
            pass
    if is_stream and name != "gemini":
        body["stream"] = True
    return json.dumps(body).encode()


def _read(plain: Plain, name: str, is_stream: bool) -> Answer:
    """Send what bursar would send, and read the answer as bursar does: a stream in pieces of 97 bytes."""
    wire = _wire(name, is_stream)
    request = wire.parse(_body(name, is_stream))
    sent = json.loads(wire.encode(request, model=MODEL, cap=request.cap))
    got = plain.generate(name, **({**sent, "stream": is_stream} if name == "gemini" else sent))
    assert got.status == 200
    if not is_stream:
        answer = wire.read_whole(request, got.body)
        assert answer is not None
        return answer
    reader = wire.reader(request)
    for at in range(0, len(got.body), 97):
        reader.feed(got.body[at : at + 97])
    assert (reader.is_complete, reader.is_error) == (True, False)
    return reader.answer()


def _billed(line: CallLine) -> tuple[int, int, int, int]:
    return line["input_tokens"], line["cache_read_tokens"], line["cache_write_tokens"], line["output_tokens"]


def _told(usage: Usage | None) -> tuple[int, int, int, int]:
    assert usage is not None
    parts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_total)
    assert sum(parts) == usage.input_total + usage.output_total, "nothing may stand in any other leaf"
    return parts


@pytest.mark.parametrize(("wire", "is_stream", "name"), CASES)
def test_what_bursar_reads_is_what_is_billed(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, name: str
) -> None:
    script = SCRIPTS[name]
    provider.set(MODEL, script)
    answer = _read(plain, wire, is_stream)
    (line,) = provider.invoice()["calls"]
    assert _told(answer.usage) == _billed(line)
    if wire == "embeddings":
        return
    assert answer.is_capped == (name == "capped")
    assert line["cap"] == 400
    assert answer.usage is not None
    assert answer.usage.reasoning_tokens == script.reasoning_tokens * (4 if wire == "completions" else 1)


@pytest.mark.parametrize("wire", ["responses", "completions", "gemini"])
def test_bursar_counts_at_least_what_a_stream_without_usage_shows(
    provider: ScriptedProvider, plain: Plain, wire: str
) -> None:
    provider.set(MODEL, Script(output_tokens=200, fault="no_usage"))
    answer = _read(plain, wire, True)
    (line,) = provider.invoice()["calls"]
    assert answer.usage is None
    assert answer.visible_tokens >= line["output_tokens"]


def test_a_response_tells_bursar_the_name_it_is_continued_under(provider: ScriptedProvider, plain: Plain) -> None:
    for is_stream in (False, True):
        answer = _read(plain, "responses", is_stream)
        assert answer.response_id == provider.invoice()["calls"][-1]["id"]
        assert plain.generate("responses", previous_response_id=answer.response_id).status == 200


@pytest.mark.parametrize("wire", list(BODIES))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
def test_bursar_knows_every_error_as_the_providers_own(
    provider: ScriptedProvider, plain: Plain, wire: str, status: int
) -> None:
    provider.set(MODEL, Script(fault="status", fault_status=status))
    got = plain.generate(wire)
    assert _wire(wire, False).is_provider_error(status, got.body)


@pytest.mark.parametrize("wire", list(CAPS))
def test_bursar_learns_the_maximum_from_a_refused_cap(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set(MODEL, Script(max_output_tokens=399))
    parsed = json.loads(_body(wire, False))
    got = plain.generate(wire, **parsed)
    assert got.status == 400
    assert _wire(wire, False).named_maximum(got.status, got.body) == 399


@pytest.mark.parametrize("wire", ["openai", "anthropic", "responses", "completions", "gemini"])
def test_bursar_sees_an_error_event(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set(MODEL, Script(fault="error_event"))
    request = _wire(wire, True).parse(_body(wire, True))
    reader = _wire(wire, True).reader(request)
    reader.feed(plain.generate(wire, **{**json.loads(_body(wire, True)), "stream": True}).body)
    assert reader.is_error
