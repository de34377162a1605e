"""Gemini's answers: usage is split, streams pass byte for byte, ends are seen, errors have Google's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.gemini_generate import GeminiGenerate
from bursar.wire.gemini_stream import GenerateReader

WIRE, WHOLE = GeminiGenerate("gemini-2.5-flash", is_stream=True), GeminiGenerate("gemini-2.5-flash", is_stream=False)
TOLD = {"promptTokenCount": 8, "candidatesTokenCount": 4, "thoughtsTokenCount": 20, "totalTokenCount": 32}


def request(**fields: Any) -> Request:
    return WIRE.parse(json.dumps({"contents": [{"parts": [{"text": "hi"}]}], **fields}).encode())


def candidate(*parts: dict[str, Any], reason: object = None, index: int | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if reason is not None:
        made["finishReason"] = reason
    if index is not None:
        made["index"] = index
    return made


def chunk(*candidates: dict[str, Any], usage: object = None, **more: Any) -> bytes:
    value = {"candidates": list(candidates), **({} if usage is None else {"usageMetadata": usage}), **more}
    value |= {"modelVersion": "gemini-2.5-flash-001", "responseId": "r1"}
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"


def text(value: str, **more: Any) -> bytes:
    return chunk(candidate({"text": value}), **more)


def run(raw: bytes, size: int = 0) -> tuple[bytes, GenerateReader]:
    reader, step = WIRE.reader(request()), size or max(1, len(raw))
    passed = b"".join(reader.feed(raw[at : at + step]) for at in range(0, len(raw), step)) + reader.rest()
    return passed, reader


def whole(usage: object, *candidates: dict[str, Any], asked: Request | None = None) -> Answer:
    body = {"candidates": list(candidates), "usageMetadata": usage, "modelVersion": "m-1"}
    answer = WHOLE.read_whole(asked or request(), json.dumps(body).encode())
    assert answer is not None
    return answer


# --- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (TOLD, Usage(input_tokens=8, output_tokens=4, reasoning_tokens=20)),
        ({"promptTokenCount": 5, "totalTokenCount": 9, "thoughtsTokenCount": 4},
         Usage(input_tokens=5, reasoning_tokens=4)),
        ({"promptTokenCount": 5, "totalTokenCount": 9}, Usage(input_tokens=5, output_tokens=4)),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, Usage(input_tokens=5)),
        ({"promptTokenCount": 0, "candidatesTokenCount": 0}, Usage()),
        ({"promptTokenCount": 9, "candidatesTokenCount": 1, "toolUsePromptTokenCount": 100, "totalTokenCount": 110},
         Usage(input_tokens=109, output_tokens=1)),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 90, "candidatesTokenCount": 1},
         Usage(input_tokens=10, cache_read_tokens=90, output_tokens=1)),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 9,
          "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}, {"modality": "TEXT", "tokenCount": 50}],
          "cacheTokensDetails": [{"modality": 4, "tokenCount": 20}],
          "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}]},
         Usage(input_tokens=10, cache_read_tokens=40, input_audio_tokens=30, cache_read_audio_tokens=20,
               output_tokens=7, output_audio_tokens=2)),
        ({"trafficType": "ON_DEMAND"}, None),
        ({"promptTokenCount": 5}, None),
        ({"candidatesTokenCount": 5, "totalTokenCount": 9}, None),
        ({"promptTokenCount": 5, "candidatesTokenCount": -1}, None),
        ({"promptTokenCount": "5", "candidatesTokenCount": 1}, None),
        ({"promptTokenCount": 5, "candidatesTokenCount": 1, "cachedContentTokenCount": 6}, None),
        ({"promptTokenCount": True, "candidatesTokenCount": 1}, None),
        (None, None),
        (5, None),
    ],
)  # fmt: skip
def test_overlapping_counters_become_disjoint_leaves(raw: object, usage: Usage | None) -> None:
    assert whole(raw, candidate()).usage == usage


def test_a_whole_answer_is_read() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln" * 99}
    answer = whole(TOLD, candidate({"text": "é" * 6}, call, reason="MAX_TOKENS"))
    assert answer == Answer(
        usage=Usage(input_tokens=8, output_tokens=4, reasoning_tokens=20),
        visible_tokens=-(-(12 + 27) // 3) + 12,
        is_capped=True,
        model="m-1",
        tool_calls=1,
        usage_input=Usage(input_tokens=8),
    )
    assert whole(TOLD, candidate(reason=2)).is_capped
    assert not whole(TOLD, candidate(reason="STOP")).is_capped


@pytest.mark.parametrize(
    ("asked", "usage", "tier"),
    [
        (None, {}, ""),
        (None, {"trafficType": "ON_DEMAND"}, ""),
        ("flex", {"trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ("flex", {}, ""),
        ("priority", {"serviceTier": "priority"}, "priority"),
        ("priority", {"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ("priority", {}, "priority"),
    ],
)
def test_a_tier_that_is_not_told_is_the_dearer_one(asked: str | None, usage: dict[str, Any], tier: str) -> None:
    answer = whole({**TOLD, **usage}, candidate(), asked=request(**({"serviceTier": asked} if asked else {})))
    assert answer.service_tier == tier


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"[" * 99_999, b'{"error":{"code":400}}', b'{"totalTokens":5}']
)
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert WHOLE.read_whole(request(), body) is None


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 7, 97])
def test_a_stream_passes_and_its_last_usage_counts(size: int) -> None:
    early = {"promptTokenCount": 8, "candidatesTokenCount": 1, "totalTokenCount": 9}
    last = chunk(candidate({"text": "!"}, reason="STOP"), usage=TOLD)
    raw = text("Hel", usage={"trafficType": "ON_DEMAND"}) + text("lo", usage=early) + last
    passed, reader = run(raw, size)
    assert passed == raw
    assert reader.is_finished and reader.is_complete and not reader.is_error
    answer = reader.answer()
    assert answer.usage == Usage(input_tokens=8, output_tokens=4, reasoning_tokens=20)
    assert (answer.visible_tokens, answer.model) == (3, "gemini-2.5-flash-001")


def test_usage_before_the_end_is_of_the_input_alone() -> None:
    early = {"promptTokenCount": 8, "candidatesTokenCount": 1, "totalTokenCount": 9}
    _, reader = run(text("Hel", usage=early) + text("lo"))
    assert not reader.is_finished and not reader.is_complete
    assert (reader.answer().usage, reader.answer().usage_input) == (None, Usage(input_tokens=8))
    _, reader = run(text("Hel", usage=early) + chunk(candidate({"text": "x"}, reason="STOP")))
    assert reader.is_complete and not reader.is_finished
    assert reader.answer().usage is None


def test_usage_may_come_behind_the_end() -> None:
    _, reader = run(text("Hel") + chunk(candidate(reason="STOP")) + chunk(usage=TOLD))
    assert reader.is_finished
    assert reader.answer().usage is not None


def test_a_stream_whose_chunks_all_give_a_reason_ends_with_its_bytes() -> None:
    chunks = [
        chunk(candidate({"text": "x"}, reason="STOP"),
              usage={"promptTokenCount": 5, "candidatesTokenCount": at, "totalTokenCount": 5 + at})
        for at in (1, 2, 3)
    ]  # fmt: skip
    _, reader = run(b"".join(chunks))
    assert reader.is_complete and not reader.is_finished
    assert reader.answer().usage == Usage(input_tokens=5, output_tokens=3)
    _, reader = run(b"".join(chunks) + chunk(candidate({"text": "y"})))
    assert reader.answer().usage is None


def test_several_candidates_all_have_to_end() -> None:
    both = chunk(candidate({"text": "a"}, index=0), candidate({"text": "b"}, index=1))
    first = chunk(candidate(reason="STOP", index=0), usage=TOLD)
    second = chunk(candidate(reason="MAX_TOKENS", index=1), usage=TOLD)
    for count, is_finished in ((2, True), (3, False)):
        reader = WIRE.reader(request(generationConfig={"candidateCount": count}))
        states = []
        for event in (both, first, second):
            reader.feed(event)
            states.append((reader.is_complete, reader.is_finished))
        assert states == [(False, False), (False, False), (True, is_finished)]
        assert reader.answer().is_capped


def test_a_blocked_prompt_is_a_normal_end() -> None:
    blocked = {"promptTokenCount": 5, "totalTokenCount": 5}
    raw = b'data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":' + json.dumps(blocked).encode() + b"}\n\n"
    _, reader = run(raw)
    assert reader.is_finished and reader.answer().usage == Usage(input_tokens=5)


def test_all_that_is_generated_counts_and_signatures_do_not() -> None:
    parts: list[dict[str, Any]] = [
        {"text": "abc"},
        {"text": "thinking", "thought": True},
        {"functionCall": {"name": "f", "args": {}}},
        {"executableCode": {"code": "x"}},
        {"thoughtSignature": "QUJD" * 99},
        {"codeExecutionResult": {"output": "y" * 99}},
    ]
    _, reader = run(chunk(candidate(*parts)))
    assert reader.visible_tokens == -(-(3 + 8 + 22 + 12) // 3) + 12
    assert reader.answer().tool_calls == 1


def test_chunks_of_the_same_form_are_counted_as_if_each_were_parsed() -> None:
    texts = ["one", "", "two ", 'quo"te', "back\\slash", "é€😀", "new\nline", "three", "four", "five"]
    _, reader = run(b"".join(text(value) for value in texts))
    assert reader.visible_tokens == -(-sum(len(value.encode()) for value in texts) // 3)


def test_an_error_in_a_stream_is_seen_with_and_without_data() -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    bare = json.dumps(error, indent=2).encode()
    for raw in (b"data: " + bare.replace(b"\n", b"") + b"\n\n", bare, b"[" + bare + b"]", bare + b"\n\n"):
        for size in (0, 1):
            passed, reader = run(text("x") + raw, size)
            assert passed == text("x") + raw
            assert reader.is_error
    _, reader = run(text("x") + b'{"broken "error"')
    assert not reader.is_error


def test_a_cut_is_a_last_chunk_with_a_reason_and_usage() -> None:
    reader = WIRE.reader(request(generationConfig={"candidateCount": 2}))
    reader.feed(chunk(candidate({"text": "a"}, index=0), candidate(reason="STOP", index=1)))
    cut = reader.cut(Usage(input_tokens=8, cache_read_tokens=2, output_tokens=30, reasoning_tokens=3))
    assert cut.startswith(b"data: ") and cut.endswith(b"\n\n")
    assert json.loads(cut[6:]) == {
        "candidates": [
            {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": 30,
            "totalTokenCount": 43,
            "cachedContentTokenCount": 2,
            "thoughtsTokenCount": 3,
        },
        "modelVersion": "gemini-2.5-flash-001",
        "responseId": "r1",
    }
    assert reader.is_finished
    assert reader.cut(Usage()) == b""
    _, again = run(text("a") + cut)
    answer = again.answer()
    assert answer.is_capped and answer.usage is not None
    assert answer.usage.output_total == 33


def test_a_cut_before_the_first_chunk_ends_every_candidate() -> None:
    cut = WIRE.reader(request(generationConfig={"candidateCount": 2})).cut(Usage(input_tokens=8))
    value = json.loads(cut[6:])
    assert [entry["index"] for entry in value["candidates"]] == [0, 1]
    assert value["modelVersion"] == "gemini-2.5-flash"


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        ("budget_exceeded", 402, "FAILED_PRECONDITION"),
        ("price_unknown", 402, "FAILED_PRECONDITION"),
        ("contended", 429, "RESOURCE_EXHAUSTED"),
        ("bad_request", 400, "INVALID_ARGUMENT"),
        ("bad_request", 413, "INVALID_ARGUMENT"),
        ("not_found", 404, "NOT_FOUND"),
        ("store_unavailable", 503, "UNAVAILABLE"),
        ("upstream_failed", 502, "INTERNAL"),
        ("client_gone", 499, "INVALID_ARGUMENT"),
    ],
)
def test_each_refusal_has_the_status_of_google(code: str, status: int, name: str) -> None:
    error = json.loads(WIRE.refusal(Refusal(status, code, "what to do", param="contents")))["error"]
    assert (error["code"], error["message"], error["status"]) == (status, "what to do", name)
    assert error["details"][0]["reason"] == code.upper()
    assert error["details"][0]["metadata"] == {"param": "contents"}


def test_only_contention_tells_when_to_come_back() -> None:
    spent = WIRE.refusal(Refusal(402, "budget_exceeded", "spent"))
    assert b"RetryInfo" not in spent and b"RESOURCE_EXHAUSTED" not in spent and b"429" not in spent
    held = WIRE.refusal(Refusal(429, "contended", "in flight", retry_after_s=5))
    assert json.loads(held)["error"]["details"][1]["retryDelay"] == "5s"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}', True),
        (429, b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]', True),
        (503, b'{"error":{"code":503,"status":"UNAVAILABLE"}}', True),
        (504, b'{"error":{"code":504,"status":"DEADLINE_EXCEEDED"}}', False),
        (499, b'{"error":{"code":499,"status":"CANCELLED"}}', False),
        (200, b'{"candidates":[],"error":{"code":500}}', False),
        (500, b'{"error":{"code":500},"usageMetadata":{}}', False),
        (502, b"<html>", False),
        (503, b"", False),
    ],
)
def test_only_a_readable_error_before_any_output_proves_that_nothing_was_billed(
    status: int, body: bytes, expected: bool
) -> None:
    assert WIRE.is_provider_error(status, body) is expected


RANGE = "Unable to submit request because it has a {} value of {} but the supported range is from 1 (inclusive) to {} "


@pytest.mark.parametrize(
    ("message", "maximum"),
    [
        (RANGE.format("maxOutputTokens", 655_360, 8_193) + "(exclusive). Update the value and try again.", 8_192),
        (RANGE.format("max_output_tokens", 100_000, 65_537) + "(exclusive).", 65_536),
        (RANGE.format("topK", 100, 41) + "(exclusive).", None),
        (RANGE.format("candidateCount", 100, 9) + "(exclusive).", None),
        (RANGE.format("maxOutputTokens", 5, 1) + "(exclusive).", None),
        ("The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).", None),
        ("The thinking budget 99999 is invalid. Please choose a value between 128 and 32768.", None),
        ("", None),
    ],
)
def test_only_an_error_about_the_output_names_its_maximum(message: str, maximum: int | None) -> None:
    body = json.dumps({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}).encode()
    assert WIRE.named_maximum(400, body) == maximum
    assert WIRE.named_maximum(400, message.encode()) == maximum
    assert WIRE.named_maximum(500, body) is None
    assert WIRE.named_room(400, body) is None


# --- anything -------------------------------------------------------------------------------------------------------

SAMPLES = [
    text("abc"),
    text("é€😀"),
    text('a"\\'),
    text("x", usage=TOLD),
    chunk(candidate(reason="STOP"), usage=TOLD),
    chunk(candidate({"text": "y"}, reason="MAX_TOKENS", index=1)),
    chunk(candidate({"functionCall": {"name": "f", "args": {"text": "abc"}}})),
    chunk(usage=TOLD),
    b'data: {"candidates": [5, {"content": 5}, {"content": {"parts": [5, {"text": 5}]}, "index": "x"}]}\n\n',
    b'data: {"candidates": 5, "usageMetadata": 5, "promptFeedback": 5}\n\n',
    b'data: {"error": {"code": 500}}\n\n',
    b'{\n  "error": 5\n}\r\n\r\n',
    b"data: {broken\n\n",
    b": ping\r\n\r\n",
]


@given(st.lists(st.sampled_from(SAMPLES), max_size=12), st.lists(st.integers(1, 60), max_size=60))
def test_any_split_of_any_stream_gives_the_same_answer(events: list[bytes], sizes: list[int]) -> None:
    raw = b"".join(events)
    passed, once = run(raw)
    reader, at, got = WIRE.reader(request()), 0, b""
    for size in sizes:
        got += reader.feed(raw[at : at + size])
        at += size
    got += reader.feed(raw[at:]) + reader.rest()
    assert got == passed == raw
    assert reader.answer() == once.answer()
    assert (reader.is_finished, reader.is_complete, reader.is_error) == (
        once.is_finished,
        once.is_complete,
        once.is_error,
    )
    reader.cut(Usage())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["candidates", "content", "parts", "text", "usageMetadata", "promptTokenCount", "index",
                         "finishReason", "totalTokenCount", "promptTokensDetails", "modality", "tokenCount"]),
        inner, max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["candidates", "usageMetadata", "promptFeedback", "modelVersion"]), JSON))
def test_hostile_answers_never_raise(value: dict[str, Any]) -> None:
    raw = json.dumps(value).encode()
    WHOLE.read_whole(request(), raw)
    _, reader = run(b"data: " + raw + b"\n\n")
    reader.answer()
    reader.cut(Usage())
