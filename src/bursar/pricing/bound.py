"""The most that a body can cost: fixed for its input, and per token of output.

Owns the bound over every card, tier and rate that this body can trigger. Pure. It must never come out below the cost
of an answer that stays within what was asked; rounding is left to the holder, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bursar.core.money import Pico
from bursar.core.rates import Card, Rates
from bursar.core.value import value

__all__ = ["Asked", "Bound", "Rising", "bound", "rising"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a body can make a provider do, as far as rates are concerned. Counts are tokens, choices and searches."""

    input_most: int = 0
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


class _Step(NamedTuple):
    """The rates of one tier of a card."""

    above: int
    """More input than this is needed to be billed there; 0 for a card's first tier."""
    ends: int | None
    """The most input that is billed there; None for a card's last tier."""
    input_pico: Pico
    fees_pico: Pico
    output_pico: Pico


@value
class Rising:
    """The bound of a body as it rises with the input: all that does not depend on how much of that there is."""

    steps: tuple[_Step, ...]
    has_unpriced_searches: bool = False

    def at(self, input_most: int) -> Bound:
        """Bound what it can cost with this much input, cached included; 0 on no card."""
        steps = self.steps
        if len(steps) == 1:  # Most models have one tier, which starts at 0, and most calls one card.
            _, _, input_pico, fees_pico, output_pico = steps[0]
            return Bound(input_most * input_pico + fees_pico, output_pico, self.has_unpriced_searches)
        fixed = output = 0
        for above, ends, input_pico, fees_pico, output_pico in steps:
            if above and above >= input_most:
                continue
            most = (input_most if ends is None or input_most < ends else ends) * input_pico + fees_pico
            if most > fixed:
                fixed = most
            if output_pico > output:
                output = output_pico
        return Bound(fixed, output, self.has_unpriced_searches)


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


def _steps(card: Card, asked: Asked) -> Iterator[_Step]:
    above = [tier.input_above for tier in card.tiers]
    for tier, ends in zip(card.tiers, [*above[1:], None], strict=True):
        rates = tier.rates
        fees = rates.request + asked.searches_most * rates.web_searches
        yield _Step(tier.input_above, ends, _input_rate(rates, asked), fees, asked.choices * _output_rate(rates, asked))


def rising(cards: tuple[Card, ...], asked: Asked) -> Rising:
    """Bound what a body can cost on any of `cards`, one for each service tier that it can be billed at, whatever its
    input is (`asked` need not say it).

    Raises ValueError without a card: a call without a price has no bound.
    """
    if not cards:
        raise ValueError("a call without a price card has no bound")
    is_unpriced = asked.searches_most > 0 and any(
        card.source != "free" and any(tier.rates.web_searches == 0 for tier in card.tiers) for card in cards
    )
    return Rising(tuple(step for card in cards for step in _steps(card, asked)), is_unpriced)


def bound(cards: tuple[Card, ...], asked: Asked) -> Bound:
    """Bound what a body with a known input can cost. Raises ValueError without a card."""
    return rising(cards, asked).at(asked.input_most)
