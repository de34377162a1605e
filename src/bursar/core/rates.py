"""What a model costs: a price card of integer rates, its tiers, and the cost and bound that follow from them.

Owns the arithmetic of one attempt. Where the rates come from is `pricing/`'s matter; a model without rates has no
card, and never a card of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter, mul

from bursar.core.money import Nano, Pico, ceil_nano
from bursar.core.usage import LEAVES, Usage

__all__ = ["Card", "Rates", "Tier"]


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-USD per unit for each leaf of Usage (same field names), and per request."""

    input_tokens: Pico
    output_tokens: Pico
    cache_read_tokens: Pico
    cache_write_tokens: Pico
    cache_write_1h_tokens: Pico
    input_audio_tokens: Pico
    cache_read_audio_tokens: Pico
    reasoning_tokens: Pico
    output_audio_tokens: Pico
    web_searches: Pico = 0
    request: Pico = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if type(rate) is not int or rate < 0:
                raise ValueError(f"rate {field.name} is {rate!r}: whole pico-USD, not negative, are needed")

    def pico(self, usage: Usage) -> Pico:
        """Sum units × rate, in pico-USD."""
        total: Pico = sum(map(mul, _by_leaf(usage), _by_leaf(self)), self.request)
        return total

    @property
    def output_most(self) -> Pico:
        """The dearest rate that an output token can have."""
        return max(self.output_tokens, self.reasoning_tokens)


_by_leaf = attrgetter(*LEAVES)
"""A usage and its rates have the same names."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates that apply to the whole call once its input is above `input_above` tokens."""

    input_above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Card:
    """The rates that apply to one model of one provider (in one service tier) at one moment.

    `source` is `override`, `free` or the price list's name; `version` tells which edition of it, and is kept in every
    entry, so that an old cost can be explained without being re-rated.
    """

    provider: str
    model: str
    source: str
    version: str
    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        above = [tier.input_above for tier in self.tiers]
        if not above or above[0] != 0 or above != sorted(set(above)):
            raise ValueError("a card's tiers start at 0 input tokens and rise")

    def rates(self, input_total: int) -> Rates:
        """Pick the rates that apply to a call with this much input (tokens, cached included)."""
        chosen = self.tiers[0].rates
        for tier in self.tiers[1:]:
            if input_total > tier.input_above:
                chosen = tier.rates
        return chosen

    def cost(self, usage: Usage) -> Nano:
        """Cost one attempt in nano-USD, rounded up once."""
        tiers = self.tiers
        # Most cards have one tier, and then nobody need add the input up.
        rates = tiers[0].rates if len(tiers) == 1 else self.rates(usage.input_total)
        return ceil_nano(rates.pico(usage))
