"""Which card applies: order, tiers, time, names, and that an unknown price is never free (R39, R42)."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bursar.core.rates import Card
from bursar.core.usage import COUNT_MAX, Usage
from bursar.core.window import to_ns
from bursar.pricing.book import PriceBook, Priced, PriceOverride

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def card(book: PriceBook, provider: str, model: str, tier: str = "", at: datetime = NOW) -> Card:
    found = book.card(provider, model, tier=tier, at=at)
    assert found is not None, (provider, model, tier)
    return found


def input_rate(card: Card) -> int:
    return card.tiers[0].rates.input_tokens


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-from-the-future"),
        ("openai", ""),
        ("nobody", "gpt-4o"),
        ("my-openai-proxy", "gpt-4o"),
        ("openai", "gpt-4o" + "o" * 300),
        ("openai", "moderation"),
        ("openai", "tts-1"),
    ],
)
def test_an_unknown_price_is_none_and_never_free(provider: str, model: str) -> None:
    book = PriceBook()
    assert book.card(provider, model, at=NOW) is None
    assert book.card(provider, model, at=NOW) is None


def test_a_card_says_where_its_rates_come_from() -> None:
    found = card(PriceBook(), "openai", "gpt-4o-2024-08-06")
    assert (found.provider, found.model, found.source) == ("openai", "gpt-4o-2024-08-06", "genai-prices")
    assert found.version.startswith("genai-prices 0.")


def test_a_local_provider_is_free_for_any_model_and_in_any_tier() -> None:
    book = PriceBook(free_providers=frozenset({"Ollama"}))
    found = card(book, "ollama", "anything", "priority")
    assert found.source == "free"
    assert found.cost(Usage(input_tokens=10**9, output_tokens=10**9, web_searches=9)) == 0


def test_an_override_comes_before_free_and_free_before_the_list() -> None:
    book = PriceBook(
        (PriceOverride(provider="openai", model="gpt-4o", input=7, output=8),), frozenset({"openai", "anthropic"})
    )
    assert card(book, "openai", "gpt-4o").source == "override"
    assert card(book, "openai", "gpt-5").source == "free"
    assert card(book, "anthropic", "claude-opus-5").source == "free"


def test_the_closest_override_wins_provider_first_then_exact_before_glob() -> None:
    def stated(provider: str, model: str, usd: int) -> PriceOverride:
        return PriceOverride(provider=provider, model=model, input=usd, output=usd)

    book = PriceBook(
        (
            stated("*", "*", 1),
            stated("*", "gpt-*", 2),
            stated("*", "gpt-5", 3),
            stated("work*", "*", 4),
            stated("work", "*", 5),
            stated("work", "gpt-*", 6),
            stated("work", "gpt-5*", 7),
            stated("work", "GPT-5", 8),
        )
    )
    cases = {
        ("any", "llama"): 1,
        ("any", "gpt-4"): 2,
        ("any", "gpt-5"): 3,
        ("works", "gpt-5"): 4,
        ("work", "llama"): 5,
        ("work", "gpt-4"): 6,
        ("Work", "gpt-5-mini"): 7,
        ("WORK", "gpt-5"): 8,
    }
    for (provider, model), usd in cases.items():
        assert input_rate(card(book, provider, model)) == usd * 1_000_000, (provider, model)


def test_the_same_override_twice_is_refused() -> None:
    twice = PriceOverride(provider="a", model="b", input=1, output=1)
    with pytest.raises(ValueError, match="stated twice"):
        PriceBook((twice, PriceOverride(provider="A", model="B", input=2, output=2)))


def test_an_ordinary_override_does_not_price_a_dearer_tier() -> None:
    ordinary = PriceOverride(provider="own", model="m", input=1, output=1)
    assert PriceBook((ordinary,)).card("own", "m", tier="priority", at=NOW) is None
    named = PriceOverride(provider="own", model="m", tier="priority", input=2, output=2)
    other = PriceOverride(provider="own", model="m", tier="*", input=3, output=3)
    book = PriceBook((ordinary, named, other))
    assert [input_rate(card(book, "own", "m", tier)) for tier in ("", "Priority", "flex")] == [
        10**6,
        2 * 10**6,
        3 * 10**6,
    ]
    assert (
        card(PriceBook((PriceOverride(provider="own", model="m", is_free=True),)), "own", "m", "flex").source == "free"
    )


@pytest.mark.parametrize("tier", ["default", "Standard", "standard_only", "on_demand"])
def test_the_ordinary_tier_has_many_names(tier: str) -> None:
    book = PriceBook((PriceOverride(provider="openai", model="gpt-5", tier="standard", input=7, output=7),))
    assert card(book, "openai", "gpt-5", tier).source == card(book, "openai", "gpt-5").source == "override"
    assert card(book, "openai", "gpt-5", "flex").source == "genai-prices"
    assert card(book, "openai", "gpt-4o", tier).tiers == card(book, "openai", "gpt-4o").tiers


def test_a_tier_is_priced_as_its_variant_or_not_at_all() -> None:
    book = PriceBook()
    plain, flex, priority = (input_rate(card(book, "openai", "gpt-5", tier)) for tier in ("", "flex", "priority"))
    assert flex * 2 == plain
    assert priority == plain * 2
    assert card(book, "openai", "gpt-5", "default").tiers == card(book, "openai", "gpt-5").tiers
    assert card(book, "openai", "gpt-5", "FLEX").tiers == card(book, "openai", "gpt-5", "flex").tiers
    assert book.card("openai", "gpt-5", tier="platinum", at=NOW) is None
    assert book.card("openai", "gpt-3.5-turbo", tier="priority", at=NOW) is None
    slow, fast, batch = (card(book, "anthropic", "claude-opus-5", tier) for tier in ("standard", "fast", "batch"))
    assert (input_rate(fast), input_rate(batch) * 2) == (2 * input_rate(slow), input_rate(slow))


def test_a_borrowed_price_has_only_the_ordinary_tier() -> None:
    book = PriceBook()
    assert input_rate(card(book, "azure", "gpt-5")) == input_rate(card(book, "openai", "gpt-5"))
    assert book.card("azure", "gpt-5", tier="priority", at=NOW) is None


def test_own_names_of_providers_are_translated() -> None:
    book = PriceBook(price_as={"Work": "OpenAI", "lab": "gemini", "lost": "no-such-list"})
    assert input_rate(card(book, "work", "gpt-4o")) == input_rate(card(book, "openai", "gpt-4o"))
    assert card(book, "work", "gpt-4o").provider == "work"
    assert card(book, "lab", "gemini-2.5-pro").tiers == card(book, "google", "gemini-2.5-pro").tiers
    assert card(book, "xai", "grok-3").tiers == card(book, "x-ai", "grok-3").tiers
    assert book.card("lost", "gpt-4o", at=NOW) is None


def test_a_price_change_is_honoured_at_its_moment_and_back() -> None:
    book = PriceBook()
    before, after = datetime(2025, 6, 9, 23, 59, 59, tzinfo=UTC), datetime(2025, 6, 10, tzinfo=UTC)
    rates = [input_rate(card(book, "openai", "o3", at=at)) for at in (before, after, before, NOW)]
    assert rates == [10_000_000, 2_000_000, 10_000_000, 2_000_000]


def test_a_price_says_for_how_long_it_holds_and_one_of_no_model_for_no_time() -> None:
    book = PriceBook()
    change, at_ns = to_ns(datetime(2025, 6, 10, tzinfo=UTC)), to_ns(NOW)
    old, new = (book.priced("openai", "o3", "", at_ns) for at_ns in (change - 1, change))
    assert (old.until_ns, new.from_ns) == (change, change)
    assert old.from_ns < change < new.until_ns
    unlisted = book.priced("openai", "gpt-from-the-future", "", at_ns)
    assert unlisted.card is None
    assert unlisted.from_ns <= at_ns < unlisted.until_ns
    assert book.priced("openai", "o" * 300, "", at_ns) == Priced(None, at_ns, at_ns)


def test_a_moment_counts_in_utc_whatever_its_zone() -> None:
    east = datetime(2025, 6, 10, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert input_rate(card(PriceBook(), "openai", "o3", at=east)) == 10_000_000
    with pytest.raises(ValueError, match="time zone"):
        PriceBook().card("openai", "o3", at=datetime(2025, 6, 10))  # noqa: DTZ001


def test_long_context_costs_more_from_one_token_above_the_threshold() -> None:
    found = card(PriceBook(), "anthropic", "claude-sonnet-4-5-20250929")
    assert [tier.input_above for tier in found.tiers] == [0, 200_000]
    assert found.cost(Usage(input_tokens=200_000)) == 600_000_000
    assert found.cost(Usage(input_tokens=200_001)) == 1_200_006_000


def test_every_leaf_has_a_rate_by_inheritance() -> None:
    rates = card(PriceBook(), "openai", "gpt-4-turbo").tiers[0].rates
    assert rates.cache_read_tokens == rates.cache_write_tokens == rates.input_audio_tokens == rates.input_tokens > 0
    assert rates.reasoning_tokens == rates.output_audio_tokens == rates.output_tokens > 0
    claude = card(PriceBook(), "anthropic", "claude-opus-5").tiers[0].rates
    assert claude.cache_read_tokens < claude.input_tokens < claude.cache_write_tokens < claude.cache_write_1h_tokens
    assert claude.web_searches == 10_000_000_000


def test_output_without_a_rate_is_priced_as_input_not_as_nothing() -> None:
    rates = card(PriceBook(), "openai", "text-embedding-3-small").tiers[0].rates
    assert rates.output_tokens == rates.reasoning_tokens == rates.input_tokens == 20_000


@pytest.mark.parametrize("tokens", [0, 1, 2**31, 2**53, 2**53 + 1, COUNT_MAX])
def test_huge_counts_are_exact(tokens: int) -> None:
    found = card(PriceBook((PriceOverride(provider="*", model="m", input="0.0375", output=1),)), "own", "m")
    assert found.cost(Usage(input_tokens=tokens)) == (tokens * 37_500 + 999) // 1_000
    assert found.cost(Usage(output_tokens=tokens)) == tokens * 1_000


@pytest.mark.parametrize("tokens", [-1, COUNT_MAX + 1, 1.0, True, float("nan")])
def test_a_count_that_is_no_count_is_refused(tokens: int) -> None:
    with pytest.raises(ValueError, match="whole number"):
        Usage(input_tokens=tokens)


def test_the_cache_is_bounded_and_forgets_the_least_recent() -> None:
    book = PriceBook(free_providers=frozenset({"local"}), cards_max=3)
    kept = card(book, "local", "kept")
    for number in range(50):
        card(book, "local", f"model-{number}")
        assert card(book, "local", "kept") is kept
    assert len(book._cards) == 3
    with pytest.raises(ValueError, match="cards_max"):
        PriceBook(cards_max=0)


def test_many_threads_get_the_same_cards() -> None:
    book = PriceBook(cards_max=4)
    names = ["gpt-5", "gpt-4o", "o3", "gpt-4.1", "gpt-5-mini", "nothing"] * 50
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: book.card("openai", name, at=NOW), names))
    assert found == [PriceBook().card("openai", name, at=NOW) for name in names]


@pytest.mark.slow
def test_a_book_that_needs_no_list_does_not_import_it() -> None:
    code = """
import sys
from datetime import UTC, datetime
from bursar.pricing.book import PriceBook, PriceOverride
import bursar.pricing.bound, bursar.pricing.facts
book = PriceBook((PriceOverride(provider='a', model='b', input=1, output=1),), frozenset({'local'}))
assert book.card('a', 'b', at=datetime.now(UTC)) and book.card('local', 'x', at=datetime.now(UTC))
assert not {'genai_prices', 'pydantic'} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
