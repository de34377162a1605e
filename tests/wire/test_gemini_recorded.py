"""Real recorded Gemini traffic, of both of Google's doors: requests parse, usage is what the body says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bursar.errors import BadRequest
from bursar.wire.base import Answer, Request
from bursar.wire.gemini_generate import GeminiGenerate, split_action
from bursar.wire.sse import EventSplitter, event_data

TRAFFIC = Path(__file__).parents[2].parent / "shared" / "recorded" / "traffic.jsonl.gz"

pytestmark = pytest.mark.skipif(not TRAFFIC.exists(), reason="the recorded traffic is not beside this repository")


def rows() -> list[dict[str, Any]]:
    if not TRAFFIC.exists():
        return []
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["wire"] == "gemini.generate"]


ROWS = rows()


def wire(row: dict[str, Any]) -> GeminiGenerate:
    action = split_action(row["path"].rpartition("/")[2])
    assert action is not None
    assert action[1] == ("streamGenerateContent" if row["stream"] else "generateContent")
    return GeminiGenerate(action[0], row["stream"])


def answered(is_stream: bool) -> list[tuple[dict[str, Any], Request, bytes]]:
    good = (row for row in ROWS if row["status"] == 200 and row["stream"] is is_stream)
    return [
        (row, wire(row).parse(json.dumps(row["request"]).encode()), row["body"].encode())
        for row in good
        if "fileData" not in json.dumps(row["request"])
    ]


def check(answer: Answer | None, told: dict[str, Any], request: Request) -> None:
    assert answer is not None and answer.usage is not None
    usage = answer.usage
    assert usage.input_total == told["promptTokenCount"]
    assert usage.reasoning_tokens == told.get("thoughtsTokenCount", 0)
    assert usage.output_total - usage.reasoning_tokens == told.get("candidatesTokenCount", 0)
    assert usage.input_total + usage.output_total == told["totalTokenCount"]
    # The ordinary estimate of a first call covers what was billed, and what is shown was not counted too low by much.
    assert usage.input_total <= request.anatomy.total // 2 + 1_500 + request.images_tokens_most
    assert answer.visible_tokens >= told.get("candidatesTokenCount", 0) - 20
    assert answer.model == request.model


def test_every_request_parses_but_the_one_with_a_file_by_reference() -> None:
    refused: list[str | None] = []
    for row in ROWS:
        try:
            request = wire(row).parse(json.dumps(row["request"]).encode())
        except BadRequest as error:
            refused.append(error.param)
            continue
        assert request.anatomy.user > 0
        assert json.loads(wire(row).encode(request, model=request.model, cap=None)) == row["request"]
        capped = json.loads(wire(row).encode(request, model=request.model, cap=77))
        assert capped["generationConfig"]["maxOutputTokens"] == 77
    assert (len(ROWS), refused) == (27, ["contents[0].parts[1].fileData"])


def test_whole_answers_have_the_usage_that_the_body_tells() -> None:
    capped = 0
    for row, request, body in answered(is_stream=False):
        answer = wire(row).read_whole(request, body)
        check(answer, json.loads(body)["usageMetadata"], request)
        assert answer is not None
        capped += answer.is_capped
        if request.cap is not None:
            assert answer.usage is not None and answer.usage.output_total <= request.cap
    assert (len(answered(is_stream=False)), capped) == (19, 1)


@pytest.mark.parametrize("size", [0, 97, 1])
def test_streams_pass_byte_for_byte_and_tell_their_last_usage(size: int) -> None:
    for row, request, body in answered(is_stream=True):
        reader, step = wire(row).reader(request), size or len(body)
        ends = []
        passed = b""
        for at in range(0, len(body), step):
            passed += reader.feed(body[at : at + step])
            ends.append(reader.is_finished)
        assert passed + reader.rest() == body
        assert reader.is_finished and not any(ends[:-2])
        last = json.loads(event_data(EventSplitter().feed(body)[-1]))
        check(reader.answer(), last["usageMetadata"], request)
    assert len(answered(is_stream=True)) == 4


def test_errors_are_the_providers_own_and_name_no_maximum() -> None:
    errors = [row for row in ROWS if row["status"] != 200]
    assert len(errors) == 3
    for row in errors:
        assert wire(row).is_provider_error(row["status"], row["body"].encode())
        assert wire(row).named_maximum(row["status"], row["body"].encode()) is None
