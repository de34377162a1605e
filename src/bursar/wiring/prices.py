"""Prices and model facts, the operator's before the list's. Owns how configured rows become both."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from bursar.config.settings import PriceRow, Settings
from bursar.core.rates import Card
from bursar.core.window import to_datetime
from bursar.pricing.book import PriceBook, listed_models
from bursar.pricing.facts import FactOverride, FactsBook
from bursar.pricing.names import matches
from bursar.pricing.override import PriceOverride

__all__ = ["ListedPrices", "open_facts", "open_list", "open_prices"]


def open_prices(settings: Settings) -> PriceBook:
    """Make the price book: operator's prices first, then free providers, then the list."""
    overrides = tuple(_override(row) for row in settings.prices)
    free = frozenset(provider.name for provider in settings.providers if provider.is_free)
    price_as = {provider.name: provider.price_as for provider in settings.providers if provider.price_as}
    return PriceBook(overrides, free, price_as=price_as)


_PER_1000 = {"web_search": 1, "request": 1000}
"""Configured per thousand searches, and per request; the price book takes both per thousand."""


def _override(row: PriceRow) -> PriceOverride:
    rates: dict[str, Any] = {
        f"{name}_per_1000" if name in _PER_1000 else name: Decimal(text) * _PER_1000.get(name, 1)
        for name, text in row.rates
    }
    where: dict[str, Any] = {"provider": row.provider, "model": row.model, "is_free": row.is_free}
    return PriceOverride(**where, **rates, tier="*" if row.is_free else "")


class ListedPrices:
    """What the list says about the models of the providers that are configured; nothing of providers that are free."""

    def __init__(self, settings: Settings) -> None:
        self.providers = tuple(provider.name for provider in settings.providers)
        self._listed = {each.name: each.price_as or each.name for each in settings.providers if not each.is_free}
        self._book = PriceBook(price_as=self._listed)

    def cards(self, provider: str, model: str, at_ns: int) -> Iterator[Card]:
        """Give the list's card of each model that a price for `provider` (or `*`) and `model` (a glob) is about."""
        for name, listed in self._listed.items():
            if provider not in ("*", name):
                continue
            glob = model.lower()
            models = (
                [each for each in listed_models(listed) if matches(glob, each.lower())] if "*" in model else [model]
            )
            for each in models:
                card = self._book.card(name, each, at=to_datetime(at_ns))
                if card is not None:
                    yield card


def open_list(settings: Settings) -> ListedPrices:
    """Open the price list alone, without the operator's own prices."""
    return ListedPrices(settings)


def open_facts(settings: Settings) -> FactsBook:
    """Make the book of model facts, the operator's first."""
    return FactsBook(
        tuple(
            FactOverride(
                provider=row.provider,
                model=row.model,
                max_output_tokens=row.max_output_tokens,
                top_speed_tokens_per_s=row.top_speed,
            )
            for row in settings.models
        )
    )
