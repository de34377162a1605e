"""The real OpenAI SDK is content with the provider, and its bill is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.testing.provider.plain import HELLO as HELLO_BODY
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider, ToolCall

HELLO: Any = HELLO_BODY


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as ready:
        yield ready


def test_a_whole_answer_reports_what_the_invoice_bills(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=5, text="hi"))
    answer = client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "hi"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (HELLO_TOKENS, 5)
    (line,) = provider.invoice()["calls"]
    assert line["id"] == answer.id
    assert (line["input_tokens"], line["output_tokens"], line["cap"]) == (HELLO_TOKENS, 5, None)
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + 5 * 10_000
    assert (line["wire"], line["stream"], line["ended"], line["billed"]) == ("openai", False, "complete", True)


def test_a_stream_has_the_real_grammar(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=10, tokens_per_event=4))
    chunks = list(
        client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
        == "the sun has set and the old dog ran far "
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 4 + ["stop"]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 5
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.total_tokens) == (10, HELLO_TOKENS + 10)
    assert len({chunk.id for chunk in chunks}) == 1
    assert provider.invoice()["calls"][0]["output_tokens"] == 10


def test_a_stream_reports_usage_only_to_who_asked(provider: ScriptedProvider, plain: Plain) -> None:
    unasked = plain.generate("openai", stream=True)
    asked = plain.generate("openai", stream=True, stream_options={"include_usage": True})
    assert all("usage" not in event for event in unasked.events)
    assert [event["usage"] is None for event in asked.events] == [True] * (len(asked.events) - 1) + [False]
    assert unasked.data[-1] == asked.data[-1] == "[DONE]"
    assert unasked.headers["content-type"].startswith("text/event-stream")
    assert provider.invoice()["billed"] == 2


def test_a_tool_call_arrives_whole_and_streamed(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=12, tool_call=ToolCall("find", '{"q": "blue"}')))
    message = client.chat.completions.create(model="m", messages=HELLO).choices[0]
    assert message.finish_reason == "tool_calls"
    assert message.message.content is None
    call: Any = (message.message.tool_calls or [])[0]
    assert (call.function.name, call.function.arguments) == ("find", '{"q": "blue"}')
    with client.chat.completions.stream(model="m", messages=HELLO) as stream:
        final = stream.get_final_completion().choices[0]
    streamed: Any = (final.message.tool_calls or [])[0]
    assert (streamed.function.name, streamed.function.arguments) == ("find", '{"q": "blue"}')
    assert final.finish_reason == "tool_calls"


def test_an_agent_may_find_what_it_wanted_after_some_tool_calls(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(text="Found it.", tool_call=ToolCall("find"), tool_call_times=2))
    answers = [client.chat.completions.create(model="m", messages=HELLO).choices[0] for _ in range(4)]
    assert [answer.finish_reason for answer in answers] == ["tool_calls", "tool_calls", "stop", "stop"]
    assert [answer.message.content for answer in answers] == [None, None, "Found it.", "Found it."]
    provider.set("m", Script(tool_call=ToolCall("find"), tool_call_times=1))
    again = client.chat.completions.create(model="m", messages=HELLO).choices[0]
    assert again.finish_reason == "tool_calls", "a new script counts from the start"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cap_ends_the_answer_for_its_length(provider: ScriptedProvider, client: openai.OpenAI, name: str) -> None:
    caps: Any = {name: 6}
    answer = client.chat.completions.create(model="m", messages=HELLO, **caps)
    assert answer.choices[0].finish_reason == "length"
    assert len(answer.choices[0].message.content or "") == 6 * 4
    (line,) = provider.invoice()["calls"]
    assert (line["cap"], line["output_tokens"], line["ended"]) == (6, 6, "length")


def test_reasoning_is_hidden_billed_and_reported(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=5, reasoning_tokens=100))
    answer = client.chat.completions.create(model="m", messages=HELLO)
    assert len(answer.choices[0].message.content or "") == 5 * 4
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert (answer.usage.completion_tokens, answer.usage.completion_tokens_details.reasoning_tokens) == (105, 100)
    assert provider.invoice()["calls"][0]["output_tokens"] == 105


def test_every_choice_is_generated_and_billed(provider: ScriptedProvider, client: openai.OpenAI, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=7, reasoning_tokens=3))
    answer = client.chat.completions.create(model="m", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 30
    events = plain.generate("openai", stream=True, n=3).events
    texts = ["", "", ""]
    for event in events:
        texts[event["choices"][0]["index"]] += event["choices"][0]["delta"].get("content", "")
    assert texts == ["the sun has set and the old "] * 3
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [30, 30]


def test_cached_tokens_are_inside_the_prompt_and_billed_at_their_rate(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=1, input_tokens=100, cached_input_tokens=60, cache_write_tokens=10))
    usage = client.chat.completions.create(model="m", messages=HELLO).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (100, 60)
    assert usage.prompt_tokens_details.cache_write_tokens == 10
    (line,) = provider.invoice()["calls"]
    assert (line["input_tokens"], line["cache_read_tokens"], line["cache_write_tokens"]) == (30, 60, 10)
    assert line["cost_nano"] == 30 * 2_500 + 60 * 1_250 + 10 * 2_500 + 10_000


def test_a_cap_above_the_models_maximum_is_refused_with_its_number(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(max_output_tokens=16_384))
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="m", messages=HELLO, max_completion_tokens=128_000)
    assert refused.value.body == {
        "message": "max_tokens is too large: 128000. This model supports at most 16384 completion tokens, "
        "whereas you provided 128000.",
        "type": "invalid_request_error",
        "param": "max_completion_tokens",
        "code": "invalid_value",
    }
    (line,) = provider.invoice()["calls"]
    assert (line["billed"], line["status"], line["cap"], line["model"]) == (False, 400, 128_000, "m")
    assert client.chat.completions.create(model="m", messages=HELLO, max_completion_tokens=16_384).choices


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, None),
        ({"messages": None}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1e9}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
    ids=str,
)
def test_what_openai_refuses_is_refused_unbilled(
    provider: ScriptedProvider, plain: Plain, fields: dict[str, Any], param: str | None
) -> None:
    got = plain.generate("openai", **fields)
    assert got.status == 400
    assert set(got.json["error"]) == {"message", "type", "param", "code"}
    assert (got.json["error"]["type"], got.json["error"]["param"]) == ("invalid_request_error", param)
    assert got.headers["x-request-id"].startswith("req_")
    report = provider.invoice()
    assert (report["total_nano"], report["requests"], report["billed"], report["ended"]) == (0, 1, 0, 1)


def test_a_request_without_a_key_is_refused_when_the_script_says_so(
    provider: ScriptedProvider, plain: Plain, client: openai.OpenAI
) -> None:
    provider.set("m", Script(needs_key=True))
    got = plain.generate("openai")
    assert got.status == 401
    assert got.json["error"]["type"] == "invalid_request_error"
    assert plain.generate("openai", headers={"Authorization": "Bearer "}).status == 401
    assert client.chat.completions.create(model="m", messages=HELLO).choices


def test_the_sdk_lists_the_scripted_models(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("vendor/model-1", Script())
    assert [model.id for model in client.models.list()] == ["vendor/model-1"]
