"""From an answer to a charge: what a call came to, and how sure that is.

Owns the order of precedence (cost reported by the provider, then the card) and the flags. An explicit zero is zero; a
missing count is estimated upwards and says so.
"""

from __future__ import annotations

from dataclasses import replace

from bursar.core.admission import Cover
from bursar.core.charge import Amounts, Charge
from bursar.core.rates import Card
from bursar.core.usage import Usage
from bursar.wire.base import Answer

__all__ = ["estimated", "told", "told_so_far"]

NO_FLAGS: frozenset[str] = frozenset()
INPUT_OVER = frozenset({"input_over"})
UNPRICED = frozenset({"unpriced"})


def told(answer: Answer, usage: Usage, card: Card | None, cover: Cover) -> Charge:
    """Charge what the provider told."""
    if answer.cost_reported:
        cost, flags, price = answer.cost_reported, NO_FLAGS, "provider"
    elif card is None:
        cost, flags, price = 0, UNPRICED, ""
    else:
        cost, flags, price = card.cost(usage), NO_FLAGS, card.version
    amounts = Amounts.of(cost, usage)
    return Charge(amounts, flags | INPUT_OVER if amounts[1] > cover.input_tokens else flags, price)


def told_so_far(answer: Answer | None, card: Card | None, cover: Cover, tokens: int) -> Charge:
    """Charge what ended early by what was told until then; nothing told, or no answer, is estimated."""
    usage = answer and (answer.usage or answer.usage_input)
    return _told_in_part(answer, usage, card, cover, tokens) if answer and usage else estimated(card, cover, tokens)


def _told_in_part(answer: Answer, usage: Usage, card: Card | None, cover: Cover, tokens: int) -> Charge:
    """Charge a stream that ended early: its input as told, its output by the upper estimate (per choice)."""
    output = max(usage.output_total, tokens * cover.choices)
    fuller = replace(usage, output_tokens=usage.output_tokens + output - usage.output_total)
    charge = told(replace(answer, cost_reported=None), fuller, card, cover)
    return replace(charge, flags=charge.flags | {"estimated"})


def estimated(card: Card | None, cover: Cover, tokens: int) -> Charge:
    """Charge what was covered, with this much output per choice: nothing was told."""
    flags = {"estimated"} if card else {"estimated", "unpriced"}
    return Charge(cover.amounts(tokens), frozenset(flags), card.version if card else "")
