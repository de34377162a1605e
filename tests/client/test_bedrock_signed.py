"""Requests to Bedrock that are signed before they are sent: not a byte changes, and their own cap is what is held."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.client.bedrock_rig import CAP, CLAUDE, billed, metered_provider

import bursar
from bursar.testing import ScriptedProvider

anthropic = pytest.importorskip("anthropic")
pytest.importorskip("boto3")


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ScriptedProvider]:
    with metered_provider(tmp_path) as running:
        yield running


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Any]:
    keys = {"aws_access_key": "AKID", "aws_secret_key": "SECRET", "aws_region": "us-east-1"}
    with anthropic.AnthropicBedrock(base_url=provider.url, **keys) as made:
        yield made


def whole(client: Any) -> str:
    asked: Any = {"model": CLAUDE, "max_tokens": CAP, "messages": [{"role": "user", "content": "hello"}]}
    return str(client.messages.create(**asked).content[0].text)


def streamed(client: Any) -> str:
    asked: Any = {"model": CLAUDE, "max_tokens": CAP, "messages": [{"role": "user", "content": "hello"}]}
    with client.messages.stream(**asked) as stream:
        return str(stream.get_final_text())


@pytest.mark.parametrize("way", [whole, streamed])
def test_anthropics_own_client_of_bedrock_stays_within_its_budget(
    provider: ScriptedProvider, client: Any, way: Any
) -> None:
    plain = way(client)
    with bursar.budget("$1") as spent:
        for _ in range(4):
            assert way(client) == plain
        for _ in range(2):
            with pytest.raises(bursar.BudgetExceeded):
                way(client)
    assert (billed(provider), provider.invoice()["requests"], spent.spent) == (5, 5, Decimal(1))
    assert {line["cap"] for line in provider.invoice()["calls"]} == {CAP}
    bodies = {request["body"] for request in provider.requests()}
    assert len(bodies) == 1
