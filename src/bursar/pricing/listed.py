"""List prices: what genai-prices says of a model at a moment, compiled to integers.

Owns every word of that package's data and nothing else does. Importing it takes about 260 ms (pydantic), so it is
imported late, by `book.py`. It must never return a rate of 0 for want of one: what it cannot express exactly has no
price.

How its units become ours. A leaf of Usage costs what the most specific priced unit costs that covers it, which is the
package's own inheritance (a cached token without a cached rate is input, reasoning is output). A leaf that covers
several units (text, image and video input, or output and citations) takes the dearest of them. Output of a model that
has no output rate (embeddings) is priced as input. Units that no chat call can run up (characters, audio hours, pixels,
pages, rerank) are left out; a model that has only those has no price. File searches have no counter: see
`web_searches`, which is the dearer tool wherever both are listed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.units import UnitDef, UnitRegistry
from genai_prices.validation import validate_priced_units

from bursar.core.money import Pico
from bursar.core.rates import Rates, Tier
from bursar.errors import ConfigError
from bursar.pricing.override import RATE_MAX

__all__ = ["NOT_LISTED", "SOURCE", "Listing", "compile_price", "edition", "look_up", "model_names"]

SOURCE = "genai-prices"
_DATA_FILE = "genai_prices/data.py"

_BEGIN, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """The tiers of a price and when it holds, `[valid_from, valid_until)`; tiers None: no price is known."""

    tiers: tuple[Tier, ...] | None
    valid_from: datetime
    valid_until: datetime


NOT_LISTED = Listing(None, _BEGIN, _END)
_UNITS = UnitRegistry(unit_data)
_PROVIDERS: Mapping[str, Provider] = {provider.id: provider for provider in providers}

_TIER_KEYS = frozenset({"service_tier", "speed", "processing"})
"""The list's names for what we call a service tier: OpenAI's and Google's, Anthropic's fast mode, batches."""

_Dimensions = Mapping[str, str]
_SEEN = ("text", "image", "video")


def _tokens(direction: str, modalities: tuple[str, ...], *token_types: str, **more: str) -> tuple[_Dimensions, ...]:
    plain = {"family": "tokens", "direction": direction, **more}
    return tuple(
        {**plain, "modality": modality, **({"token_type": token_type} if token_type else {})}
        for modality in modalities
        for token_type in token_types
    )


_COVERS: Mapping[str, tuple[_Dimensions, ...]] = {
    "input_tokens": _tokens("input", _SEEN, "", "tool"),
    "cache_read_tokens": _tokens("input", _SEEN, "cache_read"),
    "cache_write_tokens": _tokens("input", _SEEN, "cache_write", cache_ttl="5m"),
    "cache_write_1h_tokens": _tokens("input", _SEEN, "cache_write", cache_ttl="1h"),
    "input_audio_tokens": _tokens("input", ("audio",), "", "tool"),
    "cache_read_audio_tokens": _tokens("input", ("audio",), "cache_read"),
    "output_tokens": _tokens("output", _SEEN, "", "citation"),
    "reasoning_tokens": _tokens("output", _SEEN, "reasoning"),
    "output_audio_tokens": _tokens("output", ("audio",), "", "reasoning", "citation"),
    "web_searches": ({"family": "tool_calls", "tool_type": "web_search"},),
    "request": ({"family": "requests"},),
}
"""Which of the list's units each of our rates stands for."""

_Priced = Sequence[tuple[UnitDef, Decimal | TieredPrices]]


def _pico(price: Decimal, per: int) -> Pico:
    """Turn a list price per `per` units into pico-USD per unit. Raises ValueError when it is not exact."""
    if not price.is_finite() or price < 0:
        raise ValueError(f"{price!r} is not a price")
    pico = Fraction(price) * 10**12 / per
    if pico.denominator != 1 or pico > RATE_MAX:
        raise ValueError(f"{price} per {per:,} is not a whole number of pico-USD each, or too large")
    return int(pico)


def _price_at(price: Decimal | TieredPrices, above: int) -> Decimal:
    """Give the price of a call with more than `above` input tokens: the last tier that starts at or below it."""
    if not isinstance(price, TieredPrices):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= above]
    return reached[-1] if reached else price.base


def _rate(priced: _Priced, covers: tuple[_Dimensions, ...], above: int) -> Pico | None:
    """Give the dearest rate among the units that a leaf covers; None when none of them is priced."""
    rates: list[Pico] = []
    for cover in covers:
        fitting = [(unit, price) for unit, price in priced if unit.dimensions.items() <= cover.items()]
        if fitting:
            unit, price = max(fitting, key=lambda pair: len(pair[0].dimensions))
            rates.append(_pico(_price_at(price, above), unit.per))
    return max(rates, default=None)


def _rates(priced: _Priced, above: int) -> Rates:
    found = {leaf: _rate(priced, covers, above) for leaf, covers in _COVERS.items()}
    read = found["input_tokens"]
    if read is None:
        raise ValueError("no rate for input tokens")
    for tool in ("web_searches", "request"):
        found[tool] = found[tool] or 0
    return Rates(**{leaf: read if rate is None else rate for leaf, rate in found.items()})


def compile_price(price: ModelPrice) -> tuple[Tier, ...] | None:
    """Compile one price to tiers; None when it is empty, inconsistent, or not exact in pico-USD."""
    stated = {key: value for key, value in vars(price).items() if value is not None}
    try:
        priced: _Priced = [(_UNITS.unit_for_price_key(key), value) for key, value in stated.items()]
        validate_priced_units([unit for unit, _ in priced], _UNITS)
        starts = {tier.start for _, value in priced if isinstance(value, TieredPrices) for tier in value.tiers}
        if any(start <= 0 for start in starts):
            return None
        return tuple(Tier(above, _rates(priced, above)) for above in sorted({0, *starts}))
    except (KeyError, ValueError):
        return None


def _constraints(model: ModelInfo) -> Iterator[StartDateConstraint | TimeOfDateConstraint]:
    conditional = [] if isinstance(model.prices, ModelPrice) else model.prices
    for price in (*conditional, *(model.price_variants or ())):
        if price.constraint is not None:
            yield price.constraint


def _utc_time(value: time) -> time:
    return value if value.tzinfo is None else datetime.combine(datetime(2000, 1, 1), value).astimezone(UTC).time()  # noqa: DTZ001


def _edges(constraint: StartDateConstraint | TimeOfDateConstraint, at: datetime) -> list[datetime]:
    """List the moments around `at` at which a constraint may begin or end to hold."""
    if isinstance(constraint, StartDateConstraint):
        return [datetime.combine(constraint.start_date, time.min, UTC)]
    days = [at.date() + timedelta(days=shift) for shift in (-1, 0, 1)]
    times = [_utc_time(constraint.start_time), _utc_time(constraint.end_time)]
    return [datetime.combine(day, edge, UTC) for day in days for edge in times]


def _span(model: ModelInfo, at: datetime) -> tuple[datetime, datetime]:
    edges = [edge for constraint in _constraints(model) for edge in _edges(constraint, at)]
    began = [edge for edge in edges if edge <= at]
    ends = [edge for edge in edges if edge > at]
    return max(began, default=_BEGIN), min(ends, default=_END)


def _context(provider: Provider, model: ModelInfo, tier: str, at: datetime) -> dict[str, str] | None:
    """Say which variant of the list a service tier is; None when the list does not know it for this model."""
    if not tier:
        return {}
    if not any(model is own for own in provider.models):
        return None  # A price lent by another provider: its tiers are not this provider's.
    for variant in model.price_variants or ():
        is_active = variant.constraint is None or variant.constraint.active(at)
        for key, value in variant.when.items():
            if is_active and len(variant.when) == 1 and key in _TIER_KEYS and value == tier:
                return {key: value}
    return None


def look_up(provider_id: str, model: str, tier: str, at: datetime) -> Listing:
    """Look a model up as genai-prices does and compile the price that holds at `at`, in a tier folded by `fold_tier`.

    The package's own lookup is not used: it remembers every name it was asked for, without a limit.
    """
    provider = _PROVIDERS.get(provider_id)
    found = provider.find_model(model, all_providers=providers) if provider else None
    if provider is None or found is None:
        return NOT_LISTED
    at = at.astimezone(UTC)
    context = _context(provider, found, tier, at)
    tiers = None if context is None else compile_price(found.get_prices(at, context))
    return Listing(tiers, *_span(found, at))


def model_names(provider_id: str) -> tuple[str, ...]:
    """Name the models that the list knows of a provider."""
    provider = _PROVIDERS.get(provider_id)
    return tuple(model.id for model in provider.models) if provider else ()


@cache
def edition() -> str:
    """Name the edition of the list, once. Raises ConfigError when its data is not what was installed."""
    package = distribution(SOURCE)
    for file in package.files or ():
        if file.as_posix() == _DATA_FILE and file.hash is not None:
            found = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes()).digest()
            if base64.urlsafe_b64encode(found).decode().rstrip("=") != file.hash.value:
                raise ConfigError(f"{_DATA_FILE} was changed after it was installed: reinstall {SOURCE}")
    return f"{SOURCE} {package.version}"
