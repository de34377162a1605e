"""Real recorded traffic: requests parse, usage equals what the SDKs read, streams pass byte for byte."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bursar.core.usage import Usage
from bursar.errors import BadRequest
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Request, Wire
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.sse import EventSplitter, event_data

TRAFFIC = Path(__file__).parents[2].parent / "shared" / "recorded" / "traffic.jsonl.gz"
WIRES: dict[str, Wire] = {"openai.chat": OpenAIChat(), "anthropic.messages": AnthropicMessages()}
UNBOUNDED = {"tools[0].max_uses": 1}
"""Requests that are refused on purpose, by parameter: one web search without `max_uses`."""

pytestmark = pytest.mark.skipif(not TRAFFIC.exists(), reason="the recorded traffic is not beside this repository")


def rows() -> list[dict[str, Any]]:
    if not TRAFFIC.exists():
        return []
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["wire"] in WIRES]


ROWS = rows()


def parsed(row: dict[str, Any]) -> Request | None:
    try:
        return WIRES[row["wire"]].parse(json.dumps(row["request"]).encode())
    except BadRequest:
        return None


def answered(is_stream: bool) -> list[tuple[dict[str, Any], Request, bytes]]:
    found = []
    for row in ROWS:
        request = parsed(row)
        if request is not None and row["status"] == 200 and row["stream"] is is_stream:
            found.append((row, request, row["body"].encode("utf-8", "surrogatepass")))
    return found


def test_every_request_parses_but_those_refused_on_purpose() -> None:
    assert len(ROWS) == 478
    refused: dict[str | None, int] = {}
    for row in ROWS:
        try:
            request = WIRES[row["wire"]].parse(json.dumps(row["request"]).encode())
        except BadRequest as error:
            refused[error.param] = refused.get(error.param, 0) + 1
            continue
        assert request.model == row["request"]["model"]
        assert request.anatomy.user > 0
        assert len(request.shape_key) == 16
    assert refused == UNBOUNDED


def test_encoding_changes_nothing_but_the_cap_and_include_usage() -> None:
    for row in ROWS:
        request = parsed(row)
        if request is None:
            continue
        wire = WIRES[row["wire"]]
        unchanged = json.loads(wire.encode(request, model=request.model, cap=None))
        if request.is_stream and row["wire"] == "openai.chat":
            assert unchanged.pop("stream_options")["include_usage"] is True
            assert unchanged == {key: value for key, value in row["request"].items() if key != "stream_options"}
        else:
            assert unchanged == row["request"]
        capped = json.loads(wire.encode(request, model=request.model, cap=77))
        assert 77 in (capped.get("max_tokens"), capped.get("max_completion_tokens"))


def sdk_usage(row: dict[str, Any], value: dict[str, Any]) -> tuple[int, int, int, int]:
    """Input, output, cached and reasoning as the SDK's own models read them."""
    if row["wire"] == "openai.chat":
        usage = pytest.importorskip("openai.types").CompletionUsage.model_validate(value["usage"])
        details, made = usage.prompt_tokens_details, usage.completion_tokens_details
        cached = (details.cached_tokens or 0) if details else 0
        reasoning = (made.reasoning_tokens or 0) if made else 0
        return usage.prompt_tokens, usage.completion_tokens, cached, reasoning
    usage = pytest.importorskip("anthropic.types").Usage.model_validate(value["usage"])
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    made = usage.output_tokens_details
    return usage.input_tokens + cached + written, usage.output_tokens, cached, made.thinking_tokens if made else 0


def test_whole_answers_have_the_usage_that_the_sdk_reads() -> None:
    count = 0
    for row, request, body in answered(is_stream=False):
        answer = WIRES[row["wire"]].read_whole(request, body)
        if answer is None:
            assert WIRES[row["wire"]].is_provider_error(200, body)
            continue
        count += 1
        usage = answer.usage
        assert usage is not None
        told = (usage.input_total, usage.output_total, usage.cache_read_tokens, usage.reasoning_tokens)
        value = json.loads(body)
        assert told == sdk_usage(row, value)
        assert answer.model == value["model"]
    assert count == 303


def last_told(body: bytes) -> dict[str, Any]:
    """Read the last usage of a stream straight from its events."""
    told: dict[str, Any] = {}
    for event in EventSplitter().feed(body):
        data = event_data(event)
        if data.startswith(b"{"):
            value = json.loads(data)
            holders = (value, value.get("x_groq") or {}, value.get("message") or {})
            usage: dict[str, Any] = next((holder["usage"] for holder in holders if holder.get("usage")), {})
            told.update({name: count for name, count in usage.items() if count is not None})
    return told


@pytest.mark.parametrize("size", [0, 97, 1])
def test_streams_pass_byte_for_byte_and_tell_their_last_usage(size: int) -> None:
    told_count, untold_count = 0, 0
    for row, request, body in answered(is_stream=True):
        reader = WIRES[row["wire"]].reader(request)
        step = size or len(body)
        passed = b"".join(reader.feed(body[at : at + step]) for at in range(0, len(body), step)) + reader.rest()
        answer = reader.answer()
        assert reader.is_finished
        assert not reader.is_error
        told = last_told(body)
        hidden = row["wire"] == "openai.chat" and not request.wants_usage and b'"choices":[],"usage":{' in body
        assert (len(passed) < len(body)) if hidden else (passed == body)
        if told:
            told_count += 1
            assert answer.usage is not None
            names = (
                ("prompt_tokens", "completion_tokens") if "prompt_tokens" in told else ("input_tokens", "output_tokens")
            )
            cache = (told.get("cache_read_input_tokens") or 0) + (told.get("cache_creation_input_tokens") or 0)
            assert answer.usage.input_total == told[names[0]] + cache
            assert answer.usage.output_total == told[names[1]]
        else:
            untold_count += 1
            assert answer.usage is None
            assert answer.visible_tokens > 0
            assert answer.visible_tokens < len(body)
    assert (told_count, untold_count) == (81, 87)


def test_the_estimate_of_what_was_generated_is_seldom_too_low_and_never_by_much() -> None:
    low, count = 0, 0
    for row, request, body in answered(is_stream=True) + answered(is_stream=False):
        wire = WIRES[row["wire"]]
        if row["stream"]:
            reader = wire.reader(request)
            reader.feed(body)
            answer = reader.answer()
        else:
            whole = wire.read_whole(request, body)
            if whole is None:
                continue
            answer = whole
        if answer.usage is None or answer.usage == Usage():
            continue
        shown = answer.usage.output_total - answer.usage.reasoning_tokens
        count += 1
        low += answer.visible_tokens < shown
        assert answer.visible_tokens >= shown - 20
    assert count > 350
    assert low / count < 0.1


def test_errors_are_the_providers_own_and_name_no_maximum() -> None:
    errors = [row for row in ROWS if row["status"] != 200]
    assert len(errors) == 5
    for row in errors:
        body = row["body"].encode()
        assert WIRES[row["wire"]].is_provider_error(row["status"], body)
        assert WIRES[row["wire"]].named_maximum(row["status"], body) is None
