"""An offer: on whose terms a call can be answered, by one of the providers that may be asked for it.

Owns what differs from provider to provider: price cards, the most that an attempt can cost there, and under which keys
its truth is learnt. A call has one offer for the provider that was asked for and one for each fall-back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bursar.core.admission import Cover
from bursar.core.rates import Card
from bursar.core.value import value
from bursar.core.window import to_datetime
from bursar.metering.estimate import EstimateKey, InputEstimates
from bursar.metering.usual import UsualKey
from bursar.pipeline.call import Call, Target
from bursar.pricing.book import PriceBook
from bursar.pricing.bound import Asked, Bound, bound
from bursar.pricing.facts import FactsBook, ModelFacts
from bursar.wire.base import Request

__all__ = ["Offer", "OfferMaker", "dearest", "speed"]


@value
class Offer:
    """One provider's terms for a call."""

    target: Target
    cards: dict[str, Card]
    """By service tier; empty when nobody knows the price."""
    cover: Cover
    """What one attempt there can cost."""
    estimate_key: EstimateKey
    usual_key: UsualKey
    maximum: int | None
    """The most output tokens that the model gives, where that is known."""
    top_speed: int | None
    """Output tokens per second and answer that it never exceeds; None when unknown."""
    has_unpriced_searches: bool

    look_up: Callable[[str], Card | None]
    """Finds the card of a tier that nobody asked for, at the moment of the request."""

    def card(self, tier: str) -> Card | None:
        """Give the card of the tier that was billed; where it is not known, the dearest that was asked for."""
        found = self.cards.get(tier)
        if found is None and self.cards:
            found = self.look_up(tier)
        if found is None and self.cards:
            found = max(self.cards.values(), key=lambda card: card.tiers[-1].rates.output_most)
        return found


@dataclass(frozen=True, slots=True)
class OfferMaker:
    """Makes offers from prices, facts and what was learnt of earlier calls."""

    prices: PriceBook
    facts: FactsBook
    estimates: InputEstimates

    def offer(self, call: Call, target: Target, at_ns: int, *, is_strict: bool) -> Offer:
        name, model, wire = target.provider.name, target.model, call.wire.name
        look_up = partial(self._card, name, model, at_ns)
        cards = _cards(call.request, look_up)
        facts = self.facts.facts(name, model, call.tenant)
        estimate_key = EstimateKey(call.tenant, name, wire, model, call.request.shape_key)
        input_most = self._input_most(call.request, estimate_key, facts, is_strict=is_strict) + call.earlier_tokens
        most = _bound(call.request, cards, facts, input_most)
        return Offer(
            target,
            cards,
            _cover(call.request, most, input_most),
            estimate_key,
            UsualKey(call.tenant, call.labels["agent"], model, wire),
            facts.max_output_tokens,
            self._top_speed(target, facts),
            most.has_unpriced_searches,
            look_up,
        )

    def _card(self, provider: str, model: str, at_ns: int, tier: str) -> Card | None:
        return self.prices.card(provider, model, tier=tier, at=to_datetime(at_ns))

    def _input_most(self, request: Request, key: EstimateKey, facts: ModelFacts, *, is_strict: bool) -> int:
        text_bytes = request.anatomy.total
        if is_strict:
            return InputEstimates.ceiling(text_bytes, facts.tool_overhead_tokens) + request.images_tokens_most
        return self.estimates.estimate(key, text_bytes) + request.images_tokens_most

    def _top_speed(self, target: Target, facts: ModelFacts) -> int | None:
        provider = target.provider
        return self.facts.stated_speed(provider.name, target.model) or (
            provider.top_speed and max(provider.top_speed, facts.top_speed_tokens_per_s)
        )


def dearest(covers: Sequence[Cover]) -> Cover:
    """Cover whichever of these an attempt turns out to be."""
    if len(covers) == 1:
        return covers[0]
    return Cover(
        max(cover.fixed_pico for cover in covers),
        max(cover.output_pico for cover in covers),
        max(cover.input_tokens for cover in covers),
        covers[0].choices,
    )


def speed(offers: Sequence[Offer]) -> int | None:
    """Give the speed that none of these exceeds; None as soon as one is unknown."""
    known = [offer.top_speed for offer in offers if offer.top_speed]
    return max(known) if len(known) == len(offers) else None


def _cards(request: Request, look_up: Callable[[str], Card | None]) -> dict[str, Card]:
    """Find the cards of every tier that the body can be billed at; none of them when one is unknown."""
    cards: dict[str, Card] = {}
    for tier in request.service_tiers:
        card = look_up(tier)
        if card is None:
            return {}
        cards[tier] = card
    return cards


def _bound(request: Request, cards: dict[str, Card], facts: ModelFacts, input_most: int) -> Bound:
    if not cards:
        return Bound(0, 0)
    asked = Asked(
        input_most=input_most,
        choices=request.choices,
        has_cache_write=request.has_cache_write or facts.charges_writes_unasked or _has_stated_write(cards),
        has_cache_write_1h=request.has_cache_write_1h,
        searches_most=request.searches_most,
    )
    return bound(tuple(cards.values()), asked)


def _has_stated_write(cards: dict[str, Card]) -> bool:
    """Tell whether the operator prices cache writes above input: nobody else knows when this server writes."""
    return any(
        card.source == "override" and tier.rates.cache_write_tokens > tier.rates.input_tokens
        for card in cards.values()
        for tier in card.tiers
    )


def _cover(request: Request, most: Bound, input_most: int) -> Cover:
    """Cover what one attempt can be billed: every pass that the provider may make, and output beyond the cap.

    The latter (rejected predictions) is counted beside the input, since no cap lowers it.
    """
    beyond, passes = request.output_beyond_cap, request.passes_most
    return Cover(
        passes * most.fixed_pico + -(-beyond * most.output_pico // request.choices),
        passes * most.output_pico,
        passes * input_most + beyond,
        passes * request.choices,
    )
