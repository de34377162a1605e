"""bursar's readers read from Bedrock exactly the usage that the provider bills; its faults are what they say."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.testing.provider.test_read_back import SCRIPTS

from bursar.core.usage import Usage
from bursar.errors import UpstreamFailed
from bursar.testing import Script, ScriptedProvider
from bursar.wire.base import Answer, Wire
from bursar.wire.bedrock_common import Asked
from bursar.wire.bedrock_converse import BedrockConverse
from bursar.wire.bedrock_invoke import BedrockInvoke

MODEL = "anthropic.claude-test-v1:0"
BODIES: dict[str, dict[str, Any]] = {
    "converse": {
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 400},
    },
    "invoke": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 400,
        "messages": [{"role": "user", "content": "hello"}],
    },
}
WAYS = pytest.mark.parametrize(
    ("api", "is_stream"), [(api, is_stream) for api in BODIES for is_stream in (False, True)]
)


def wire_of(api: str, is_stream: bool) -> Wire:
    asked = Asked(MODEL, is_stream=is_stream)
    return BedrockConverse(asked) if api == "converse" else BedrockInvoke(asked)


def ask(provider: ScriptedProvider, wire: Wire, api: str) -> tuple[int, str, bytes]:
    """Send a request as it is written; give status, kind and body."""
    where = urlsplit(provider.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    connection.request("POST", wire.path(MODEL), json.dumps(BODIES[api]))
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers["content-type"], body


def read(wire: Wire, api: str, is_stream: bool, body: bytes) -> Answer | None:
    request = wire.parse(json.dumps(BODIES[api]).encode())
    if not is_stream:
        return wire.read_whole(request, body)
    reader = wire.reader(request)
    assert reader.feed(body) == body
    return reader.answer() if reader.is_finished else None


@WAYS
@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_read_is_what_is_billed(provider: ScriptedProvider, api: str, is_stream: bool, name: str) -> None:
    provider.set(MODEL, SCRIPTS[name])
    wire = wire_of(api, is_stream)
    status, kind, body = ask(provider, wire, api)
    assert (status, kind) == (200, "application/vnd.amazon.eventstream" if is_stream else "application/json")
    answer = read(wire, api, is_stream, body)
    assert answer is not None and answer.usage is not None
    (line,) = provider.invoice()["calls"]
    told: Usage = answer.usage
    assert (told.input_tokens, told.cache_read_tokens, told.cache_write_tokens, told.output_total) == (
        line["input_tokens"],
        line["cache_read_tokens"],
        line["cache_write_tokens"],
        line["output_tokens"],
    )
    assert answer.is_capped == (name == "capped")
    assert answer.tool_calls == (name == "tool")


@WAYS
def test_without_usage_what_is_visible_is_counted(provider: ScriptedProvider, api: str, is_stream: bool) -> None:
    provider.set(MODEL, Script(output_tokens=50, fault="no_usage"))
    wire = wire_of(api, is_stream)
    _, _, body = ask(provider, wire, api)
    request = wire.parse(json.dumps(BODIES[api]).encode())
    if is_stream:
        reader = wire.reader(request)
        reader.feed(body)
        assert reader.is_complete and reader.answer().usage is None
        assert reader.visible_tokens >= 50
    elif api == "invoke":
        answer = wire.read_whole(request, body)
        assert answer is not None and answer.usage is None
        assert answer.visible_tokens >= 50


@WAYS
def test_an_error_is_the_providers_own(provider: ScriptedProvider, api: str, is_stream: bool) -> None:
    provider.set(MODEL, Script(fault="status", fault_status=503))
    wire = wire_of(api, is_stream)
    status, _, body = ask(provider, wire, api)
    assert status == 503
    assert wire.is_provider_error(status, body)


@pytest.mark.parametrize("api", BODIES)
def test_garbage_in_a_stream_counts_and_an_error_ends_it(provider: ScriptedProvider, api: str) -> None:
    wire = wire_of(api, True)
    for fault, is_error in (("garbage", False), ("error_event", True)):
        provider.set(MODEL, Script.from_json({"output_tokens": 50, "fault": fault}))
        _, _, body = ask(provider, wire, api)
        reader = wire.reader(wire.parse(json.dumps(BODIES[api]).encode()))
        reader.feed(body)
        assert (reader.is_error, reader.is_finished) == (is_error, not is_error)
        assert reader.visible_tokens >= 20


def test_half_a_message_is_no_end(provider: ScriptedProvider) -> None:
    provider.set(MODEL, Script(output_tokens=50))
    wire = wire_of("converse", True)
    _, _, body = ask(provider, wire, "converse")
    reader = wire.reader(wire.parse(json.dumps(BODIES["converse"]).encode()))
    assert reader.feed(body[:-5]) + reader.rest() == body[:-5]
    assert not reader.is_finished
    with pytest.raises(UpstreamFailed):
        reader.feed(b"\0" * 12)
