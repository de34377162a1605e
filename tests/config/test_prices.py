"""Prices and model facts of the operator."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.config.conftest import Load

from bursar.config.settings import ModelRow, PriceRow
from bursar.core.money import pico_per_token
from bursar.errors import ConfigError


def test_a_price_is_the_text_that_was_written(load_text: Load) -> None:
    (row,) = load_text("prices: {gpt-5: {input: $1.250, output: 10.00, cached_input: .125}}").prices
    assert row == PriceRow("gpt-5", rates=(("input", "1.250"), ("output", "10.00"), ("cached_input", ".125")))


def test_every_rate_can_be_written(load_text: Load) -> None:
    names = "input output cached_input cache_write cache_write_1h reasoning input_audio output_audio web_search request"
    (row,) = load_text(f"prices: {{m: {{{', '.join(f'{name}: 0.01' for name in names.split())}}}}}").prices
    assert [name for name, _ in row.rates] == names.split()


@pytest.mark.parametrize(
    ("key", "provider", "model"),
    [
        ("gpt-5*", "*", "gpt-5*"),
        ("'*'", "*", "*"),
        ("openai/gpt-5", "openai", "gpt-5"),
        ("own/meta/llama-3", "own", "meta/llama-3"),
        ("meta-llama/llama-3", "*", "meta-llama/llama-3"),
        ("'*/openai/gpt-5'", "*", "openai/gpt-5"),
    ],
)
def test_a_key_names_a_provider_only_where_there_is_one(load_text: Load, key: str, provider: str, model: str) -> None:
    own = "providers: {own: {base_url: 'http://x'}}"
    loaded = load_text(f"{own}\nprices:\n  {key}: {{free: true}}\nmodels:\n  {key}: {{top_speed: 5}}\n")
    assert loaded.prices == (PriceRow(model, provider, is_free=True),)
    assert loaded.models == (ModelRow(model, provider, top_speed=5),)


def test_each_fact_of_a_model_can_be_written(load_text: Load) -> None:
    (row,) = load_text("models: {m: {max_output_tokens: 128_000, top_speed: 50}}").models
    assert row == ModelRow("m", "*", 128_000, 50)
    assert {field.name for field in fields(row)} == {"model", "provider", "max_output_tokens", "top_speed"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.integers(1, 10**15))
def test_every_accepted_rate_is_exact(load_text: Load, pico: int) -> None:
    text = f"{Decimal(pico) / 10**6:f}"
    (row,) = load_text(f"prices: {{m: {{input: {text}, output: 1}}}}").prices
    assert pico_per_token(row.rates[0][1]) == pico


@pytest.mark.parametrize("rate", ["0.0000001", "0.12345678901234567890123", "1000000001"])
def test_a_rate_that_is_not_exact_or_absurd_is_refused(load_text: Load, rate: str) -> None:
    with pytest.raises(ConfigError, match=r"prices\.m\.input"):
        load_text(f"prices: {{m: {{input: {rate}, output: 1}}}}")
