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
from bursar.metering.plan import plan
from bursar.metering.usual import UsualAnswers
from bursar.pipeline.call import Call
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
        object.__setattr__(self, "_maker", OfferMaker(self.facts, self.estimates, self.usuals))

    def quote(self, call: Call) -> Quote | Refusal:
        at_ns, in_force, request = self.clock(), self.in_force, call.request
        counted = in_force.budgets.counted(call.tenant, call.labels, at_ns, call.budgets)
        matched, is_strict = counted.budgets, counted.is_strict
        first = self._maker.offer(call, None, in_force.prices, at_ns, is_strict=is_strict)
        if not first.cards or first.has_unpriced_searches:
            refusal = _refuse_unpriced(call, matched, first)
            if refusal is not None:
                return refusal
        if first.maximum is None and not request.takes_cap:
            message = f"the output of {call.model!r} cannot be limited here, and its maximum is not known"
            return Refusal(400, "bad_request", f"{message}: state max_output_tokens under models:", param="model")
        offers: tuple[Offer, ...] = (first,)
        cover, top_speed = first.cover, first.top_speed
        # What an earlier response holds is at its own provider alone.
        if call.fallbacks and not request.previous_id:
            offers = self._with_fallbacks(call, first, matched, at_ns, is_strict=is_strict)
            cover, top_speed = dearest([offer.cover for offer in offers]), speed(offers)
        # A plain tuple, as which plans are remembered; see `Wish` for what is what.
        ask, terms = plan(
            (
                request.cap,
                request.cap_least,
                first.maximum,
                first.recent.usual,
                request.is_stream,
                is_strict,
                top_speed if call.is_interruptible else None,
                request.choices,
                request.has_output,
                request.takes_cap,
            )
        )
        reservation = Reservation(
            call.id, call.tenant, self.process, at_ns, call.labels.pairs, cover, ask, counted.lines, call.run
        )
        return Quote(reservation, terms, matched, offers)

    def _with_fallbacks(
        self, call: Call, first: Offer, matched: tuple[Budget, ...], at_ns: int, *, is_strict: bool
    ) -> tuple[Offer, ...]:
        """Give the offers of all who may be asked, in their order."""
        offers = [first]
        for target in call.fallbacks:
            offer = self._maker.offer(call, target, self.in_force.prices, at_ns, is_strict=is_strict)
            # A fall-back that no budget could count is none; the call itself is no worse for it.
            if _refuse_unpriced(call, matched, offer) is None:
                offers.append(offer)
        return tuple(offers)


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
