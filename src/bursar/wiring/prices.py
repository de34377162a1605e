"""Prices and model facts, the operator's before the list's. Owns how configured rows become both."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bursar.config.settings import PriceRow, Settings
from bursar.pricing.book import PriceBook
from bursar.pricing.facts import FactOverride, FactsBook
from bursar.pricing.override import PriceOverride

__all__ = ["open_facts", "open_prices"]


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
