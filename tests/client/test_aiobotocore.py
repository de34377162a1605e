"""aiobotocore inside a budget: metered where its session sends, signed anew where a cap is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.client.bedrock_rig import CAP, CLAUDE, HELLO, KEYS, MESSAGE, billed, metered_provider

import bursar
from bursar.config.settings import PriceRow, Settings, StoreSettings
from bursar.core.provider import Provider
from bursar.testing import Rates, Script, ScriptedProvider

pytest.importorskip("botocore")
aio = pytest.importorskip("aiobotocore.session", reason="aiobotocore is not installed: pip install aiobotocore")
CONFIG = {"inferenceConfig": {"maxTokens": CAP}}


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ScriptedProvider]:
    with metered_provider(tmp_path) as running:
        yield running


@pytest.fixture
async def client(provider: ScriptedProvider) -> AsyncIterator[Any]:
    async with aio.get_session().create_client("bedrock-runtime", endpoint_url=provider.url, **KEYS) as made:
        yield made


async def converse(client: Any, model: str = CLAUDE, more: Any = CONFIG) -> str:
    answer = await client.converse(modelId=model, messages=HELLO, **more)
    return str(answer["output"]["message"]["content"][0]["text"])


async def converse_stream(client: Any, model: str = CLAUDE, more: Any = CONFIG) -> str:
    answer = await client.converse_stream(modelId=model, messages=HELLO, **more)
    deltas = [event["contentBlockDelta"]["delta"] async for event in answer["stream"] if "contentBlockDelta" in event]
    return "".join(delta.get("text", "") for delta in deltas)


async def invoke(client: Any, model: str = CLAUDE) -> str:
    answer = await client.invoke_model(modelId=model, body=json.dumps(MESSAGE))
    async with answer["body"] as body:
        return str(json.loads(await body.read())["content"][0]["text"])


WAYS = pytest.mark.parametrize("way", [converse, converse_stream, invoke])


@WAYS
async def test_four_calls_of_a_quarter_fit_a_dollar(provider: ScriptedProvider, client: Any, way: Any) -> None:
    with bursar.budget("$1") as spent:
        for _ in range(4):
            assert len(await way(client)) == 20_000
        for _ in range(4):
            with pytest.raises(bursar.BudgetExceeded):
                await way(client)
    assert (billed(provider), provider.invoice()["requests"], spent.spent) == (4, 4, Decimal(1))


@WAYS
async def test_forty_at_once_send_no_more_than_fits(provider: ScriptedProvider, client: Any, way: Any) -> None:
    with bursar.budget("$1") as spent:
        found = await asyncio.gather(*(way(client) for _ in range(40)), return_exceptions=True)
    assert sum(isinstance(each, str) for each in found) == 4
    assert (billed(provider), spent.spent) == (4, Decimal(1))


async def test_an_unknown_model_never_reaches_the_provider(provider: ScriptedProvider, client: Any) -> None:
    with bursar.budget("$1"), pytest.raises(bursar.BudgetExceeded):
        await converse(client, "acme.unknown-v1:0")
    assert provider.invoice()["requests"] == 0


@pytest.mark.parametrize("way", [converse, converse_stream])
async def test_without_a_cap_one_is_written_and_the_request_is_signed_anew(
    provider: ScriptedProvider, client: Any, way: Any
) -> None:
    await way(client, CLAUDE, {})
    with bursar.budget("$1"):
        await way(client, CLAUDE, {})
    plain, capped = provider.invoice()["calls"]
    assert plain["cap"] is None
    assert capped["cap"] == 5_000
    first, second = (dict(request["headers"]) for request in provider.requests())
    assert first["authorization"] != second["authorization"]
    assert first.keys() == second.keys()


async def test_what_nothing_bounds_is_refused(provider: ScriptedProvider, client: Any) -> None:
    with bursar.budget("$1"), pytest.raises(client.exceptions.ResourceNotFoundException, match="nothing bounds"):
        await client.apply_guardrail(
            guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "hi"}}]
        )
    assert provider.invoice()["requests"] == 0


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[tuple[ScriptedProvider, Any]]:
    """A Bedrock whose top speed is known, so that a stream begins with a small hold and is cut where money ends."""
    script = Script(output_tokens=50_000, tokens_per_s=20_000, rates=Rates(input=0, cache_read=0, output=50_000_000))
    rates = (("input", "0"), ("output", "50"))
    with ScriptedProvider({"*": script}) as running:
        wires = ("bedrock.converse", "bedrock.invoke")
        settings = Settings(
            store=StoreSettings(path=tmp_path / "bursar.db"),
            providers=(Provider("bedrock", running.url, wires, top_speed=20_000),),
            prices=(PriceRow("*", "bedrock", False, rates),),
        )
        bursar.configure(settings)
        try:
            async with aio.get_session().create_client("bedrock-runtime", endpoint_url=running.url, **KEYS) as made:
                yield running, made
        finally:
            bursar.close()


async def test_a_stream_is_cut_as_bedrock_ends_one_at_its_cap(slow: tuple[ScriptedProvider, Any]) -> None:
    provider, client = slow
    with bursar.budget("$0.75") as spent:
        answer = await client.converse_stream(modelId=CLAUDE, messages=HELLO)
        events = [event async for event in answer["stream"]]
    assert [event["messageStop"]["stopReason"] for event in events if "messageStop" in event] == ["max_tokens"]
    usage = events[-1]["metadata"]["usage"]
    assert usage["outputTokens"] > 1_000
    assert spent.spent <= Decimal("0.75")
    provider.wait(ended=1)
    assert provider.invoice()["total_nano"] <= 750_000_000


async def test_an_invoked_stream_is_cut_as_anthropic_ends_one_at_its_cap(slow: tuple[ScriptedProvider, Any]) -> None:
    provider, client = slow
    body = json.dumps({**MESSAGE, "max_tokens": 40_000})
    with bursar.budget("$0.75") as spent:
        answer = await client.invoke_model_with_response_stream(modelId=CLAUDE, body=body)
        events = [json.loads(event["chunk"]["bytes"]) async for event in answer["body"]]
    assert [event["type"] for event in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"
    assert spent.spent <= Decimal("0.75")
    provider.wait(ended=1)
    assert provider.invoice()["total_nano"] <= 750_000_000
