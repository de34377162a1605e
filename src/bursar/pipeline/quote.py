"""The quote of a call: what it may cost, which lines it counts against, and how much is asked for.

Owns everything that is known before the store is asked. Nothing here waits; a quote that cannot be made is a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bursar.core.admission import Cover
from bursar.core.budget import Budget, Policy, Unit
from bursar.core.ledger import Reservation
from bursar.core.meter import Terms
from bursar.core.rates import Card
from bursar.core.window import to_datetime
from bursar.metering.estimate import EstimateKey, InputEstimates
from bursar.metering.plan import Wish, plan
from bursar.metering.usual import UsualAnswers, UsualKey
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.call import Call
from bursar.pipeline.ports import Clock
from bursar.pricing.book import PriceBook
from bursar.pricing.bound import Asked, Bound, bound
from bursar.pricing.facts import FactsBook, ModelFacts
from bursar.wire.base import Refusal, Request

__all__ = ["Quote", "Quoter"]


@dataclass(frozen=True, slots=True)
class Quote:
    """One call's terms before it is held."""

    reservation: Reservation
    terms: Terms
    budgets: tuple[Budget, ...]
    cards: dict[str, Card]
    """By service tier; empty when nobody knows the price."""
    estimate_key: EstimateKey
    usual_key: UsualKey
    text_bytes: int

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
class Quoter:
    """Makes quotes from budgets, prices, facts and what was learnt of earlier calls."""

    process: str
    budgets: Budgets
    prices: PriceBook
    facts: FactsBook
    estimates: InputEstimates
    usuals: UsualAnswers
    clock: Clock

    def quote(self, call: Call) -> Quote | Refusal:
        at_ns = self.clock()
        matched = self.budgets.matching(call.tenant, call.labels)
        cards = self._cards(call, at_ns)
        if cards is None:
            refusal = _refuse_unpriced(call, matched)
            if refusal is not None:
                return refusal
        facts = self.facts.facts(call.provider.name, call.model)
        is_strict = any(budget.is_strict for budget in matched)
        estimate_key = EstimateKey(call.tenant, call.provider.name, call.wire.name, call.model, call.request.shape_key)
        input_most = self._input_most(call, estimate_key, facts, is_strict=is_strict)
        most = self._bound(call, cards, facts, input_most)
        if most.has_unpriced_searches and _has_usd(matched):
            return Refusal(400, "bad_request", f"no price is known for web searches of {call.model}", param="tools")
        usual_key = UsualKey(call.tenant, call.labels["agent"], call.model, call.wire.name)
        ask, terms = plan(self._wish(call, facts, self.usuals.usual(usual_key), is_strict=is_strict))
        cover = _cover(call.request, most, input_most)
        lines = self.budgets.lines(matched, call.labels, at_ns)
        reservation = Reservation(call.id, call.tenant, self.process, at_ns, call.labels.pairs, cover, ask, lines)
        text_bytes = call.request.anatomy.total
        look_up = partial(self._card, call, at_ns)
        return Quote(reservation, terms, matched, cards or {}, estimate_key, usual_key, text_bytes, look_up)

    def _cards(self, call: Call, at_ns: int) -> dict[str, Card] | None:
        cards: dict[str, Card] = {}
        for tier in call.request.service_tiers:
            card = self._card(call, at_ns, tier)
            if card is None:
                return None
            cards[tier] = card
        return cards

    def _card(self, call: Call, at_ns: int, tier: str) -> Card | None:
        return self.prices.card(call.provider.name, call.model, tier=tier, at=to_datetime(at_ns))

    def _input_most(self, call: Call, key: EstimateKey, facts: ModelFacts, *, is_strict: bool) -> int:
        request = call.request
        text_bytes = request.anatomy.total
        if is_strict:
            return InputEstimates.ceiling(text_bytes, facts.tool_overhead_tokens) + request.images_tokens_most
        return self.estimates.estimate(key, text_bytes) + request.images_tokens_most

    def _bound(self, call: Call, cards: dict[str, Card] | None, facts: ModelFacts, input_most: int) -> Bound:
        request = call.request
        if cards is None:
            return Bound(0, 0)
        asked = Asked(
            input_most=input_most,
            choices=request.choices,
            has_cache_write=request.has_cache_write or facts.charges_writes_unasked or _has_stated_write(cards),
            has_cache_write_1h=request.has_cache_write_1h,
            searches_most=request.searches_most,
        )
        return bound(tuple(cards.values()), asked)

    def _wish(self, call: Call, facts: ModelFacts, usual: int, *, is_strict: bool) -> Wish:
        request = call.request
        return Wish(
            cap=request.cap,
            cap_least=request.cap_least,
            maximum=facts.max_output_tokens,
            usual=usual,
            is_stream=request.is_stream,
            is_strict=is_strict,
            top_speed=self.facts.stated_speed(call.provider.name, call.model)
            or (call.provider.top_speed and max(call.provider.top_speed, facts.top_speed_tokens_per_s)),
            choices=request.choices,
        )


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


def _has_usd(budgets: tuple[Budget, ...]) -> bool:
    return any(limit.unit is Unit.USD for budget in budgets for limit in budget.limits)


def _refuse_unpriced(call: Call, matched: tuple[Budget, ...]) -> Refusal | None:
    denying = [budget for budget in matched if budget.on_unknown_price is Policy.DENY and _has_usd((budget,))]
    if not denying:
        return None
    tiers = [tier for tier in call.request.service_tiers if tier]
    tier = f" in service tier {tiers[0]!r}" if tiers else ""
    message = (
        f"no price for model {call.model!r}{tier} of provider {call.provider.name!r}, and budget {denying[0].name!r} "
        f"is in USD: add one under prices:, declare it free, or set on_unknown_price: allow"
    )
    return Refusal(402, "price_unknown", message, param="model")
