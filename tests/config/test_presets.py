"""docs/providers.md: each block loads as it stands, says what the page says of it, and finds prices."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.config.conftest import Load

from bursar.core.provider import Auth, Provider
from bursar.wiring.prices import open_prices

TEXT = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NAMED = {name: block for block in BLOCKS for name in re.findall(r"^  ([a-z0-9-]+):$", block, re.MULTILINE)}
ENVIRON = dict.fromkeys(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TEXT), "key-of-the-operator")
PRICED = [
    ("openrouter", "anthropic/claude-sonnet-4.5"),
    ("openrouter", "meta-llama/llama-3.3-70b-instruct:free"),
    ("groq", "llama-3.3-70b-versatile"),
    ("groq", "openai/gpt-oss-120b"),
    ("mistral", "mistral-large-latest"),
    ("deepseek", "deepseek-chat"),
    ("azure", "gpt-5-mini"),
    ("azure-gpt-4o", "gpt-4o"),
    ("vllm", "qwen3"),
    ("ollama", "qwen3"),
    ("lmstudio", "any"),
    ("house", "gpt-5"),
]


def provider(load_text: Load, name: str) -> Provider:
    return next(item for item in load_text(NAMED[name], ENVIRON).providers if item.name == name)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_block_loads(load_text: Load, block: str) -> None:
    assert load_text(block, ENVIRON).providers


def test_there_is_a_block_for_each_provider_of_the_page() -> None:
    assert set(NAMED) >= {name for name, _ in PRICED}


@pytest.mark.parametrize(("name", "model"), PRICED)
def test_each_finds_prices(load_text: Load, name: str, model: str) -> None:
    book = open_prices(load_text(NAMED[name], ENVIRON))
    card = book.card(name, model, at=datetime.now(UTC))
    assert card is not None
    is_free = name in {"vllm", "ollama", "lmstudio"} or model.endswith(":free")
    assert (card.source == "free") is is_free


@pytest.mark.parametrize("model", ["openai/gpt-5:online", "openai/gpt-5:nitro", "openai/gpt-5:floor"])
def test_a_variant_of_openrouter_has_no_price_that_is_known_before(load_text: Load, model: str) -> None:
    book = open_prices(load_text(NAMED["openrouter"], ENVIRON))
    assert book.card("openrouter", model, at=datetime.now(UTC)) is None


def test_azure_is_asked_in_both_of_its_ways(load_text: Load) -> None:
    new, old = provider(load_text, "azure"), provider(load_text, "azure-gpt-4o")
    assert new.auth is old.auth is Auth.API_KEY
    assert (new.query, old.query) == ((), (("api-version", "2024-10-21"),))
    assert new.base_url.endswith("/openai/v1")


def test_mistral_is_sent_nothing_that_it_refuses(load_text: Load) -> None:
    mistral = provider(load_text, "mistral")
    assert mistral.cap_parameter == "max_tokens"
    assert not mistral.takes_stream_options


def test_what_comes_from_the_environment_is_hidden(load_text: Load) -> None:
    house = provider(load_text, "house")
    assert house.headers == (("x-team", "key-of-the-operator"),)
    assert house.hidden == ("key-of-the-operator",)
    assert "key-of-the-operator" not in repr(house)
