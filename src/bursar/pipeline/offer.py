"""An offer: on whose terms a call can be answered, by one of the providers that may be asked for it.

Owns what differs from provider to provider: price cards, the most that an attempt can cost there, and under which keys
its truth is learnt. A call has one offer for the provider that was asked for and one for each fall-back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from bursar.core.admission import Cover
from bursar.core.labels import NONE
from bursar.core.provider import Provider
from bursar.core.rates import Card
from bursar.core.value import value
from bursar.metering.estimate import EstimateKey, InputEstimates, Shape
from bursar.metering.usual import RecentAnswers, UsualAnswers, UsualKey
from bursar.pipeline.call import Call, Target
from bursar.pricing.book import PriceBook
from bursar.pricing.bound import Asked, Bound, Rising, rising
from bursar.pricing.facts import FactsBook, ModelFacts
from bursar.wire.base import Request

__all__ = ["Offer", "OfferMaker", "dearest", "speed"]

PLACES_MAX = 4_096
"""For how many kinds of calls it is remembered what they are offered; beyond it the memory starts anew."""


@value
class Offer:
    """One provider's terms for a call."""

    provider: Provider
    model: str
    target: Target | None
    """Where a fall-back is asked; None for the one that the call itself names."""
    cards: dict[str, Card]
    """By service tier; empty when nobody knows the price."""
    cover: Cover
    """What one attempt there can cost."""
    input_most: int
    """The most input that a pass is expected to have, in tokens."""
    shape: Shape = field(compare=False)
    """Learns how much input such a request has."""
    recent: RecentAnswers = field(compare=False)
    """Learns how long such an answer is."""
    maximum: int | None
    """The most output tokens that the model gives, where that is known."""
    top_speed: int | None
    """Output tokens per second and answer that it never exceeds; None when unknown."""
    has_unpriced_searches: bool
    prices: PriceBook

    def card(self, tier: str, at_ns: int) -> Card | None:
        """Give the card of the tier that was billed; where it is not known, the dearest that was asked for.

        A tier that nobody asked for is looked up as of the moment of the request.
        """
        found = self.cards.get(tier)
        if found is not None or not self.cards:
            return found
        found = self.prices.priced(self.provider.name, self.model, tier, at_ns).card
        if found is None:
            found = max(self.cards.values(), key=lambda card: card.tiers[-1].rates.output_most)
        return found


@value
class _Place:
    """What calls of one kind are offered by one provider, as long as prices and facts stay as they are."""

    prices: PriceBook
    lessons: int
    """How much the facts' book had learned by then."""
    from_ns: int
    until_ns: int
    """When the cards hold: `[from_ns, until_ns)`."""
    cards: dict[str, Card]
    rising: Rising
    facts: ModelFacts
    top_speed: int | None

    def is_so(self, prices: PriceBook, lessons: int, at_ns: int) -> bool:
        """Tell whether this is still what is offered."""
        return self.prices is prices and self.lessons == lessons and self.from_ns <= at_ns < self.until_ns


class _Kind:
    """What calls share that agree in their shape and in whose they are as well."""

    __slots__ = ("estimate_key", "is_new", "latest", "place", "recent", "shape", "usual_key")

    def __init__(self, place: _Place, estimate_key: EstimateKey, usual_key: UsualKey) -> None:
        self.place = place
        self.estimate_key, self.usual_key = estimate_key, usual_key

    def look_up(self, estimates: InputEstimates, usuals: UsualAnswers) -> None:
        """Find what was learnt of such calls; as long as that is nothing, it is looked for again at each call."""
        shape, recent = estimates.shape(self.estimate_key), usuals.recent(self.usual_key)
        self.shape, self.recent = shape, recent
        self.is_new = shape.is_new or recent.is_new
        self.latest: Offer | None = None
        """What the last of them was offered."""


class OfferMaker:
    """Makes offers from prices, facts and what was learnt of earlier calls. Safe from several threads."""

    def __init__(self, facts: FactsBook, estimates: InputEstimates, usuals: UsualAnswers) -> None:
        self._facts = facts
        self._estimates = estimates
        self._usuals = usuals
        self._prices: PriceBook | None = None
        self._places: dict[tuple[object, ...], _Place] = {}
        self._kinds: dict[tuple[object, ...], _Kind] = {}

    def offer(self, call: Call, target: Target | None, prices: PriceBook, at_ns: int, *, is_strict: bool) -> Offer:
        """Offer a call the terms of one that it may fall back on, or, for None, of the provider that it names."""
        request = call.request
        asked = call if target is None else target
        provider = asked.provider
        key = (
            call.tenant,
            provider.name,
            provider.top_speed,
            asked.model,
            asked.wire.name,
            call.labels.pairs.get("agent", NONE),
            request.shape_key,
            request.service_tiers,
            request.choices,
            request.searches_most,
            request.has_cache_write,
            request.has_cache_write_1h,
            request.output_beyond_cap,
            request.passes_most,
        )
        kind = self._kinds.get(key)
        if kind is None or not kind.place.is_so(prices, self._facts.lessons, at_ns):
            kind = self._new_kind(key, call, asked, prices, at_ns)
        elif kind.is_new:
            kind.look_up(self._estimates, self._usuals)
        anatomy = request.anatomy
        text_bytes = anatomy.system + anatomy.tools + anatomy.history + anatomy.user
        if is_strict:
            expected = InputEstimates.ceiling(text_bytes, kind.place.facts.tool_overhead_tokens)
        else:
            expected = kind.shape.estimate(text_bytes)
        input_most = expected + request.images_tokens_most + call.earlier_tokens
        latest = kind.latest
        if latest is not None and latest.input_most == input_most and latest.provider is provider and target is None:
            return latest
        offer = _offered(kind, asked, target, request, input_most)
        if target is None:
            kind.latest = offer
        return offer

    def _new_kind(
        self, key: tuple[object, ...], call: Call, asked: Call | Target, prices: PriceBook, at_ns: int
    ) -> _Kind:
        if prices is not self._prices:
            # With the prices all that was made of the old ones goes, so that no book of them is kept.
            self._prices = prices
            self._places.clear()
            self._kinds.clear()
        place = self._place(call, asked, prices, at_ns)
        model, wire = asked.model, asked.wire.name
        shape_key, agent = call.request.shape_key, call.labels["agent"]
        kind = _Kind(
            place,
            EstimateKey(call.tenant, asked.provider.name, wire, model, shape_key),
            UsualKey(call.tenant, agent, model, wire),
        )
        kind.look_up(self._estimates, self._usuals)
        if place.from_ns < place.until_ns:
            if len(self._kinds) >= PLACES_MAX:
                self._kinds.clear()
            self._kinds[key] = kind
        return kind

    def _place(self, call: Call, asked: Call | Target, prices: PriceBook, at_ns: int) -> _Place:
        """Give what calls like this one are offered. Like are those that agree in all that is looked at here."""
        request, provider = call.request, asked.provider
        key = (
            call.tenant,
            provider.name,
            provider.top_speed,
            asked.model,
            request.service_tiers,
            request.choices,
            request.searches_most,
            request.has_cache_write,
            request.has_cache_write_1h,
        )
        place = self._places.get(key)
        if place is None or not place.is_so(prices, self._facts.lessons, at_ns):
            place = self._found(call, asked, prices, at_ns)
            # What holds for no time is of a name that no model has, and such names are without end.
            if place.from_ns < place.until_ns:
                if len(self._places) >= PLACES_MAX:
                    self._places.clear()
                self._places[key] = place
        return place

    def _found(self, call: Call, asked: Call | Target, prices: PriceBook, at_ns: int) -> _Place:
        request, name, model = call.request, asked.provider.name, asked.model
        # Read before the facts: what is learned in between makes this place out of date, not this lesson unheard.
        lessons = self._facts.lessons
        facts = self._facts.facts(name, model, call.tenant)
        priced = [prices.priced(name, model, tier, at_ns) for tier in request.service_tiers]
        cards = {tier: each.card for tier, each in zip(request.service_tiers, priced, strict=True) if each.card}
        if len(cards) < len(set(request.service_tiers)):
            cards = {}  # One unknown price makes the call's unknown.
        return _Place(
            prices,
            lessons,
            max((each.from_ns for each in priced), default=at_ns),
            min((each.until_ns for each in priced), default=at_ns),
            cards,
            _rising(request, cards, facts),
            facts,
            self._top_speed(asked, facts),
        )

    def _top_speed(self, asked: Call | Target, facts: ModelFacts) -> int | None:
        provider = asked.provider
        return self._facts.stated_speed(provider.name, asked.model) or (
            provider.top_speed and max(provider.top_speed, facts.top_speed_tokens_per_s)
        )


def _offered(kind: _Kind, asked: Call | Target, target: Target | None, request: Request, input_most: int) -> Offer:
    """Make the offer for this much input."""
    place = kind.place
    most = place.rising.at(input_most)
    return Offer(
        asked.provider,
        asked.model,
        target,
        place.cards,
        _cover(request, most, input_most),
        input_most,
        kind.shape,
        kind.recent,
        place.facts.max_output_tokens,
        place.top_speed,
        most.has_unpriced_searches,
        place.prices,
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


def _rising(request: Request, cards: dict[str, Card], facts: ModelFacts) -> Rising:
    if not cards:
        return Rising(())
    asked = Asked(
        choices=request.choices,
        has_cache_write=request.has_cache_write or facts.charges_writes_unasked or _has_stated_write(cards),
        has_cache_write_1h=request.has_cache_write_1h,
        searches_most=request.searches_most,
    )
    return rising(tuple(cards.values()), asked)


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
    if passes == 1 and not beyond:
        return Cover(most.fixed_pico, most.output_pico, input_most, request.choices)
    return Cover(
        passes * most.fixed_pico + -(-beyond * most.output_pico // request.choices),
        passes * most.output_pico,
        passes * input_most + beyond,
        passes * request.choices,
    )
