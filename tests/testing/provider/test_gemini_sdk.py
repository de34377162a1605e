"""google-genai is content with the provider: whole and streamed answers, calls, errors, keep-alives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.testing.provider.plain import HELLO_TOKENS

from bursar.testing import Script, ScriptedProvider, ToolCall

genai = pytest.importorskip("google.genai", reason="google-genai is not installed: pip install google-genai")


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Any]:
    made = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=provider.url))
    yield made
    made.close()


def test_a_whole_answer_is_read(provider: ScriptedProvider, client: Any) -> None:
    provider.set("m", Script(output_tokens=5, reasoning_tokens=7, needs_key=True))
    answer = client.models.generate_content(model="m", contents="hello")
    assert answer.text == "the sun has set and "
    told = answer.usage_metadata
    assert (told.prompt_token_count, told.candidates_token_count, told.thoughts_token_count) == (HELLO_TOKENS, 5, 7)
    assert client.models.count_tokens(model="m", contents="hello").total_tokens == HELLO_TOKENS
    assert [model.name for model in client.models.list()] == ["models/m"]


@pytest.mark.parametrize("script", [{}, {"fault": "long_line"}, {"fault": "usage_twice"}], ids=str)
def test_a_stream_is_read(provider: ScriptedProvider, client: Any, script: dict[str, Any]) -> None:
    provider.set("m", Script(reasoning_tokens=7, **script))
    chunks = list(client.models.generate_content_stream(model="m", contents="hello"))
    assert len("".join(chunk.text or "" for chunk in chunks)) == 160
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.total_token_count == HELLO_TOKENS + 47
    assert provider.invoice()["calls"][0]["output_tokens"] == 47


def test_a_tool_call_is_read_from_a_stream(provider: ScriptedProvider, client: Any) -> None:
    provider.set("m", Script(tool_call=ToolCall("find", '{"q": "blue"}')))
    (chunk,) = client.models.generate_content_stream(model="m", contents="hello")
    assert [(call.name, call.args) for call in chunk.function_calls] == [("find", {"q": "blue"})]


def test_errors_are_raised_before_a_stream_and_within(provider: ScriptedProvider, client: Any) -> None:
    provider.set("m", Script(fault="status", fault_status=429))
    with pytest.raises(genai.errors.ClientError, match="RESOURCE_EXHAUSTED"):
        client.models.generate_content(model="m", contents="hello")
    provider.set("m", Script(fault="error_event"))
    with pytest.raises(genai.errors.ServerError, match="UNAVAILABLE"):
        list(client.models.generate_content_stream(model="m", contents="hello"))
