"""An operator's prices are exact or refused (S47)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bursar.core.rates import Card
from bursar.core.usage import Usage
from bursar.pricing.override import LongContext, PriceOverride


def stated(**prices: Any) -> PriceOverride:
    return PriceOverride(provider="own", model="m", **{"input": "3", "output": "15", **prices})


def test_prices_become_exact_pico_usd() -> None:
    rates = stated(
        input="0.0375",
        output=Decimal("1.5"),
        cached_input="0.003625",
        cache_write=1,
        cache_write_1h=2,
        input_audio=40,
        cached_input_audio="2.5",
        reasoning=3,
        output_audio=80,
        web_search_per_1000=10,
        request_per_1000="5",
    ).rates()
    assert (rates.input_tokens, rates.output_tokens, rates.cache_read_tokens) == (37_500, 1_500_000, 3_625)
    assert (rates.cache_write_tokens, rates.cache_write_1h_tokens) == (1_000_000, 2_000_000)
    assert (rates.input_audio_tokens, rates.cache_read_audio_tokens) == (40_000_000, 2_500_000)
    assert (rates.reasoning_tokens, rates.output_audio_tokens) == (3_000_000, 80_000_000)
    assert (rates.web_searches, rates.request) == (10_000_000_000, 5_000_000_000)


def test_what_is_not_given_is_priced_as_its_parent() -> None:
    rates = stated(cache_write=4).rates()
    assert rates.cache_read_tokens == rates.input_audio_tokens == rates.cache_read_audio_tokens == 3_000_000
    assert rates.cache_write_tokens == rates.cache_write_1h_tokens == 4_000_000
    assert rates.reasoning_tokens == rates.output_audio_tokens == 15_000_000
    assert rates.web_searches == rates.request == 0


@pytest.mark.parametrize("name", ["input", "output", "cached_input", "reasoning", "web_search_per_1000"])
@pytest.mark.parametrize(
    "usd", [-1, "-0.1", "NaN", "Infinity", "1e400", "0.0000000001", 0.1, 3.0, True, "three", Decimal("sNaN"), "1e12"]
)
def test_a_price_that_is_not_an_exact_amount_is_refused(name: str, usd: object) -> None:
    with pytest.raises(ValueError, match=name):
        stated(**{name: usd})


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None},
        {"output": None},
        {"is_free": True},
        {"input": 0, "output": 0},
        {"provider": ""},
        {"model": ""},
        {"long_context": (LongContext(input_above=0, input=1, output=1),)},
        {
            "long_context": (
                LongContext(input_above=9, input=1, output=1),
                LongContext(input_above=9, input=2, output=2),
            )
        },
        {"long_context": (LongContext(input_above=9, input=1),)},
    ],
)
def test_a_price_that_says_too_little_or_too_much_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"price|free|rise"):
        PriceOverride(**{"provider": "own", "model": "m", "input": 1, "output": 1, **fields})


def test_long_context_prices_the_whole_call() -> None:
    override = stated(long_context=(LongContext(input_above=200_000, input=6, output="22.5"),))
    card = Card("own", "m", "override", override.version, override.tiers())
    assert card.cost(Usage(input_tokens=200_000, output_tokens=1)) == 600_015_000
    assert card.cost(Usage(input_tokens=200_001, output_tokens=1)) == 1_200_028_500


def test_the_version_follows_the_contents() -> None:
    assert stated().version == stated().version
    assert stated().version.startswith("override ")
    others = [
        stated(input=4),
        stated(tier="flex"),
        stated(cache_write=3),
        PriceOverride(provider="o", model="m", is_free=True),
    ]
    assert len({stated().version, *(other.version for other in others)}) == 5
