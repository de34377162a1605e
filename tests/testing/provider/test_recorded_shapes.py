"""What the provider sends has no member and no event that the real APIs were not recorded with."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tests.testing.provider.plain import Got, Plain

from bursar.testing import Script, ScriptedProvider, ToolCall

TRAFFIC = Path(__file__).parents[3].parent / "shared" / "recorded" / "traffic.jsonl.gz"
NAMES = {"responses": "openai.responses", "embeddings": "openai.embeddings", "gemini": "gemini.generate"}
NEWER = {
    "responses": {
        "usage.input_tokens_details.cache_write_tokens",
        "output[].encrypted_content",
    },
    "gemini": {
        "usageMetadata.cachedContentTokenCount",
        "usageMetadata.cacheTokensDetails",
        "usageMetadata.cacheTokensDetails[].modality",
        "usageMetadata.cacheTokensDetails[].tokenCount",
    },
    "embeddings": set[str](),
}
"""Members that are younger than the records, or stand there under conditions that were not recorded."""
FREE = ("metadata", "args", "tools", "text.format")
"""Objects whose members the client or the model chooses."""

pytestmark = pytest.mark.skipif(not TRAFFIC.exists(), reason="the recorded traffic is not beside this repository")


@lru_cache(maxsize=1)
def _records() -> list[dict[str, Any]]:
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["wire"] in NAMES.values()]


def _paths(value: Any, at: str = "") -> Iterator[str]:
    """Name every member of a document, without the numbers of lists."""
    if isinstance(value, list):
        for each in value:
            yield from _paths(each, f"{at}[]")
    elif isinstance(value, dict) and not at.endswith(FREE):
        for name, inner in value.items():
            path = f"{at}.{name}".removeprefix(".")
            yield path
            yield from _paths(inner, path)


def _documents(body: str, is_stream: bool) -> list[Any]:
    if not is_stream:
        return [json.loads(body)]
    return [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: {")]


def _recorded(wire: str, is_stream: bool, is_error: bool = False) -> set[str]:
    rows = [row for row in _records() if row["wire"] == NAMES[wire] and (row["status"] != 200) == is_error]
    return {
        path
        for row in rows
        if row["stream"] is is_stream
        for document in _documents(row["body"], is_stream)
        for path in _paths(document)
    }


def _answers(provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool) -> list[Got]:
    scripts = [
        Script(reasoning_tokens=9),
        Script(tool_call=ToolCall("find", '{"q": 1}')),
        Script(input_tokens=100, cached_input_tokens=50),
    ]
    answers = []
    for script in scripts:
        provider.set("m", script)
        answers.append(plain.generate(wire, stream=is_stream or None))
    return answers


@pytest.mark.parametrize(
    ("wire", "is_stream"), [("responses", False), ("responses", True), ("embeddings", False), ("gemini", False)]
)
def test_every_member_of_an_answer_was_recorded(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    sent = {
        path
        for got in _answers(provider, plain, wire, is_stream)
        for document in _documents(got.body.decode(), is_stream)
        for path in _paths(document)
    }
    known = _recorded(wire, is_stream) | NEWER[wire] | {f"response.{path}" for path in NEWER[wire]}
    if is_stream:  # Reasoning was recorded in whole answers alone.
        known |= {"item.summary"} | {f"response.{path}" for path in _recorded(wire, False)}
    assert sent - known == set()


def test_a_stream_of_gemini_has_the_members_of_a_whole_answer(provider: ScriptedProvider, plain: Plain) -> None:
    known = _recorded("gemini", False) | _recorded("gemini", True) | NEWER["gemini"]
    for got in _answers(provider, plain, "gemini", True):
        for document in got.events:
            assert set(_paths(document)) - known == set()


def test_every_event_of_a_stream_of_responses_was_recorded(provider: ScriptedProvider, plain: Plain) -> None:
    rows = [row for row in _records() if row["wire"] == NAMES["responses"] and row["stream"]]
    known = {document["type"] for row in rows for document in _documents(row["body"], True)}
    for got in _answers(provider, plain, "responses", True):
        assert {event["type"] for event in got.events} - known == set()


def test_no_member_that_every_recorded_response_has_is_missing(provider: ScriptedProvider, plain: Plain) -> None:
    rows = [row for row in _records() if row["wire"] == NAMES["responses"] and not row["stream"]]
    bodies = [json.loads(row["body"]) for row in rows if row["status"] == 200]
    always = set.intersection(*(set(body) for body in bodies))
    assert always - set(plain.generate("responses").json) == set()


@pytest.mark.parametrize("wire", ["responses", "gemini"])
def test_an_error_has_the_recorded_members(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set("m", Script(fault="status", fault_status=400))
    assert set(_paths(plain.generate(wire).json)) - _recorded(wire, False, is_error=True) == set()
