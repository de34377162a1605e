"""Prices that an operator states: USD per million tokens, turned into exact integers.

Owns the form of an override, its checks, and which override applies. It must never take a float, nor round a rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from bursar.core.money import Pico, pico_per_token
from bursar.core.rates import Rates, Tier
from bursar.pricing.names import closeness, fold_tier, matches

__all__ = ["RATE_MAX", "LongContext", "PriceOverride", "Usd", "UsdRates", "choose"]

Usd: TypeAlias = Decimal | str | int
"""A list price. A float is refused: `0.1` would not be what was written."""

RATE_MAX: Pico = 1_000 * 10**12
"""The largest rate: 1,000 USD per unit. Beyond it a price is a mistake."""


def _pico(name: str, usd: Usd, per: int = 1_000_000) -> Pico:
    if isinstance(usd, bool) or not isinstance(usd, Decimal | str | int):
        raise ValueError(f"{name} is {usd!r}: write it as text or a whole number, for example '0.30'")
    try:
        rate = pico_per_token(Decimal(usd) * (1_000_000 // per))
    except (InvalidOperation, ValueError) as error:
        raise ValueError(f"{name} is {usd!r}: not negative, and whole in pico-USD each, is needed") from error
    if rate > RATE_MAX:
        raise ValueError(f"{name} is {usd!r}: above 1,000 USD each")
    return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdRates:
    """USD per million tokens; searches and requests per 1,000.

    What is not given is priced as its parent: cached input, cache writes and audio input as input, a one-hour write as
    an ordinary one, reasoning and audio output as output.
    """

    input: Usd | None = None
    output: Usd | None = None
    cached_input: Usd | None = None
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None
    input_audio: Usd | None = None
    cached_input_audio: Usd | None = None
    reasoning: Usd | None = None
    output_audio: Usd | None = None
    web_search_per_1000: Usd = 0
    request_per_1000: Usd = 0

    def rates(self) -> Rates:
        """Turn the prices into pico-USD. Raises ValueError for one that is missing, negative or not exact."""

        def own(name: str, parent: Pico) -> Pico:
            usd = getattr(self, name)
            return parent if usd is None else _pico(name, usd)

        if self.input is None or self.output is None:
            raise ValueError("a price needs both input and output (USD per million tokens)")
        read, written = _pico("input", self.input), _pico("output", self.output)
        cached, cache_write = own("cached_input", read), own("cache_write", read)
        audio = own("input_audio", read)
        return Rates(
            input_tokens=read,
            output_tokens=written,
            cache_read_tokens=cached,
            cache_write_tokens=cache_write,
            cache_write_1h_tokens=own("cache_write_1h", cache_write),
            input_audio_tokens=audio,
            cache_read_audio_tokens=own("cached_input_audio", audio),
            reasoning_tokens=own("reasoning", written),
            output_audio_tokens=own("output_audio", written),
            web_searches=_pico("web_search_per_1000", self.web_search_per_1000, per=1_000),
            request=_pico("request_per_1000", self.request_per_1000, per=1_000),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LongContext(UsdRates):
    """The prices of a whole call once its input is above `input_above` tokens."""

    input_above: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride(UsdRates):
    """What an operator says a model costs: rates, or `is_free`.

    `provider` and `model` may hold `*`. `tier` is the service tier that the prices are for: `""` is the ordinary one,
    `*` any; a dearer tier is never billed at the ordinary override by accident. `is_free` holds in every tier.
    """

    provider: str
    model: str
    is_free: bool = False
    tier: str = ""
    long_context: tuple[LongContext, ...] = ()

    def __post_init__(self) -> None:
        if not self.provider or not self.model:
            raise ValueError("a price names a provider and a model; `*` stands for any")
        has_rates = self.input is not None or self.output is not None
        if self.is_free and (has_rates or self.long_context):
            raise ValueError("a price is either free or has rates, not both")
        if not self.is_free and not any(any(tier_rates(tier)) for tier in self.tiers()):
            raise ValueError("every rate is 0: write free: true if that is meant")

    def tiers(self) -> tuple[Tier, ...]:
        """Turn the prices into a card's tiers. Raises ValueError when they do not rise from 0."""
        if self.is_free:
            return FREE
        tiers = (Tier(0, self.rates()), *(Tier(long.input_above, long.rates()) for long in self.long_context))
        above = [tier.input_above for tier in tiers]
        if above != sorted(set(above)):
            raise ValueError("long_context must rise: each input_above is larger than the one before")
        return tiers

    @property
    def version(self) -> str:
        """Name the contents: the same prices always give the same short hash."""
        said = [f"{field.name}={getattr(self, field.name)!s}" for field in fields(self)]
        return f"override {hashlib.sha256(';'.join(said).encode()).hexdigest()[:12]}"


def tier_rates(tier: Tier) -> tuple[Pico, ...]:
    """List the rates of one tier."""
    return tuple(getattr(tier.rates, field.name) for field in fields(tier.rates))


FREE = (Tier(0, Rates(*([0] * len(fields(Rates))))),)
"""The tiers of a card that costs nothing, because somebody said so."""


def _rank(override: PriceOverride) -> tuple[tuple[bool, int], tuple[bool, int], bool]:
    return closeness(override.provider.lower()), closeness(override.model.lower()), override.tier != "*"


def choose(overrides: Iterable[PriceOverride], provider: str, model: str, tier: str) -> PriceOverride | None:
    """Choose the override for a call in a folded tier: the closest provider, then the closest model, then the tier."""
    fitting = [
        override
        for override in overrides
        if (override.is_free or fold_tier(override.tier) in ("*", tier))
        and matches(override.provider.lower(), provider.lower())
        and matches(override.model.lower(), model.lower())
    ]
    return max(fitting, key=_rank, default=None)
