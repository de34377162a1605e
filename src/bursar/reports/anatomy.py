"""The anatomy of a call: what its system prompt, tools, history, the user's words and the answer each cost.

Owns the split of one call's tokens and cost. The ledger keeps the sum of a call, never its parts, so the parts are
shares of that sum: by the rates first, then by where the bytes of the input sat. They always add up to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bursar.core.charge import ZERO, Amounts
from bursar.core.hold import State
from bursar.core.ledger import HoldRow, Note
from bursar.core.money import Nano, ceil_nano
from bursar.core.rates import Card
from bursar.reports.shares import shares

__all__ = ["Anatomy", "Basis", "Part", "amounts_of", "anatomy"]


class Basis(StrEnum):
    """How the cost was split."""

    EXACT = "exact"
    """The rates known now give exactly the cost that was charged."""
    SHARED = "shared"
    """They do not (it was estimated, reported by the provider, or another edition or tier): shares by these rates."""
    TOKENS = "tokens"
    """No rates are known: shares by tokens."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a call."""

    name: str
    tokens: int
    cost_nano: Nano


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One call in parts. `where` and `rated` split the same input: by place, and by the rate it was billed at."""

    amounts: Amounts
    basis: Basis
    where: tuple[Part, ...]
    """System prompt, tools, history, user; or the input as a whole, when nothing is known of its bytes."""
    rated: tuple[Part, ...]
    """Uncached, read from and written to the provider's cache."""
    output: tuple[Part, ...]
    """Answer, reasoning."""
    fee_nano: Nano
    """A price per request, where the model has one."""


def amounts_of(row: HoldRow) -> Amounts:
    """Say what a call counts as: the truth, else what is presumed or held; nothing for a released one."""
    if row.state is State.SETTLED:
        return row.settled
    return ZERO if row.state is State.RELEASED else row.held


def anatomy(row: HoldRow, card: Card | None) -> Anatomy:
    """Split a call's amounts. `card` has the rates of its model when it was made, as far as they are known now."""
    amounts = amounts_of(row)
    kinds = _kinds(amounts)
    weights, basis = _weights(kinds, amounts, card)
    costs = shares(amounts.cost_nano, weights)
    uncached, cached, written, answer, reasoning = (
        Part(name, tokens, cost) for (name, tokens), cost in zip(kinds, costs[:-1], strict=True)
    )
    rated = (uncached, cached, written)
    return Anatomy(
        amounts, basis, _where(row.note, amounts.input_tokens, rated), rated, (answer, reasoning), fee_nano=costs[-1]
    )


def _kinds(amounts: Amounts) -> tuple[tuple[str, int], ...]:
    uncached = max(0, amounts.input_tokens - amounts.cached_tokens - amounts.cache_write_tokens)
    return (
        ("uncached", uncached),
        ("cached", amounts.cached_tokens),
        ("cache_write", amounts.cache_write_tokens),
        ("answer", max(0, amounts.output_tokens - amounts.reasoning_tokens)),
        ("reasoning", amounts.reasoning_tokens),
    )


def _weights(kinds: tuple[tuple[str, int], ...], amounts: Amounts, card: Card | None) -> tuple[tuple[int, ...], Basis]:
    """Give the weight of each kind, then of the fee per request."""
    tokens = tuple(count for _, count in kinds)
    if card is None:
        return (*tokens, 0), Basis.TOKENS
    rates = card.rates(amounts.input_tokens)
    each = (
        rates.input_tokens,
        rates.cache_read_tokens,
        rates.cache_write_tokens,
        rates.output_tokens,
        rates.reasoning_tokens,
    )
    weights = (*(count * rate for count, rate in zip(tokens, each, strict=True)), rates.request * amounts.requests)
    if not sum(weights) and amounts.cost_nano:
        return (*tokens, 0), Basis.TOKENS
    return weights, Basis.EXACT if ceil_nano(sum(weights)) == amounts.cost_nano else Basis.SHARED


def _where(note: Note, input_tokens: int, rated: tuple[Part, ...]) -> tuple[Part, ...]:
    cost = sum(part.cost_nano for part in rated)
    sizes = {
        "system prompt": note.system_bytes,
        "tools": note.tools_bytes,
        "history": note.history_bytes,
        "user": note.user_bytes,
    }
    if not any(sizes.values()):
        return (Part("input", input_tokens, cost),)
    weights = tuple(sizes.values())
    parts = zip(sizes, shares(input_tokens, weights), shares(cost, weights), strict=True)
    return tuple(Part(name, tokens, nano) for name, tokens, nano in parts)
