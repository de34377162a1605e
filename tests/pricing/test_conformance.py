"""Every list price, compiled, against the library that lists it: never below, at most 1 nano above (R43)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from bursar.core.rates import Card
from bursar.core.usage import Usage
from bursar.pricing.book import PriceBook
from bursar.pricing.listed import compile_price

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

EVERY_MODEL = [(provider, model) for provider in providers for model in provider.models]


def as_listed(usage: Usage) -> genai_prices.Usage:
    """Say the same usage in the library's overlapping counters."""
    return genai_prices.Usage(
        input_tokens=usage.input_total,
        cache_read_tokens=usage.cache_read_tokens + usage.cache_read_audio_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        input_audio_tokens=usage.input_audio_tokens + usage.cache_read_audio_tokens,
        cache_audio_read_tokens=usage.cache_read_audio_tokens,
        output_tokens=usage.output_total,
        output_reasoning_tokens=usage.reasoning_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        web_searches=usage.web_searches,
    )


def stated(price: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {key: value for key, value in vars(price).items() if value is not None}


def thresholds(price: ModelPrice) -> set[int]:
    tiered = [value for value in stated(price).values() if isinstance(value, TieredPrices)]
    return {tier.start for value in tiered for tier in value.tiers}


def usages(price: ModelPrice) -> Iterator[Usage]:
    yield Usage()
    yield Usage(input_tokens=1, output_tokens=1)
    yield Usage(input_tokens=1_234, cache_read_tokens=77_777, output_tokens=919, reasoning_tokens=4_001)
    yield Usage(input_tokens=3, cache_write_tokens=2_049, cache_write_1h_tokens=1_025, output_tokens=7, web_searches=3)
    yield Usage(input_tokens=11, input_audio_tokens=501, cache_read_audio_tokens=99, output_audio_tokens=303)
    for start in thresholds(price):
        for total in (start - 1, start, start + 1):
            yield Usage(input_tokens=total - 40, cache_read_tokens=30, cache_write_tokens=10, output_tokens=5)


def listed_nano(price: ModelPrice, usage: Usage) -> int:
    return math.ceil(Fraction(price.calc_price(as_listed(usage))["total_price"]) * 10**9)


def compiled(price: ModelPrice) -> Card | None:
    tiers = compile_price(price)
    return None if tiers is None else Card("p", "m", "genai-prices", "v", tiers)


def kind(price: ModelPrice) -> str:
    """Sort a price by what our counters can tell apart."""
    keys = set(stated(price))
    if not keys:
        return "no rates"
    if not keys & {"input_mtok", "output_mtok"}:
        return "no token rates"
    if any(word in key for key in keys for word in ("image", "video")):
        return "dearest modality"
    return "exact" if "output_mtok" in keys else "input only"


def check(price: ModelPrice, card: Card) -> None:
    for usage in usages(price):
        ours, theirs = card.cost(usage), listed_nano(price, usage)
        is_exact = kind(price) == "exact" or (kind(price) == "input only" and usage.output_total == 0)
        assert ours == theirs if is_exact else ours >= theirs, (usage, price)


@pytest.mark.slow
def test_a_compiled_card_costs_what_the_list_says_for_every_model_at_every_price() -> None:
    counts: Counter[str] = Counter()
    for _, model in EVERY_MODEL:
        variants = [dict(variant.when) for variant in model.price_variants or ()]
        for context in ({}, *variants):
            price = model.get_prices(NOW, context)
            card = compiled(price)
            sort = kind(price)
            if not context:
                counts[f"{sort}: {'compiled' if card else 'no price'}"] += 1
            if card is not None:
                check(price, card)
                assert all(tier.rates.pico(Usage(input_tokens=1, output_tokens=1)) > 0 for tier in card.tiers)
    print(dict(counts))
    assert counts["no rates: compiled"] == 0
    assert counts["no token rates: compiled"] == 0
    assert counts["no rates: no price"] >= 100
    assert sum(count for name, count in counts.items() if name.endswith(": compiled")) >= 2_000
    assert counts["exact: no price"] <= 60
    assert counts["dearest modality: compiled"] <= 40


def moments(model: ModelInfo) -> Iterator[datetime]:
    """Give the moments just before and at each edge of a model's price history."""
    conditional = [] if isinstance(model.prices, ModelPrice) else model.prices
    for price in (*conditional, *(model.price_variants or ())):
        if isinstance(price.constraint, StartDateConstraint):
            start = datetime.combine(price.constraint.start_date, datetime.min.time(), UTC)
            yield from (start - timedelta(microseconds=1), start)
        elif isinstance(price.constraint, TimeOfDateConstraint):
            for edge in (price.constraint.start_time, price.constraint.end_time):
                at = datetime.combine(NOW.date(), edge.replace(tzinfo=None), UTC)
                yield from (at - timedelta(microseconds=1), at, at + timedelta(days=1))


def resolves_to_itself(provider: Provider, model: ModelInfo) -> bool:
    return provider.find_model(model.id, all_providers=providers) is model


@pytest.mark.slow
def test_one_book_follows_the_price_history_through_every_edge_in_any_order() -> None:
    book = PriceBook(cards_max=10_000)
    seen = 0
    for provider, model in EVERY_MODEL:
        if not resolves_to_itself(provider, model):
            continue
        for at in (NOW, *moments(model), NOW):
            expected = compile_price(model.get_prices(at))
            card = book.card(provider.id, model.id, at=at)
            assert (card.tiers if card else None) == expected, (provider.id, model.id, at)
            seen += at != NOW
    print(f"{seen} moments beside now")
    assert seen > 500


def test_a_file_search_never_costs_more_than_a_web_search_of_the_same_model() -> None:
    priced = [
        prices for _, model in EVERY_MODEL if "storage_searches_kcount" in (prices := stated(model.get_prices(NOW)))
    ]
    assert priced
    for prices in priced:
        file_search, web_search = prices["storage_searches_kcount"], prices["web_searches_kcount"]
        assert isinstance(file_search, Decimal)
        assert isinstance(web_search, Decimal)
        assert file_search <= web_search


def test_a_name_resolves_as_the_library_resolves_it() -> None:
    book = PriceBook()
    dated = ["gpt-4o-2024-08-06", "gpt-5-2025-08-07", "GPT-4o-Mini", "o3-mini-2025-01-31", "gpt-5.2-20251211"]
    claude = ["claude-sonnet-4-5-20250929", "claude-opus-4-5", "claude-3-5-haiku-latest"]
    for provider, name in [*(("openai", name) for name in dated), *(("anthropic", name) for name in claude)]:
        usage = Usage(input_tokens=1_000_003, cache_read_tokens=17, output_tokens=12_345)
        theirs = genai_prices.calc_price(
            as_listed(usage), name, provider_id=provider, genai_request_timestamp=NOW
        ).total_price
        card = book.card(provider, name, at=NOW)
        assert card is not None, name
        assert card.cost(usage) == math.ceil(theirs * 10**9)


@pytest.mark.parametrize("rate", ["-1", "NaN", "Infinity", "-Infinity", "1e400", "1e-9"])
def test_a_rate_that_is_negative_endless_absurd_or_inexact_is_no_price(rate: str) -> None:
    assert compile_price(ModelPrice(input_mtok=Decimal(rate), output_mtok=Decimal(1))) is None
    assert compile_price(ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(rate))) is None
    tiered = TieredPrices(base=Decimal(1), tiers=[Tier(start=10, price=Decimal(rate))])
    assert compile_price(ModelPrice(input_mtok=tiered, output_mtok=Decimal(1))) is None


def test_a_price_in_units_that_nobody_knows_is_no_price() -> None:
    assert compile_price(ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), thoughts_mtok=Decimal(1))) is None
