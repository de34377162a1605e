"""The most that a body can cost: fixed for its input, and per token of output.

Owns the bound over every card, tier and rate that this body can trigger. Pure. It must never come out below the cost
of an answer that stays within what was asked; rounding is left to the holder, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bursar.core.money import Pico
from bursar.core.rates import Card, Rates
from bursar.core.value import value

__all__ = ["Asked", "Bound", "bound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a body can make a provider do, as far as rates are concerned. Counts are tokens, choices and searches."""

    input_most: int
    """All input, cached included."""
    choices: int = 1
    has_cache_write: bool = False
    """The body asks for cache writes, or the model charges them unasked (`ModelFacts.charges_writes_unasked`)."""
    has_cache_write_1h: bool = False
    searches_most: int = 0
    has_audio: bool = True
    """Audio may go in or come out. True unless the caller knows better: it matters only where audio has own rates."""

    def __post_init__(self) -> None:
        if self.input_most < 0 or self.choices < 1 or self.searches_most < 0:
            raise ValueError(f"{self!r}: input and searches are not negative, and there is at least one choice")


@value
class Bound:
    """The most a call can cost: ceil((fixed_pico + output tokens of one choice × output_pico) / 1000) nano-USD."""

    fixed_pico: Pico
    output_pico: Pico
    """For one more token in each of the choices."""
    has_unpriced_searches: bool = False
    """The body allows searches whose fee no card states: refuse that where nothing may go unpriced."""


def _reachable(card: Card, input_most: int) -> Iterator[tuple[Rates, int]]:
    """Give each tier's rates that the call can be billed at, with the most input it can have there."""
    for at, tier in enumerate(card.tiers):
        if at and tier.input_above >= input_most:
            return
        ends = card.tiers[at + 1].input_above if at + 1 < len(card.tiers) else input_most
        yield tier.rates, min(ends, input_most)


def _input_rate(rates: Rates, asked: Asked) -> Pico:
    possible = [rates.input_tokens, rates.cache_read_tokens]
    if asked.has_cache_write:
        possible.append(rates.cache_write_tokens)
    if asked.has_cache_write_1h:
        possible += [rates.cache_write_tokens, rates.cache_write_1h_tokens]
    if asked.has_audio:
        possible += [rates.input_audio_tokens, rates.cache_read_audio_tokens]
    return max(possible)


def _output_rate(rates: Rates, asked: Asked) -> Pico:
    return max(rates.output_most, rates.output_audio_tokens if asked.has_audio else 0)


def bound(cards: tuple[Card, ...], asked: Asked) -> Bound:
    """Bound what a body can cost on any of `cards`, one for each service tier that it can be billed at.

    Raises ValueError without a card: a call without a price has no bound.
    """
    if not cards:
        raise ValueError("a call without a price card has no bound")
    fixed = output = 0
    for card in cards:
        for rates, input_most in _reachable(card, asked.input_most):
            fees = rates.request + asked.searches_most * rates.web_searches
            fixed = max(fixed, input_most * _input_rate(rates, asked) + fees)
            output = max(output, asked.choices * _output_rate(rates, asked))
    is_unpriced = asked.searches_most > 0 and any(
        card.source != "free" and any(tier.rates.web_searches == 0 for tier in card.tiers) for card in cards
    )
    return Bound(fixed, output, has_unpriced_searches=is_unpriced)
