"""The real OpenAI SDK is content with the provider's legacy completions, and the bill is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider

FOUR = "the sun has set "


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as ready:
        yield ready


def test_a_whole_answer_reports_what_the_invoice_bills(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=5, text="hi"))
    answer = client.completions.create(model="m", prompt="hello")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("hi", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (HELLO_TOKENS, 5)
    (line,) = provider.invoice()["calls"]
    assert line["id"] == answer.id
    assert (line["wire"], line["input_tokens"], line["output_tokens"]) == ("completions", HELLO_TOKENS, 5)


def test_an_answer_without_a_cap_ends_after_sixteen_tokens(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    answer = client.completions.create(model="m", prompt="hello")
    assert (len(answer.choices[0].text), answer.choices[0].finish_reason) == (16 * 4, "length")
    (line,) = provider.invoice()["calls"]
    assert (line["cap"], line["output_tokens"], line["ended"]) == (None, 16, "length")


def test_all_answers_to_all_prompts_are_billed_those_not_shown_as_well(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=4))
    answer = client.completions.create(model="m", prompt=["abcd", "efgh"], n=2, best_of=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2 + 8, 2 * 3 * 4)
    assert provider.invoice()["calls"][0]["output_tokens"] == 24


@pytest.mark.parametrize(("n", "made"), [(None, 1), (1, 1), (3, 3)])
def test_as_many_answers_are_made_as_are_asked_for(
    provider: ScriptedProvider, plain: Plain, n: int | None, made: int
) -> None:
    provider.set("m", Script(output_tokens=4))
    assert len(plain.generate("completions", n=n).json["choices"]) == made
    assert provider.invoice()["calls"][0]["output_tokens"] == 4 * made


def test_an_echo_repeats_each_prompt_and_is_not_billed_as_output(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=4))
    answer = client.completions.create(model="m", prompt=["abcd", "é"], n=2, echo=True)
    texts = ["abcd" + FOUR, "abcd" + FOUR, "é" + FOUR, "é" + FOUR]
    assert [choice.text for choice in answer.choices] == texts
    streamed = ["", "", "", ""]
    for chunk in client.completions.create(model="m", prompt=["abcd", "é"], n=2, echo=True, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.text
    assert streamed == texts
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [16, 16]


def test_scoring_a_prompt_generates_nothing(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    answer = client.completions.create(model="m", prompt="hello", max_tokens=0, echo=True)
    assert answer.choices[0].text == "hello"
    (line,) = provider.invoice()["calls"]
    assert (line["cap"], line["output_tokens"], line["billed"]) == (0, 0, True)


def test_a_stream_has_the_real_grammar(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=10))
    options: Any = {"include_usage": True}
    chunks = list(client.completions.create(model="m", prompt="hello", stream=True, stream_options=options))
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "the sun has set and the old dog ran far "
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 3 + ["stop"]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.total_tokens) == (10, HELLO_TOKENS + 10)
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert provider.invoice()["calls"][0]["output_tokens"] == 10


def test_a_stream_reports_usage_only_to_who_asked(plain: Plain) -> None:
    unasked = plain.generate("completions", stream=True)
    asked = plain.generate("completions", stream=True, stream_options={"include_usage": True})
    assert all("usage" not in event for event in unasked.events)
    assert [event["usage"] is None for event in asked.events] == [True] * (len(asked.events) - 1) + [False]
    assert unasked.data[-1] == asked.data[-1] == "[DONE]"


@pytest.mark.parametrize(("given", "tokens"), [([1, 2, 3], 3), ([[1, 2], [3]], 3), (None, 4)])
def test_prompts_may_be_tokens_or_missing(provider: ScriptedProvider, plain: Plain, given: Any, tokens: int) -> None:
    assert plain.generate("completions", prompt=given, suffix="abcd").status == 200
    assert provider.invoice()["calls"][0]["input_tokens"] == tokens + 1 + 8


def test_a_cap_above_the_models_maximum_is_refused_with_its_number(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(max_output_tokens=100))
    got = plain.generate("completions", max_tokens=101)
    assert (got.status, "supports at most 100 completion tokens" in got.json["error"]["message"]) == (400, True)
    assert plain.generate("completions", max_tokens=100).status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, None),
        ({"prompt": {"a": 1}}, None),
        ({"prompt": ["a", 1]}, None),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 2, "best_of": 1}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"n": 128, "prompt": ["a"] * 17}, "prompt"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_openai_refuses_is_refused_unbilled(
    provider: ScriptedProvider, plain: Plain, fields: dict[str, Any], param: str | None
) -> None:
    got = plain.generate("completions", **fields)
    assert (got.status, got.json["error"]["param"]) == (400, param)
    assert provider.invoice()["total_nano"] == 0
