"""Embedding requests: their input is sized, nothing else can cost, and answers pass untouched."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.errors import BadRequest
from bursar.wire.base import Answer, Refusal, Request, Wire
from bursar.wire.openai_embeddings import OpenAIEmbeddings

WIRE = OpenAIEmbeddings()
TRAFFIC = Path(__file__).parents[2].parent / "shared" / "recorded" / "traffic.jsonl.gz"


def parse(**fields: Any) -> Request:
    return WIRE.parse(json.dumps({"model": "text-embedding-3-small", "input": "hi", **fields}).encode())


def refused(**fields: Any) -> str | None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value.param


def test_it_is_a_wire_and_its_requests_have_no_output() -> None:
    wire: Wire = WIRE
    request = wire.parse(b'{"model":"m","input":"hi","dimensions":256,"encoding_format":"base64","user":"ada"}')
    assert (request.wire, request.model, request.is_stream, request.cap) == ("openai.embeddings", "m", False, None)
    assert (request.has_output, request.choices, request.body_labels) == (False, 1, {"user": "ada"})
    with pytest.raises(NotImplementedError):
        wire.reader(request)


@pytest.mark.parametrize(
    ("given", "size_bytes"),
    [
        ("hé", 3),
        ("", 0),
        (["ab", "c"], 3),
        ([1, 2, 3], 12),
        ([[1, 2], [3], []], 12),
        (["ab", [1]], 6),
        (["x"] * 2_048, 2_048),
    ],
)
def test_input_is_sized_in_all_its_forms(given: object, size_bytes: int) -> None:
    assert parse(input=given).anatomy.user == size_bytes


def test_other_text_counts_as_well() -> None:
    assert parse(instruction="abc", truncation=True).anatomy.system == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"text": "x"}}, "input"),
        ({"input": ["x"] * 2_049}, "input"),
        ({"input": [1, "x"]}, "input"),
        ({"input": [1, -1]}, "input"),
        ({"input": [1, True]}, "input"),
        ({"input": [[1], [1.5]]}, "input[1]"),
        ({"input": ["x", {"image_url": "data:"}]}, "input[1]"),
        ({"stream": True}, "stream"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"model": ""}, "model"),
        ({"base_url": "x"}, "base_url"),
    ],
)
def test_what_cannot_be_sized_is_refused(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


def test_only_the_model_is_written() -> None:
    request = parse(stream=False, dimensions=5)
    written = json.loads(WIRE.encode(request, model="other", cap=4_096))
    assert written == {"model": "other", "input": "hi", "stream": False, "dimensions": 5}


def answer_body(vectors: int, usage: object, *, first: bool = False) -> bytes:
    data = {"data": [{"object": "embedding", "index": at, "embedding": [0.5] * 9} for at in range(vectors)]}
    told = {"model": "m-1", "usage": usage}
    return json.dumps({"object": "list", **(told if first else {}), **data, **({} if first else told)}).encode()


@pytest.mark.parametrize("vectors", [0, 1, 3_000])
@pytest.mark.parametrize("first", [False, True])
def test_usage_is_found_before_and_behind_few_vectors_and_many(vectors: int, first: bool) -> None:
    body = answer_body(vectors, {"prompt_tokens": 7, "total_tokens": 7}, first=first)
    assert WIRE.read_whole(parse(), body) == Answer(usage=Usage(input_tokens=7), visible_tokens=0, model="m-1")


def test_a_large_answer_with_text_behind_the_vectors_is_read_whole() -> None:
    body = answer_body(3_000, {"prompt_tokens": 7, "details": [1, {"usage": {"prompt_tokens": 1}}]})
    answer = WIRE.read_whole(parse(), body)
    assert answer is not None and answer.usage == Usage(input_tokens=7)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"total_tokens": 18}, 18),
        ({"prompt_tokens": 0, "total_tokens": 0}, 0),
        ({"prompt_tokens": 5, "total_tokens": None}, 5),
        ({}, None),
        (None, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 1.5}, None),
        ({"prompt_tokens": True}, None),
    ],
)
def test_explicit_zero_is_zero_and_missing_is_unknown(usage: object, tokens: int | None) -> None:
    answer = WIRE.read_whole(parse(), answer_body(1, usage))
    assert answer is not None
    assert answer.usage == (None if tokens is None else Usage(input_tokens=tokens))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"embedding":[1]}', b"[" * 99_999, b"{" + b"]" * 99_999]
)
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert WIRE.read_whole(parse(), body) is None


def test_errors_are_those_of_openai() -> None:
    assert WIRE.is_provider_error(404, b'{"error":{"message":"no such model"}}')
    assert WIRE.named_maximum(400, b"max_tokens must be at most 5") is None
    assert WIRE.named_room(400, b"") is None
    assert b"insufficient_quota" in WIRE.refusal(Refusal(402, "budget_exceeded", "spent"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**33) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["model", "input", "stream", "user", "metadata", "service_tier"]), JSON))
def test_hostile_bodies_are_parsed_or_refused(body: dict[str, Any]) -> None:
    try:
        request = WIRE.parse(json.dumps({"model": "m", "input": "x", **body}).encode())
    except BadRequest:
        return
    assert request.anatomy.total >= 0
    WIRE.encode(request, model="m", cap=None)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_hostile_answers_never_raise(body: bytes) -> None:
    WIRE.read_whole(parse(), body)
    WIRE.read_whole(parse(), b"{" + b" " * 70_000 + body)


@pytest.mark.skipif(not TRAFFIC.exists(), reason="the recorded traffic is not beside this repository")
def test_recorded_traffic_is_read() -> None:
    told, untold, errors, refusals = 0, 0, 0, []
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["wire"] == "openai.embeddings"]
    for row in rows:
        body = row["body"].encode()
        try:
            request = WIRE.parse(json.dumps(row["request"]).encode())
        except BadRequest as error:
            refusals.append(error.param)
            continue
        assert json.loads(WIRE.encode(request, model=request.model, cap=9)) == row["request"]
        if row["status"] != 200:
            errors += WIRE.is_provider_error(row["status"], body)
            continue
        answer = WIRE.read_whole(request, body)
        usage = json.loads(body)["usage"]
        assert answer is not None and answer.usage is not None
        assert answer.usage.input_total == (usage.get("prompt_tokens") or usage["total_tokens"])
        assert answer.usage.output_total == 0
        assert answer.usage.input_total <= request.anatomy.total // 2 + 1_500
        told += 1
    # The one that is refused is of Ollama's own API, which has no `input`.
    assert (len(rows), told, untold, errors, refusals) == (34, 30, 0, 3, ["input"])
