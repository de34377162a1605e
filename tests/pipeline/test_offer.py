"""What a call is offered: remembered as long as prices and facts are the same, and no longer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.labels import Labels
from bursar.core.provider import Provider
from bursar.core.window import to_ns
from bursar.metering.estimate import InputEstimates
from bursar.metering.usual import UsualAnswers
from bursar.pipeline import offer as module
from bursar.pipeline.call import Call, Target
from bursar.pipeline.offer import Offer, OfferMaker
from bursar.pricing.book import LongContext, PriceBook, PriceOverride
from bursar.pricing.facts import FactsBook
from bursar.wire.base import Anatomy
from bursar.wiring.wires import Wires

AT_NS = to_ns(datetime(2026, 11, 22, 12, tzinfo=UTC))
OPENAI = Provider("openai", "https://api.openai.com/v1", ("openai.chat",))
WIRE = Wires(2**20).wire("openai.chat")
OVERRIDES = (
    PriceOverride(provider="own", model="*", input=1, output=2, cache_write=7),
    PriceOverride(provider="own", model="*", input=2, output=5, tier="priority"),
    PriceOverride(
        provider="own", model="long", input=1, output=2, long_context=(LongContext(input=3, output=9, input_above=500),)
    ),
)


def call_of(model: str = "gpt-5", provider: Provider = OPENAI, tenant: str = "default", **more: Any) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    request = replace(WIRE.parse(json.dumps(body).encode()), **more)
    return Call("id", tenant, WIRE, request, provider, model, Labels({"agent": "a"}), "/chat/completions", {})


def offered(maker: OfferMaker, call: Call, prices: PriceBook, at_ns: int = AT_NS, *, is_strict: bool = False) -> Offer:
    return maker.offer(call, None, prices, at_ns, is_strict=is_strict)


def rates_of(offer: Offer) -> list[int]:
    return [tier.rates.input_tokens for card in offer.cards.values() for tier in card.tiers]


PROVIDERS = st.sampled_from(
    [OPENAI, replace(OPENAI, top_speed=50), replace(OPENAI, name="own"), replace(OPENAI, name="own", top_speed=900)]
)
CALLS = st.builds(
    call_of,
    st.sampled_from(["gpt-5", "o3", "long", "nobody-knows", "m" * 300]),
    PROVIDERS,
    st.sampled_from(["default", "acme"]),
    choices=st.integers(1, 3),
    searches_most=st.integers(0, 2),
    has_cache_write=st.booleans(),
    has_cache_write_1h=st.booleans(),
    service_tiers=st.sampled_from([("",), ("", "priority"), ("flex",), ("platinum", ""), ("x" * 300,)]),
    output_beyond_cap=st.integers(0, 5),
    passes_most=st.integers(1, 2),
    anatomy=st.builds(Anatomy, user=st.integers(0, 3_000)),
)
INSTANTS = st.sampled_from([AT_NS, AT_NS + 10**15, to_ns(datetime(2025, 6, 1, tzinfo=UTC))])


@given(st.lists(st.tuples(CALLS, INSTANTS, st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_an_offer_is_the_same_whatever_was_offered_before(asked: list[tuple[Call, int, bool, bool]]) -> None:
    """Prices of two books and facts that are learned in between; every call is like some earlier one or is not."""
    facts, estimates = FactsBook(), InputEstimates()
    books = PriceBook(OVERRIDES), PriceBook()
    kept = OfferMaker(facts, estimates, UsualAnswers())
    for number, (call, at_ns, is_strict, is_listed) in enumerate(asked):
        offer = offered(kept, call, books[is_listed], at_ns, is_strict=is_strict)
        assert offer == offered(
            OfferMaker(facts, estimates, UsualAnswers()), call, books[is_listed], at_ns, is_strict=is_strict
        )
        if number % 3 == 2:
            facts.learn_maximum(call.provider.name, call.model, 1_000 + number, call.tenant)


CLAUDE = "claude-opus-5"
ALIKE: list[dict[str, Any]] = [
    {"choices": 3},
    {"has_cache_write": True},
    {"has_cache_write_1h": True},
    {"searches_most": 2},
    {"service_tiers": ("", "batch")},
    {"model": "claude-haiku-4-5"},
    {"provider": replace(OPENAI, name="own")},
]


@pytest.mark.parametrize("other", ALIKE, ids=[next(iter(each)) for each in ALIKE])
def test_calls_that_differ_in_what_they_can_cost_are_offered_their_own_terms(other: dict[str, Any]) -> None:
    facts, estimates, prices = FactsBook(), InputEstimates(), PriceBook(OVERRIDES)
    alike: dict[str, Any] = {"model": CLAUDE, "provider": replace(OPENAI, name="anthropic")}
    maker = OfferMaker(facts, estimates, UsualAnswers())
    plain = offered(maker, call_of(**alike), prices)
    found = offered(maker, call_of(**{**alike, **other}), prices)
    assert found == offered(OfferMaker(facts, estimates, UsualAnswers()), call_of(**{**alike, **other}), prices)
    assert (found.cards, found.cover) != (plain.cards, plain.cover)


def test_a_call_like_an_earlier_one_is_offered_the_very_same_cards() -> None:
    maker, prices = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), PriceBook()
    first, second = (offered(maker, call_of(), prices, AT_NS + step) for step in (0, 1))
    assert first.cards is second.cards


def test_new_prices_count_from_the_next_call_on() -> None:
    maker = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers())
    books = [PriceBook((PriceOverride(provider="*", model="*", input=usd, output=usd),)) for usd in (1, 2, 1)]
    offers = [offered(maker, call_of(), book) for book in books]
    assert [rates_of(offer) for offer in offers] == [[1_000_000], [2_000_000], [1_000_000]]
    assert offers[1].cover.output_pico == 2_000_000


def test_no_book_of_old_prices_is_kept() -> None:
    maker, books = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), [PriceBook(), PriceBook()]
    for model in ("gpt-5", "o3"):
        offered(maker, call_of(model), books[0])
    offered(maker, call_of(), books[1])
    assert [place.prices for place in maker._places.values()] == [books[1]]


def test_a_dated_price_counts_from_its_first_nanosecond_to_its_last() -> None:
    maker, prices = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), PriceBook()
    change = to_ns(datetime(2025, 6, 10, tzinfo=UTC))
    found = [
        rates_of(offered(maker, call_of("o3"), prices, at_ns)) for at_ns in (change - 1, change, change - 1, AT_NS)
    ]
    assert found == [[10_000_000], [2_000_000], [10_000_000], [2_000_000]]


def test_a_maximum_that_a_refusal_taught_counts_from_the_next_call_on_and_for_its_tenant_alone() -> None:
    facts = FactsBook()
    maker, prices = OfferMaker(facts, InputEstimates(), UsualAnswers()), PriceBook()
    before = offered(maker, call_of(), prices).maximum
    facts.learn_maximum("openai", "gpt-5", 5_000, "default")
    assert before != 5_000
    assert offered(maker, call_of(), prices).maximum == 5_000
    assert offered(maker, call_of(tenant="acme"), prices).maximum == before


def test_providers_of_one_name_keep_their_own_speed() -> None:
    """As where a program's own address has the prices of a provider, and nothing is known of its speed."""
    maker, prices = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), PriceBook()
    fast = replace(OPENAI, top_speed=10_000)
    assert offered(maker, call_of(), prices).top_speed is None
    assert offered(maker, call_of(provider=fast), prices).top_speed == 10_000
    assert offered(maker, call_of(), prices).top_speed is None


def test_the_memory_of_offers_is_bounded_and_keeps_no_name_that_no_model_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES_MAX", 10)
    maker, prices = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), PriceBook()
    offered(maker, call_of("m" * 300), prices)
    assert maker._places == {} == maker._kinds
    for number in range(25):
        offered(maker, call_of(f"m-{number}"), prices)
        offered(maker, call_of(shape_key=f"s-{number}"), prices)
        assert len(maker._places) <= 10
        assert len(maker._kinds) <= 10


def test_what_a_call_taught_counts_from_the_next_call_on() -> None:
    estimates, usuals, prices = InputEstimates(), UsualAnswers(), PriceBook()
    maker, anatomy = OfferMaker(FactsBook(), estimates, usuals), Anatomy(user=4_000)
    cold = offered(maker, call_of(anatomy=anatomy), prices)
    other = offered(maker, call_of(anatomy=anatomy, shape_key="other"), prices)
    assert (cold.input_most, cold.recent.usual) == (3_500, 4_096)
    cold.shape.learn(4_000, 2_000)
    cold.recent.learn(9_000)
    for truth, usual in ((2_000, 9_000), (3_000, 12_000)):
        warm = offered(maker, call_of(anatomy=anatomy), prices)
        assert (warm.input_most, warm.recent.usual) == (truth * 115 // 100 + 32, usual)
        warm.shape.learn(4_000, 3_000)
        warm.recent.learn(12_000)
    assert offered(maker, call_of(anatomy=anatomy, shape_key="other"), prices).input_most == other.input_most
    assert offered(maker, call_of(anatomy=anatomy), prices, is_strict=True).input_most > 4_000


def test_a_call_of_the_same_size_has_the_very_offer_of_the_last_one_unless_another_is_asked() -> None:
    estimates, usuals, prices = InputEstimates(), UsualAnswers(), PriceBook()
    maker = OfferMaker(FactsBook(), estimates, usuals)
    first = offered(maker, call_of(), prices)
    first.shape.learn(2, 1)
    first.recent.learn(5)
    second, third = (offered(maker, call_of(), prices) for _ in range(2))
    assert second is third
    assert offered(maker, call_of(anatomy=Anatomy(user=4_000)), prices) != third
    elsewhere = replace(OPENAI, base_url="http://elsewhere/v1")
    assert offered(maker, call_of(provider=elsewhere), prices).provider is elsewhere


def test_a_tier_that_nobody_asked_for_is_looked_up_as_of_the_request() -> None:
    maker, prices = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), PriceBook()
    before = to_ns(datetime(2025, 6, 9, tzinfo=UTC))
    offers = [offered(maker, call_of("o3", service_tiers=("flex",)), prices, at_ns) for at_ns in (before, AT_NS)]
    cards = [prices.card("openai", "o3", at=at) for at in (datetime(2025, 6, 9, tzinfo=UTC), datetime.now(UTC))]
    assert [
        offer.card("", at_ns) if offer.cards else cards[0] for offer, at_ns in zip(offers, (before, AT_NS), strict=True)
    ] == cards


def test_a_fall_back_is_offered_its_own_terms() -> None:
    maker, prices = OfferMaker(FactsBook(), InputEstimates(), UsualAnswers()), PriceBook(OVERRIDES)
    call = call_of()
    other = Target(replace(OPENAI, name="own"), "long", WIRE, "/chat/completions")
    for _ in range(2):
        first, second = (maker.offer(call, target, prices, AT_NS, is_strict=False) for target in (None, other))
        assert (first.provider.name, second.provider.name) == ("openai", "own")
        assert rates_of(second) == [1_000_000, 3_000_000]
        assert rates_of(first) != rates_of(second)
