"""google-genai inside a budget, by aiohttp: what fits is answered; then its ClientError is BudgetExceeded as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.client.bedrock_rig import CAP, GEMINI, billed, metered_provider

import bursar
from bursar.testing import Script, ScriptedProvider

pytest.importorskip("aiohttp")
genai = pytest.importorskip("google.genai", reason="google-genai is not installed: pip install google-genai")


pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # google-genai's own


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ScriptedProvider]:
    with metered_provider(tmp_path) as running:
        yield running


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Any]:
    made = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=provider.url))
    yield made
    made.close()


async def whole(client: Any, model: str = GEMINI) -> str:
    config = {"max_output_tokens": CAP}
    answer = await client.aio.models.generate_content(model=model, contents="hello", config=config)
    return str(answer.text)


async def streamed(client: Any, model: str = GEMINI) -> str:
    config = {"max_output_tokens": CAP}
    stream = await client.aio.models.generate_content_stream(model=model, contents="hello", config=config)
    return "".join([chunk.text or "" async for chunk in stream])


WAYS = pytest.mark.parametrize("way", [whole, streamed])


def run(client: Any, work: Any) -> Any:
    async def closing() -> Any:
        try:
            return await work
        finally:
            await client.aio.aclose()

    return asyncio.run(closing())


@WAYS
def test_four_calls_of_a_quarter_fit_a_dollar_and_a_refusal_is_one_attempt(
    provider: ScriptedProvider, client: Any, way: Any
) -> None:
    async def ask() -> None:
        for _ in range(4):
            await way(client)
        for _ in range(4):
            with pytest.raises(bursar.BudgetExceeded, match=r"\$1.00") as refused:
                await way(client)
            assert isinstance(refused.value, genai.errors.ClientError)
            assert (refused.value.code, refused.value.status) == (402, "FAILED_PRECONDITION")

    with bursar.budget("$1") as spent:
        run(client, ask())
    assert (billed(provider), provider.invoice()["requests"], spent.spent) == (4, 4, Decimal(1))


@WAYS
def test_forty_at_once_send_no_more_than_fits(provider: ScriptedProvider, client: Any, way: Any) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(way(client) for _ in range(40)), return_exceptions=True)

    with bursar.budget("$1") as spent:
        found = run(client, ask())
    assert sum(isinstance(each, str) for each in found) == 4
    assert sum(isinstance(each, bursar.BudgetExceeded) for each in found) == 36
    assert (billed(provider), spent.spent) == (4, Decimal(1))


@WAYS
def test_an_unknown_model_never_reaches_the_provider(provider: ScriptedProvider, client: Any, way: Any) -> None:
    with bursar.budget("$1"), pytest.raises(bursar.BudgetExceeded):
        run(client, way(client, "acme-unknown"))
    assert provider.invoice()["requests"] == 0


@WAYS
def test_answers_are_what_they_are_without_a_budget(provider: ScriptedProvider, client: Any, way: Any) -> None:
    async def both() -> tuple[str, str]:
        plain = await way(client)
        with bursar.budget("$1"):
            within = await way(client)
        return plain, within

    plain, within = run(client, both())
    assert plain == within
    assert len(plain) == 20_000


def test_the_providers_own_errors_stay_what_they_are(provider: ScriptedProvider, client: Any) -> None:
    provider.set(GEMINI, Script(fault="status", fault_status=429))
    with bursar.budget("$1") as spent, pytest.raises(genai.errors.ClientError) as failed:
        run(client, whole(client))
    assert not isinstance(failed.value, bursar.BudgetExceeded)
    assert failed.value.code == 429
    assert spent.spent == 0


def test_the_blocking_client_raises_the_same(provider: ScriptedProvider, client: Any) -> None:
    with bursar.budget("$0.10"), pytest.raises(bursar.BudgetExceeded) as refused:
        client.models.generate_content(model=GEMINI, contents="hello", config={"max_output_tokens": CAP})
    assert isinstance(refused.value, genai.errors.ClientError)
    assert provider.invoice()["requests"] == 0


def test_what_was_patched_is_undone(provider: ScriptedProvider) -> None:
    bursar.close()
    names = ("raise_error", "raise_error_async")
    before = [genai.errors.APIError.__dict__[name] for name in names]
    with bursar.budget("$1"):
        assert [genai.errors.APIError.__dict__[name] for name in names] != before
    assert [genai.errors.APIError.__dict__[name] for name in names] == before
