"""The provider's Gemini: the shapes that the real API was recorded with, and an exact bill."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider, ToolCall

HELLO: Any = {"contents": [{"parts": [{"text": "hello"}]}]}
KEY = {"x-goog-api-key": "k"}


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _capped(tokens: int) -> dict[str, Any]:
    return {"generationConfig": {"maxOutputTokens": tokens}}


def test_a_whole_answer_reports_what_the_invoice_bills(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=5, reasoning_tokens=7, text="hi"))
    got = plain.generate("gemini").json
    assert got["candidates"] == [
        {"content": {"parts": [{"text": "hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ]
    assert got["usageMetadata"] == {
        "promptTokenCount": HELLO_TOKENS,
        "candidatesTokenCount": 5,
        "totalTokenCount": HELLO_TOKENS + 12,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": HELLO_TOKENS}],
        "thoughtsTokenCount": 7,
    }
    (line,) = provider.invoice()["calls"]
    assert (line["wire"], line["model"], line["id"]) == ("gemini", "m", got["responseId"])
    assert (line["input_tokens"], line["output_tokens"], line["cap"]) == (HELLO_TOKENS, 12, None)
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + 12 * 10_000


def test_a_stream_tells_its_usage_so_far_in_every_chunk(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=10, reasoning_tokens=3))
    got = plain.generate("gemini", stream=True)
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.body.count(b"\r\n\r\n") == len(got.events)
    parts = [event["candidates"][0]["content"]["parts"][0]["text"] for event in got.events]
    assert "".join(parts) == "the sun has set and the old dog ran far "
    assert [event["usageMetadata"]["candidatesTokenCount"] for event in got.events] == [4, 8, 10, 10]
    assert [event["candidates"][0].get("finishReason") for event in got.events] == [None, None, None, "STOP"]
    assert [event["usageMetadata"]["thoughtsTokenCount"] for event in got.events] == [3] * 4
    (line,) = provider.invoice()["calls"]
    assert (line["stream"], line["output_tokens"]) == (True, 13)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_tool_call_comes_in_one_piece(provider: ScriptedProvider, plain: Plain, is_stream: bool) -> None:
    provider.set("m", Script(output_tokens=12, tool_call=ToolCall("find", '{"q": "blue"}')))
    got = plain.generate("gemini", stream=is_stream)
    (answer,) = got.events if is_stream else [got.json]
    assert answer["candidates"][0]["content"]["parts"] == [{"functionCall": {"name": "find", "args": {"q": "blue"}}}]
    assert answer["candidates"][0]["finishReason"] == "STOP"
    assert answer["usageMetadata"]["candidatesTokenCount"] == 12
    cut = plain.generate("gemini", stream=is_stream, **_capped(6))
    (answer,) = cut.events if is_stream else [cut.json]
    assert (answer["candidates"][0]["content"], answer["candidates"][0]["finishReason"]) == (
        {"role": "model"},
        "MAX_TOKENS",
    )


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_cap_ends_the_answer_for_its_length(provider: ScriptedProvider, plain: Plain, is_stream: bool) -> None:
    got = plain.generate("gemini", stream=is_stream, **_capped(6))
    last = got.events[-1] if is_stream else got.json
    assert last["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert last["usageMetadata"]["candidatesTokenCount"] == 6
    (line,) = provider.invoice()["calls"]
    assert (line["cap"], line["output_tokens"], line["ended"]) == (6, 6, "length")


def test_an_answer_that_only_thought_has_no_parts_and_no_count_of_its_own(
    provider: ScriptedProvider, plain: Plain
) -> None:
    provider.set("m", Script(reasoning_tokens=100))
    got = plain.generate("gemini", **_capped(4)).json
    assert got["candidates"] == [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}]
    assert "candidatesTokenCount" not in got["usageMetadata"]
    assert (got["usageMetadata"]["thoughtsTokenCount"], got["usageMetadata"]["totalTokenCount"]) == (4, 14)
    assert provider.invoice()["calls"][0]["output_tokens"] == 4


def test_every_candidate_is_generated_and_billed(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=7, reasoning_tokens=3))
    asked: dict[str, Any] = {"generation_config": {"candidate_count": 3}}
    whole = plain.generate("gemini", **asked).json
    last = plain.generate("gemini", stream=True, **asked).events[-1]
    for answer in (whole, last):
        assert [candidate["index"] for candidate in answer["candidates"]] == [0, 1, 2]
        assert answer["usageMetadata"]["candidatesTokenCount"] == 21
        assert answer["usageMetadata"]["thoughtsTokenCount"] == 9
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [30, 30]


def test_cached_tokens_are_inside_the_prompt_and_written_ones_are_ordinary(
    provider: ScriptedProvider, plain: Plain
) -> None:
    provider.set("m", Script(input_tokens=100, cached_input_tokens=60, cache_write_tokens=10))
    usage = plain.generate("gemini").json["usageMetadata"]
    assert (usage["promptTokenCount"], usage["cachedContentTokenCount"]) == (100, 60)
    (line,) = provider.invoice()["calls"]
    assert (line["input_tokens"], line["cache_read_tokens"], line["cache_write_tokens"]) == (40, 60, 0)


@pytest.mark.parametrize("system", ["systemInstruction", "system_instruction"])
def test_text_is_counted_in_either_spelling_and_files_are_not(
    provider: ScriptedProvider, plain: Plain, system: str
) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "A" * 999}}
    body: dict[str, Any] = {
        system: {"parts": [{"text": "abcd"}]},
        "contents": [{"role": "user", "parts": [{"text": "abcd"}, image]}],
    }
    plain.generate("gemini", **body)
    assert provider.invoice()["calls"][0]["input_tokens"] == 2 + 8


def test_counting_tokens_costs_nothing(provider: ScriptedProvider, plain: Plain) -> None:
    for body in (HELLO, {"generateContentRequest": {"model": "models/m", **HELLO}}):
        got = plain.send("POST", "/v1beta/models/m:countTokens", _json(body))
        assert got.json["totalTokens"] == HELLO_TOKENS
    assert provider.invoice()["calls"] == []
    assert plain.send("POST", "/v1beta/models/m:countTokens", b"{}").status == 400


def test_the_scripted_models_are_listed(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(max_output_tokens=99))
    (model,) = plain.send("GET", "/v1beta/models").json["models"]
    assert plain.send("GET", "/v1/models", headers=KEY).json["models"] == [model]
    assert (model["name"], model["outputTokenLimit"]) == ("models/m", 99)
    assert "generateContent" in model["supportedGenerationMethods"]


def test_a_request_without_a_key_is_refused_when_the_script_says_so(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(needs_key=True))
    got = plain.generate("gemini")
    assert (got.status, got.json["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert plain.generate("gemini", KEY).status == 200
    assert "x-goog-api-key" not in provider.invoice()["calls"][-1]["request_headers"]


def test_a_cap_above_the_models_maximum_is_refused_with_its_number(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(max_output_tokens=65_536))
    got = plain.generate("gemini", **_capped(65_537))
    assert got.json["error"] == {
        "code": 400,
        "message": "Unable to submit request because it has a maxOutputTokens value of 65537 but the supported range"
        " is from 1 (inclusive) to 65537 (exclusive). Update the value and try again.",
        "status": "INVALID_ARGUMENT",
    }
    (line,) = provider.invoice()["calls"]
    assert (line["billed"], line["status"], line["cap"], line["model"]) == (False, 400, 65_537, "m")
    assert plain.generate("gemini", **_capped(65_536)).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"contents": None},
        {"contents": []},
        {"contents": ["hello"]},
        {"contents": [{"role": "assistant", "parts": []}]},
        {"generationConfig": [1]},
        {"generationConfig": {"maxOutputTokens": 0}},
        {"generationConfig": {"maxOutputTokens": "9"}},
        {"generationConfig": {"candidateCount": 9}},
    ],
    ids=str,
)
def test_what_google_refuses_is_refused_unbilled(
    provider: ScriptedProvider, plain: Plain, fields: dict[str, Any]
) -> None:
    got = plain.generate("gemini", **fields)
    assert got.status == 400
    assert (set(got.json["error"]), got.json["error"]["status"]) == ({"code", "message", "status"}, "INVALID_ARGUMENT")
    assert provider.invoice()["total_nano"] == 0


def test_a_stream_must_be_asked_for_as_events(provider: ScriptedProvider, plain: Plain) -> None:
    got = plain.send("POST", "/v1beta/models/m:streamGenerateContent", _json(HELLO))
    assert (got.status, "alt=sse" in got.json["error"]["message"]) == (400, True)
    assert provider.invoice()["calls"][0]["stream"]


@pytest.mark.parametrize("path", ["/v1beta/models/m:embedContent", "/v1beta/cachedContents", "/v1beta/models/m"])
def test_every_other_path_is_not_found_in_googles_shape(plain: Plain, path: str) -> None:
    got = plain.send("POST", path, b"{}")
    assert (got.status, got.json["error"]["status"]) == (404, "NOT_FOUND")
