"""The real OpenAI SDK is content with the provider's embeddings, and the bill is exact."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Any

import openai
import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider, ToolCall


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as ready:
        yield ready


def test_the_input_is_billed_and_nothing_else(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=99, reasoning_tokens=9, cached_input_tokens=5, cache_write_tokens=5))
    answer = client.embeddings.create(model="m", input="hello")
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (HELLO_TOKENS, HELLO_TOKENS)
    (line,) = provider.invoice()["calls"]
    assert (line["wire"], line["input_tokens"], line["cache_read_tokens"]) == ("embeddings", HELLO_TOKENS, 0)
    assert (line["output_tokens"], line["cap"], line["ended"], line["stream"]) == (0, None, "complete", False)
    assert line["cost_nano"] == HELLO_TOKENS * 2_500


@pytest.mark.parametrize("kind", ["float", "base64"])
def test_both_formats_hold_the_same_numbers(client: openai.OpenAI, plain: Plain, kind: Any) -> None:
    got = plain.generate("embeddings", encoding_format=kind).json["data"][0]["embedding"]
    assert isinstance(got, list if kind == "float" else str)
    read = client.embeddings.create(model="m", input="hello")
    plainly = plain.generate("embeddings").json["data"][0]["embedding"]
    assert read.data[0].embedding == pytest.approx(plainly)
    assert len(plainly) == 1536
    assert isclose(sum(number * number for number in plainly), 1, rel_tol=1e-4)


def test_every_input_has_its_vector_and_equal_inputs_have_equal_ones(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    answer = client.embeddings.create(model="m", input=["abcd", "efgh", "abcd"], dimensions=8)
    one, two, three = (each.embedding for each in answer.data)
    assert [each.index for each in answer.data] == [0, 1, 2]
    assert one == three != two
    assert len(one) == 8
    assert provider.invoice()["calls"][0]["input_tokens"] == 3 + 8


@pytest.mark.parametrize(("given", "tokens", "count"), [([1, 2, 3], 3, 1), ([[1, 2], [3, 4, 5]], 5, 2)])
def test_tokens_are_counted_as_tokens(client: openai.OpenAI, given: Any, tokens: int, count: int) -> None:
    answer = client.embeddings.create(model="m", input=given)
    assert (answer.usage.prompt_tokens, len(answer.data)) == (tokens + 8, count)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": None},
        {"input": None},
        {"input": ""},
        {"input": []},
        {"input": ["a", ""]},
        {"input": {"text": "a"}},
        {"input": [{"text": "a"}]},
        {"input": ["a"] * 2049},
        {"dimensions": 0},
        {"dimensions": 100_000},
        {"encoding_format": "hex"},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_what_openai_refuses_is_refused_unbilled(
    provider: ScriptedProvider, plain: Plain, fields: dict[str, Any]
) -> None:
    got = plain.generate("embeddings", **fields)
    assert got.status == 400
    assert set(got.json["error"]) == {"message", "type", "param", "code"}
    assert provider.invoice()["total_nano"] == 0


def test_a_script_for_other_wires_changes_no_vector(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(tool_call=ToolCall("f"), max_output_tokens=1, tokens_per_s=0.001))
    got = plain.generate("embeddings", stream=True)
    assert got.json["data"] == plain.generate("embeddings", model="other").json["data"]
