"""The quote of a call: what it may cost, which lines it counts against, and how much is asked for.

Owns everything that is known before the store is asked. Nothing here waits; a quote that cannot be made is a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bursar.core.budget import Budget, Policy, Unit
from bursar.core.ledger import Reservation
from bursar.core.meter import Terms
from bursar.core.value import value
from bursar.metering.estimate import InputEstimates
from bursar.metering.plan import Wish, plan
from bursar.metering.usual import UsualAnswers
from bursar.pipeline.call import Call, Target
from bursar.pipeline.in_force import InForce
from bursar.pipeline.offer import Offer, OfferMaker, dearest, speed
from bursar.pipeline.ports import Clock
from bursar.pricing.facts import FactsBook
from bursar.wire.base import Refusal

__all__ = ["Quote", "Quoter"]


@value
class Quote:
    """One call's terms before it is held."""

    reservation: Reservation
    """Its cover is that of the dearest offer, so that whoever answers in the end fits the one hold."""
    terms: Terms
    budgets: tuple[Budget, ...]
    offers: tuple[Offer, ...]
    """The provider that was asked for, then each that may be asked when it fails."""


@dataclass(frozen=True, slots=True)
class Quoter:
    """Makes quotes from budgets, prices, facts and what was learnt of earlier calls."""

    process: str
    in_force: InForce
    facts: FactsBook
    estimates: InputEstimates
    usuals: UsualAnswers
    clock: Clock
    _maker: OfferMaker = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_maker", OfferMaker(self.facts, self.estimates))

    def quote(self, call: Call) -> Quote | Refusal:
        at_ns = self.clock()
        prices, budgets = self.in_force.prices, self.in_force.budgets
        _, _, matched, lines, is_strict = budgets.counted(call.tenant, call.labels, at_ns)
        if call.budgets:
            matched += call.budgets
            lines += budgets.lines(call.budgets, call.labels, at_ns)
            for budget in call.budgets:
                is_strict = is_strict or budget.is_strict
        first = self._maker.offer(call, call.target, prices, at_ns, is_strict=is_strict)
        refusal = _refuse_unpriced(call, matched, first)
        if refusal is not None:
            return refusal
        offers: tuple[Offer, ...] = (first,)
        for target in _fallbacks(call):
            offer = self._maker.offer(call, target, prices, at_ns, is_strict=is_strict)
            # A fall-back that no budget could count is none; the call itself is no worse for it.
            if _refuse_unpriced(call, matched, offer) is None:
                offers += (offer,)
        if not call.request.takes_cap and first.maximum is None:
            message = f"the output of {call.model!r} cannot be limited here, and its maximum is not known"
            return Refusal(400, "bad_request", f"{message}: state max_output_tokens under models:", param="model")
        ask, terms = plan(self._wish(call, offers, is_strict=is_strict))
        cover = first.cover if len(offers) == 1 else dearest([offer.cover for offer in offers])
        reservation = Reservation(
            call.id, call.tenant, self.process, at_ns, call.labels.pairs, cover, ask, lines, call.run
        )
        return Quote(reservation, terms, matched, offers)

    def _wish(self, call: Call, offers: tuple[Offer, ...], *, is_strict: bool) -> Wish:
        request = call.request
        return Wish(
            request.cap,
            request.cap_least,
            offers[0].maximum,
            self.usuals.usual(offers[0].usual_key),
            request.is_stream,
            is_strict,
            speed(offers) if call.is_interruptible else None,
            request.choices,
            request.has_output,
            request.takes_cap,
        )


def _fallbacks(call: Call) -> tuple[Target, ...]:
    """Give who may be asked next. What an earlier response holds is at its own provider alone."""
    return () if call.request.previous_id else call.fallbacks


def _has_usd(budgets: tuple[Budget, ...]) -> bool:
    return any(limit.unit is Unit.USD for budget in budgets for limit in budget.limits)


def _refuse_unpriced(call: Call, matched: tuple[Budget, ...], offer: Offer) -> Refusal | None:
    if offer.has_unpriced_searches and _has_usd(matched):
        return Refusal(400, "bad_request", f"no price is known for web searches of {call.model}", param="tools")
    if offer.cards:
        return None
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
