"""Look up prices: which providers a model would be asked of, and what their cards say.

Owns the choice of providers to look at (those that the gateway would ask). It changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bursar.config.problems import near
from bursar.core.provider import Provider
from bursar.core.rates import Card
from bursar.errors import BadRequest, NotFound
from bursar.pricing.book import PriceBook
from bursar.upstream.choice import ProviderChoice

__all__ = ["cards", "places"]


def places(providers: tuple[Provider, ...], model: str, provider: str | None) -> list[tuple[str, str]]:
    """Give (provider, model as it knows it) for each provider that the gateway would ask for this model."""
    names = [each.name for each in providers]
    if provider is not None:
        if provider not in names:
            raise NotFound(f"there is no provider {provider[:60]!r}: {near(provider, names)}")
        return [(provider, model)]
    choice, found = ProviderChoice(providers), []
    for wire in dict.fromkeys(wire for each in providers for wire in each.wires):
        try:
            chosen, bare = choice.choose(wire, model)
        except BadRequest:
            continue
        if (chosen.name, bare) not in found:
            found.append((chosen.name, bare))
    return found


def cards(book: PriceBook, where: Sequence[tuple[str, str]], tier: str, at: datetime) -> list[Card]:
    """Give the different cards of a model at these places."""
    found: list[Card] = []
    for name, bare in where:
        card = book.card(name, bare, tier=tier, at=at)
        # An override for every provider is one answer, not one for each.
        if card is not None and all((card.version, card.tiers) != (each.version, each.tiers) for each in found):
            found.append(card)
    return found
