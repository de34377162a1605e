"""boto3 is content with the provider: whole and streamed answers, calls, errors, by Converse and by InvokeModel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.testing.provider.plain import HELLO_TOKENS

from bursar.testing import Script, ScriptedProvider, ToolCall

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: pip install boto3")
botocore = pytest.importorskip("botocore")

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
MESSAGE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 30,
    "messages": [{"role": "user", "content": "hello"}],
}


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Any]:
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "SECRET"}
    made = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=provider.url, config=config, **keys)
    yield made
    made.close()


def test_a_whole_answer_is_read(provider: ScriptedProvider, client: Any) -> None:
    provider.set(CLAUDE, Script(output_tokens=5, needs_key=True, input_tokens=50, cached_input_tokens=30))
    answer = client.converse(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 9})
    assert answer["output"]["message"]["content"] == [{"text": "the sun has set and "}]
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {
        "inputTokens": 20,
        "outputTokens": 5,
        "totalTokens": 55,
        "cacheReadInputTokens": 30,
        "cacheWriteInputTokens": 0,
    }
    (line,) = provider.invoice()["calls"]
    assert (line["wire"], line["model"], line["cap"], line["output_tokens"]) == ("bedrock", CLAUDE, 9, 5)


@pytest.mark.parametrize("script", [{}, {"fault": "long_line"}, {"fault": "usage_twice"}], ids=str)
def test_a_stream_is_read(provider: ScriptedProvider, client: Any, script: dict[str, Any]) -> None:
    provider.set(CLAUDE, Script(reasoning_tokens=7, **script))
    events = list(client.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"])
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    assert len(text) == 160
    assert [event["messageStop"]["stopReason"] for event in events if "messageStop" in event] == ["end_turn"]
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 47
    assert provider.invoice()["calls"][0]["output_tokens"] == 47


def test_a_tool_call_is_read_whole_and_from_a_stream(provider: ScriptedProvider, client: Any) -> None:
    provider.set(CLAUDE, Script(tool_call=ToolCall("find", '{"q": "blue"}')))
    (block,) = client.converse(modelId=CLAUDE, messages=HELLO)["output"]["message"]["content"]
    assert block["toolUse"]["input"] == {"q": "blue"}
    events = list(client.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"])
    parts = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"] for event in events if "contentBlockDelta" in event
    ]
    assert json.loads("".join(parts)) == {"q": "blue"}


def test_a_model_is_invoked_whole_and_as_a_stream(provider: ScriptedProvider, client: Any) -> None:
    provider.set(CLAUDE, Script(output_tokens=5))
    body = json.dumps(MESSAGE)
    answer = json.loads(client.invoke_model(modelId=CLAUDE, body=body)["body"].read())
    assert answer["content"] == [{"type": "text", "text": "the sun has set and "}]
    assert answer["usage"]["input_tokens"] == HELLO_TOKENS
    stream = client.invoke_model_with_response_stream(modelId=CLAUDE, body=body)["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert [event["type"] for event in events][0::6] == ["message_start", "message_stop"]
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 5
    assert [line["cap"] for line in provider.invoice()["calls"]] == [30, 30]


def test_an_arn_names_a_model(provider: ScriptedProvider, client: Any) -> None:
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}"
    provider.set(arn, Script(output_tokens=3))
    client.converse(modelId=arn, messages=HELLO)
    assert [(line["model"], line["output_tokens"]) for line in provider.invoice()["calls"]] == [(arn, 3)]


def test_errors_are_raised_before_a_stream_and_within(provider: ScriptedProvider, client: Any) -> None:
    provider.set(CLAUDE, Script(fault="status", fault_status=429))
    with pytest.raises(client.exceptions.ThrottlingException):
        client.converse(modelId=CLAUDE, messages=HELLO)
    provider.set(CLAUDE, Script(max_output_tokens=100))
    with pytest.raises(client.exceptions.ValidationException, match="model limit of 100"):
        client.converse(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 101})
    provider.set(CLAUDE, Script(fault="error_event"))
    stream = client.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"]
    with closing(stream), pytest.raises(botocore.exceptions.EventStreamError, match="modelStreamErrorException"):
        list(stream)
