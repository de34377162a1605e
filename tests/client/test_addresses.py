"""Whose prices count where: AWS's at every address of Bedrock, whichever API is spoken there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bursar.client.places import provider_at
from bursar.config.settings import Settings


@pytest.mark.parametrize(
    ("base", "wire", "name"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "bedrock.converse", "bedrock"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "bedrock.invoke", "bedrock"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", "openai.chat", "bedrock"),
        ("https://bedrock-mantle.us-east-1.api.aws/anthropic", "anthropic.messages", "bedrock"),
        ("http://127.0.0.1:4566", "bedrock.converse", "bedrock"),
        ("https://api.anthropic.com", "anthropic.messages", "anthropic"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com.example.com", "openai.chat", "openai"),
        ("https://example.com/bedrock-runtime.us-west-2.amazonaws.com", "openai.chat", "openai"),
    ],
)
def test_the_address_says_whose_prices_count(base: str, wire: str, name: str) -> None:
    engine: Any = SimpleNamespace(settings=Settings(), addresses={})
    assert provider_at(engine, base, wire).name == name
