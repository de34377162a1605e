"""The real Anthropic SDK is content with the provider, and its bill is exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from tests.testing.provider.plain import HELLO as HELLO_BODY
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider, ToolCall

HELLO: Any = HELLO_BODY


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=provider.url, api_key="key", max_retries=0) as ready:
        yield ready


def test_a_whole_answer_reports_what_the_invoice_bills(provider: ScriptedProvider, client: anthropic.Anthropic) -> None:
    provider.set("m", Script(output_tokens=5, text="hi"))
    answer = client.messages.create(model="m", messages=HELLO, max_tokens=50)
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "hi"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (HELLO_TOKENS, 5)
    (line,) = provider.invoice()["calls"]
    assert (line["id"], line["cap"], line["wire"]) == (answer.id, 50, "anthropic")
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + 5 * 10_000


def test_a_stream_has_the_real_grammar(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=10, tokens_per_event=4))
    got = plain.generate("anthropic", stream=True)
    kinds = [event["type"] for event in got.events]
    assert kinds == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    names = [line.removeprefix("event: ") for line in got.body.decode().split("\n") if line.startswith("event: ")]
    assert names == kinds
    assert got.events[0]["message"]["usage"]["input_tokens"] == HELLO_TOKENS
    assert got.events[0]["message"]["content"] == []
    assert got.events[-2]["usage"]["output_tokens"] == 10
    assert got.events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_the_sdk_reads_a_stream_to_the_same_message(provider: ScriptedProvider, client: anthropic.Anthropic) -> None:
    provider.set("m", Script(output_tokens=10))
    with client.messages.stream(model="m", messages=HELLO, max_tokens=50) as stream:
        message = stream.get_final_message()
    assert message.content[0].type == "text"
    assert message.content[0].text == "the sun has set and the old dog ran far "
    assert (message.usage.input_tokens, message.usage.output_tokens) == (HELLO_TOKENS, 10)
    (line,) = provider.invoice()["calls"]
    assert (line["stream"], line["output_tokens"], line["ended"]) == (True, 10, "complete")


def test_a_beta_call_is_answered_as_any_other(
    provider: ScriptedProvider, plain: Plain, client: anthropic.Anthropic
) -> None:
    assert client.beta.messages.create(model="m", messages=HELLO, max_tokens=50).usage.output_tokens == 40
    body = json.dumps({"model": "m", "messages": HELLO, "max_tokens": 50}).encode()
    assert plain.send("POST", "/v1/messages?beta=true", body).json["usage"]["output_tokens"] == 40
    assert provider.requests()[-1]["query"] == "beta=true"
    assert provider.invoice()["billed"] == 2


def test_a_tool_call_arrives_whole_and_streamed(provider: ScriptedProvider, client: anthropic.Anthropic) -> None:
    provider.set("m", Script(output_tokens=12, tool_call=ToolCall("find", '{"q": "blue"}')))
    whole = client.messages.create(model="m", messages=HELLO, max_tokens=50)
    with client.messages.stream(model="m", messages=HELLO, max_tokens=50) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        block: Any = message.content[0]
        assert (block.type, block.name, block.input) == ("tool_use", "find", {"q": "blue"})


def test_a_cap_ends_the_answer_for_its_length(provider: ScriptedProvider, client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="m", messages=HELLO, max_tokens=6)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 6)
    (line,) = provider.invoice()["calls"]
    assert (line["cap"], line["output_tokens"], line["ended"]) == (6, 6, "length")


def test_thinking_that_uses_up_the_cap_leaves_no_content(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=40, reasoning_tokens=100))
    whole = plain.generate("anthropic", max_tokens=50).json
    assert (whole["content"], whole["usage"]["output_tokens"]) == ([], 50)
    assert whole["usage"]["output_tokens_details"] == {"thinking_tokens": 50}
    kinds = [event["type"] for event in plain.generate("anthropic", max_tokens=50, stream=True).events]
    assert kinds == ["message_start", "ping", "message_delta", "message_stop"]
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [50, 50]


def test_cached_tokens_are_outside_input_tokens_and_billed_at_their_rate(
    provider: ScriptedProvider, client: anthropic.Anthropic
) -> None:
    provider.set("m", Script(output_tokens=1, input_tokens=100, cached_input_tokens=60, cache_write_tokens=10))
    usage = client.messages.create(model="m", messages=HELLO, max_tokens=50).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (30, 60, 10)
    (line,) = provider.invoice()["calls"]
    assert line["cost_nano"] == 30 * 2_500 + 60 * 1_250 + 10 * 2_500 + 10_000


def test_a_cap_above_the_models_maximum_is_refused_with_its_number(
    provider: ScriptedProvider, client: anthropic.Anthropic
) -> None:
    provider.set("claude-x", Script(max_output_tokens=64_000))
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(model="claude-x", messages=HELLO, max_tokens=200_000, timeout=60)
    body: Any = refused.value.body
    assert body["type"] == "error"
    assert body["error"] == {
        "type": "invalid_request_error",
        "message": "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude-x",
    }
    assert body["request_id"] == refused.value.request_id
    assert provider.invoice()["total_nano"] == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"messages": None}, "messages: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        (
            {"max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 2_000}},
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
    ],
    ids=str,
)
def test_what_anthropic_refuses_is_refused_unbilled(
    provider: ScriptedProvider, plain: Plain, fields: dict[str, Any], message: str
) -> None:
    got = plain.generate("anthropic", **fields)
    assert got.status == 400
    assert got.json == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": message},
        "request_id": got.headers["request-id"],
    }
    report = provider.invoice()
    assert (report["total_nano"], report["requests"], report["billed"], report["ended"]) == (0, 1, 0, 1)


def test_a_request_without_a_key_is_refused_when_the_script_says_so(
    provider: ScriptedProvider, plain: Plain, client: anthropic.Anthropic
) -> None:
    provider.set("m", Script(needs_key=True))
    got = plain.generate("anthropic")
    assert (got.status, got.json["error"]["type"]) == (401, "authentication_error")
    assert client.messages.create(model="m", messages=HELLO, max_tokens=50).content


def test_counting_tokens_tells_what_a_call_would_bill_and_costs_nothing(
    provider: ScriptedProvider, client: anthropic.Anthropic
) -> None:
    counted = client.messages.count_tokens(model="m", messages=HELLO, system="be kind").input_tokens
    assert provider.invoice()["calls"] == []
    client.messages.create(model="m", messages=HELLO, system="be kind", max_tokens=50)
    report = provider.invoice()
    assert [line["input_tokens"] for line in report["calls"]] == [counted] == [3 + 8]
    assert report["requests"] == 2


def test_the_sdk_lists_the_scripted_models(provider: ScriptedProvider, client: anthropic.Anthropic) -> None:
    provider.set("claude-x", Script())
    assert [model.id for model in client.models.list()] == ["claude-x"]
