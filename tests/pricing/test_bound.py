"""No answer within what was asked costs more than what is held (S24)."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.money import ceil_nano
from bursar.core.rates import Card, Rates, Tier
from bursar.core.usage import Usage
from bursar.pricing.bound import Asked, Bound, bound, rising
from bursar.pricing.override import FREE, LongContext, PriceOverride

RATE = st.integers(0, 200_000_000)
RATES = st.builds(Rates, **{field.name: RATE for field in fields(Rates)})


@st.composite
def cards(draw: st.DrawFn) -> Card:
    above = draw(st.lists(st.integers(1, 1_000), max_size=3, unique=True).map(sorted))
    tiers = tuple(Tier(start, draw(RATES)) for start in (0, *above))
    return Card("p", "m", "test", "1", tiers)


ASKED = st.builds(
    Asked,
    input_most=st.integers(0, 2_000),
    choices=st.integers(1, 4),
    has_cache_write=st.booleans(),
    has_cache_write_1h=st.booleans(),
    searches_most=st.integers(0, 5),
    has_audio=st.booleans(),
)


def allowed_leaves(asked: Asked) -> tuple[list[str], list[str]]:
    read, written = ["input_tokens", "cache_read_tokens"], ["output_tokens", "reasoning_tokens"]
    if asked.has_cache_write or asked.has_cache_write_1h:
        read.append("cache_write_tokens")
    if asked.has_cache_write_1h:
        read.append("cache_write_1h_tokens")
    if asked.has_audio:
        read += ["input_audio_tokens", "cache_read_audio_tokens"]
        written.append("output_audio_tokens")
    return read, written


@given(st.data(), st.lists(cards(), min_size=1, max_size=3), ASKED, st.integers(0, 500))
def test_no_answer_within_what_was_asked_costs_more_than_the_bound(
    data: st.DataObject, all_cards: list[Card], asked: Asked, out_per_choice: int
) -> None:
    draw = data.draw
    read, written = allowed_leaves(asked)
    edges = [tier.input_above + step for card in all_cards for tier in card.tiers for step in (0, 1)]
    sizes = [size for size in (*edges, asked.input_most) if size <= asked.input_most]
    used_in = draw(st.sampled_from(sizes) | st.integers(0, asked.input_most))
    used_out = draw(st.integers(0, out_per_choice * asked.choices))

    def shares(total: int, leaves: list[str]) -> dict[str, int]:
        cuts = sorted(draw(st.lists(st.integers(0, total), min_size=len(leaves) - 1, max_size=len(leaves) - 1)))
        return {leaf: high - low for leaf, low, high in zip(leaves, [0, *cuts], [*cuts, total], strict=True)}

    searches = draw(st.integers(0, asked.searches_most))
    usage = Usage(**shares(used_in, read), **shares(used_out, written), web_searches=searches)
    most = bound(tuple(all_cards), asked)
    held = ceil_nano(most.fixed_pico + out_per_choice * most.output_pico)
    for card in all_cards:
        assert card.cost(usage) <= held


@given(st.lists(cards(), min_size=1, max_size=3), ASKED, st.lists(st.integers(0, 2_000), max_size=5))
def test_the_bound_rises_with_the_input_as_it_would_for_that_input_alone(
    all_cards: list[Card], asked: Asked, sizes: list[int]
) -> None:
    """The dearest input of each tier that a size reaches, tier by tier."""
    bounds = rising(tuple(all_cards), replace(asked, input_most=0))
    read, written = allowed_leaves(asked)
    for size in sizes:
        fixed = output = 0
        for card in all_cards:
            ends = [tier.input_above for tier in card.tiers[1:]] + [size]
            for tier, end in zip(card.tiers, ends, strict=True):
                if tier.input_above == 0 or tier.input_above < size:
                    dearest_in = max(getattr(tier.rates, leaf) for leaf in read)
                    dearest_out = max(getattr(tier.rates, leaf) for leaf in written)
                    fees = tier.rates.request + asked.searches_most * tier.rates.web_searches
                    fixed = max(fixed, min(end, size) * dearest_in + fees)
                    output = max(output, asked.choices * dearest_out)
        assert bounds.at(size) == Bound(fixed, output, bounds.has_unpriced_searches)


def card_of(**prices: object) -> Card:
    override = PriceOverride(provider="p", model="m", **{"input": 3, "output": 15, **prices})  # type: ignore[arg-type]
    return Card("p", "m", "override", override.version, override.tiers())


CLAUDE = {"cached_input": "0.3", "cache_write": "3.75", "cache_write_1h": 6, "web_search_per_1000": 10}


def test_a_premium_is_held_only_where_the_body_asks_for_it() -> None:
    card = card_of(**CLAUDE, input_audio=40, output_audio=80)

    def most(**asked: object) -> Bound:
        return bound((card,), Asked(input_most=1_000, **{"has_audio": False, **asked}))  # type: ignore[arg-type]

    assert most() == Bound(3_000_000_000, 15_000_000)
    assert most(has_cache_write=True).fixed_pico == 3_750_000_000
    assert most(has_cache_write_1h=True).fixed_pico == 6_000_000_000
    assert most(has_audio=True) == Bound(40_000_000_000, 80_000_000)
    assert most(searches_most=5).fixed_pico == 3_000_000_000 + 50_000_000_000
    assert most(choices=3) == Bound(3_000_000_000, 45_000_000)


def test_a_cached_read_dearer_than_input_is_held() -> None:
    assert bound((card_of(cached_input=9),), Asked(input_most=10)).fixed_pico == 90_000_000


def test_a_tier_counts_only_when_the_input_can_reach_it() -> None:
    card = card_of(long_context=(LongContext(input_above=200_000, input=6, output=30),))
    assert bound((card,), Asked(input_most=200_000)) == Bound(600_000_000_000, 15_000_000)
    assert bound((card,), Asked(input_most=200_001)) == Bound(1_200_006_000_000, 30_000_000)


def test_a_cheaper_long_tier_does_not_lower_the_bound() -> None:
    card = card_of(long_context=(LongContext(input_above=1_000, input=1, output=1),))
    assert bound((card,), Asked(input_most=1_001)) == Bound(3_000_000_000, 15_000_000)


def test_the_dearest_service_tier_counts() -> None:
    assert bound((card_of(), card_of(input=6, output=10)), Asked(input_most=10)) == Bound(60_000_000, 15_000_000)


def test_searches_without_a_fee_are_told() -> None:
    asked = Asked(input_most=10, searches_most=1)
    assert bound((card_of(),), asked).has_unpriced_searches
    assert bound((card_of(**CLAUDE), card_of()), asked).has_unpriced_searches
    assert not bound((card_of(**CLAUDE),), asked).has_unpriced_searches
    assert not bound((card_of(),), Asked(input_most=10)).has_unpriced_searches
    assert not bound((Card("local", "m", "free", "declared", FREE),), asked).has_unpriced_searches


def test_without_a_card_there_is_no_bound() -> None:
    with pytest.raises(ValueError, match="price card"):
        bound((), Asked(input_most=10))


@pytest.mark.parametrize(
    "wrong", [{"input_most": -1}, {"input_most": 1, "choices": 0}, {"input_most": 1, "searches_most": -1}]
)
def test_what_nobody_can_ask_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Asked(**wrong)  # type: ignore[arg-type]
