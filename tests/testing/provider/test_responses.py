"""The real OpenAI SDK is content with the provider's Responses, and the bill is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider, ToolCall

TEXT_EVENTS = ["response.output_item.added", "response.content_part.added"]
TEXT_END = ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
BEGIN = ["response.created", "response.in_progress"]
TOOL: Any = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}, "strict": False}


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as ready:
        yield ready


def test_a_whole_answer_reports_what_the_invoice_bills(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=5, text="hi"))
    answer = client.responses.create(model="m", input="hello", instructions=None)
    assert (answer.output_text, answer.status, answer.error) == ("hi", "completed", None)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (HELLO_TOKENS, 5)
    assert answer.usage.total_tokens == HELLO_TOKENS + 5
    (line,) = provider.invoice()["calls"]
    assert line["id"] == answer.id
    assert (line["input_tokens"], line["output_tokens"], line["cap"]) == (HELLO_TOKENS, 5, None)
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + 5 * 10_000
    assert (line["wire"], line["stream"], line["ended"], line["billed"]) == ("responses", False, "complete", True)


def test_all_text_of_the_request_is_counted(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    client.responses.create(
        model="m",
        instructions="abcd",
        input=[
            {"role": "developer", "content": "abcd"},
            {"role": "user", "content": [{"type": "input_text", "text": "abcd"}]},
            {"type": "function_call_output", "call_id": "call_123456789", "output": "abcd"},
        ],
    )
    assert provider.invoice()["calls"][0]["input_tokens"] == 4 + 8


def test_a_request_with_tools_is_answered_with_text_and_repeats_them(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="m", input="hello", tools=[TOOL], metadata={"a": "b"}, store=False)
    assert len(answer.output_text) == 160
    assert [tool.type for tool in answer.tools] == ["function"]
    assert answer.metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("script", "middle"),
    [
        (
            Script(output_tokens=8),
            [*TEXT_EVENTS, "response.output_text.delta", "response.output_text.delta", *TEXT_END],
        ),
        (
            Script(output_tokens=4, reasoning_tokens=9),
            [
                "response.output_item.added",
                "response.output_item.done",
                *TEXT_EVENTS,
                "response.output_text.delta",
                *TEXT_END,
            ],
        ),
        (
            Script(output_tokens=4, tool_call=ToolCall("find", '{"q":1}')),
            [
                "response.output_item.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
            ],
        ),
        (Script(output_tokens=0), []),
        (Script(output_tokens=0, reasoning_tokens=5), ["response.output_item.added", "response.output_item.done"]),
        (
            Script(output_tokens=8, fault="usage_twice"),
            [
                *TEXT_EVENTS,
                "response.output_text.delta",
                "response.in_progress",
                "response.output_text.delta",
                *TEXT_END,
            ],
        ),
    ],
    ids=["text", "reasoning", "call", "nothing", "only reasoning", "usage twice"],
)
def test_a_stream_has_the_real_grammar_and_numbers_without_a_gap(
    provider: ScriptedProvider, client: openai.OpenAI, script: Script, middle: list[str]
) -> None:
    provider.set("m", script)
    events = list(client.responses.create(model="m", input="hello", stream=True))
    assert [event.type for event in events] == [*BEGIN, *middle, "response.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_stream_ends_with_what_a_whole_answer_says(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=10, reasoning_tokens=7, text="Grüße, 世界"))
    whole = client.responses.create(model="m", input="hello")
    with client.responses.stream(model="m", input="hello") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text == whole.output_text == "Grüße, 世界"
    assert final.usage == whole.usage
    assert [item.type for item in final.output] == [item.type for item in whole.output] == ["reasoning", "message"]
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [17, 17]


def test_a_tool_call_arrives_whole_and_streamed(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.set("m", Script(output_tokens=12, tool_call=ToolCall("find", '{"q": "blue"}')))
    whole: Any = client.responses.create(model="m", input="hello", tools=[TOOL]).output[0]
    with client.responses.stream(model="m", input="hello", tools=[TOOL]) as stream:
        streamed: Any = stream.get_final_response().output[0]
    for call in (whole, streamed):
        assert (call.type, call.name, call.arguments) == ("function_call", "find", '{"q": "blue"}')
        assert call.call_id.startswith("call_")


def test_reasoning_is_an_item_billed_as_output_and_sent_back_when_asked_for(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=5, reasoning_tokens=100))
    answer: Any = client.responses.create(model="m", input="hello", include=["reasoning.encrypted_content"])
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.output[0].encrypted_content
    assert (answer.usage.output_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (105, 100)
    assert provider.invoice()["calls"][0]["output_tokens"] == 105
    with_reasoning = [answer.output[0].model_dump(exclude_none=True), {"role": "user", "content": "hello"}]
    again = client.responses.create(model="m", input=with_reasoning)
    assert again.usage is not None
    assert again.usage.input_tokens == HELLO_TOKENS


def test_cached_tokens_are_inside_the_input_and_billed_at_their_rate(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(output_tokens=1, input_tokens=100, cached_input_tokens=60, cache_write_tokens=10))
    usage = client.responses.create(model="m", input="hello").usage
    assert usage is not None
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (100, 60)
    assert usage.input_tokens_details.cache_write_tokens == 10
    (line,) = provider.invoice()["calls"]
    assert (line["input_tokens"], line["cache_read_tokens"], line["cache_write_tokens"]) == (30, 60, 10)


@pytest.mark.parametrize(
    ("reasoning", "text", "kinds"), [(0, 64, ["message"]), (10, 24, ["reasoning", "message"]), (99, 0, ["reasoning"])]
)
def test_a_cap_ends_the_answer_as_incomplete(
    provider: ScriptedProvider, client: openai.OpenAI, reasoning: int, text: int, kinds: list[str]
) -> None:
    provider.set("m", Script(reasoning_tokens=reasoning))
    whole = client.responses.create(model="m", input="hello", max_output_tokens=16)
    streamed = list(client.responses.create(model="m", input="hello", max_output_tokens=16, stream=True))[-1]
    assert streamed.type == "response.incomplete"
    for answer in (whole, streamed.response):
        assert (answer.status, len(answer.output_text)) == ("incomplete", text)
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"
        assert [item.type for item in answer.output] == kinds
        assert answer.usage is not None
        assert answer.usage.output_tokens == 16
    for line in provider.invoice()["calls"]:
        assert (line["cap"], line["output_tokens"], line["ended"]) == (16, 16, "length")


def test_a_cap_above_the_models_maximum_is_refused_with_its_number(
    provider: ScriptedProvider, client: openai.OpenAI
) -> None:
    provider.set("m", Script(max_output_tokens=16_384))
    with pytest.raises(openai.BadRequestError, match="Expected a value <= 16384, but got 128000") as refused:
        client.responses.create(model="m", input="hello", max_output_tokens=128_000)
    assert (refused.value.param, refused.value.code) == ("max_output_tokens", "integer_above_max_value")
    (line,) = provider.invoice()["calls"]
    assert (line["billed"], line["status"], line["cap"], line["model"]) == (False, 400, 128_000, "m")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["hello"]}, "input[0]"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"max_output_tokens": "16"}, "max_output_tokens"),
        ({"previous_response_id": "resp_nobody"}, "previous_response_id"),
        ({"previous_response_id": "chatcmpl-1"}, "previous_response_id"),
        ({"previous_response_id": 1}, "previous_response_id"),
        ({"background": True, "store": False}, "background"),
    ],
    ids=str,
)
def test_what_openai_refuses_is_refused_unbilled(
    provider: ScriptedProvider, plain: Plain, fields: dict[str, Any], param: str
) -> None:
    got = plain.generate("responses", **fields)
    assert got.status == 400
    assert set(got.json["error"]) == {"message", "type", "param", "code"}
    assert (got.json["error"]["type"], got.json["error"]["param"]) == ("invalid_request_error", param)
    report = provider.invoice()
    assert (report["total_nano"], report["billed"], report["ended"]) == (0, 0, 1)


def test_counting_the_input_costs_nothing(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    assert client.responses.input_tokens.count(model="m", input="hello").input_tokens == HELLO_TOKENS
    assert provider.invoice()["calls"] == []


def test_a_request_without_a_key_is_refused_when_the_script_says_so(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(needs_key=True))
    assert plain.generate("responses").status == 401
    key = {"Authorization": "Bearer k"}
    answer = plain.generate("responses", key).json
    assert plain.send("GET", f"/v1/responses/{answer['id']}").status == 401
    assert plain.send("GET", f"/v1/responses/{answer['id']}", headers=key).json == answer
