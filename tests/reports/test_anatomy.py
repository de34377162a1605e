"""Parts of a call add up to the call, whatever the numbers."""

from __future__ import annotations

import random

import pytest

from bursar.core.charge import Amounts
from bursar.core.hold import State
from bursar.core.ledger import HoldRow, Note
from bursar.core.rates import Card, Rates, Tier
from bursar.reports.anatomy import Basis, anatomy
from bursar.reports.shares import shares

RATES = Rates(2_500_000, 10_000_000, 1_250_000, 3_125_000, 5_000_000, 0, 0, 12_000_000, 0)
CARD = Card("p", "m", "list", "1", (Tier(0, RATES),))
NOTE = Note(100, 50, 800, 51)


def _row(amounts: Amounts, note: Note = NOTE, state: State = State.SETTLED) -> HoldRow:
    held = Amounts(999, 10, 0, 0, 5, 0, 1)
    return HoldRow("x", "t", "p", state, 1, 2, {}, held, amounts, frozenset(), "", note)


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10, (1, 1, 1), (4, 3, 3)),
        (1, (1, 2), (0, 1)),
        (7, (0, 0), (7, 0)),
        (0, (3, 4), (0, 0)),
        (100, (0, 1), (0, 100)),
        (5, (5,), (5,)),
    ],
)
def test_shares_follow_the_largest_remainder(total: int, weights: tuple[int, ...], parts: tuple[int, ...]) -> None:
    assert shares(total, weights) == parts


def test_shares_never_lose_a_unit() -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for _ in range(2_000):
        weights = [draw.choice((0, 1, draw.randrange(10**12))) for _ in range(draw.randrange(1, 7))]
        total = draw.choice((0, 1, draw.randrange(10**15)))
        parts = shares(total, weights)
        assert sum(parts) == total
        assert min(parts) >= 0
        whole = sum(weights)
        assert (
            all(abs(part * whole - total * weight) <= whole for part, weight in zip(parts, weights, strict=True))
            or not whole
        )


@pytest.mark.parametrize(("total", "weights"), [(-1, (1,)), (1, ()), (1, (-1, 2))])
def test_what_cannot_be_shared_is_refused(total: int, weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        shares(total, weights)


def test_parts_add_up_for_any_amounts_and_any_card() -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for _ in range(500):
        numbers = [draw.choice((0, 1, draw.randrange(10**7))) for _ in range(6)]
        cost, tokens_in, cached, written, tokens_out, reasoning = numbers
        amounts = Amounts(cost, tokens_in, cached, written, tokens_out, reasoning, 1)
        row = _row(amounts, NOTE._replace(tools_bytes=draw.randrange(5)))
        found = anatomy(row, draw.choice((None, CARD)))
        assert sum(part.cost_nano for part in (*found.where, *found.output)) + found.fee_nano == numbers[0]
        assert sum(part.cost_nano for part in found.where) == sum(part.cost_nano for part in found.rated)
        assert sum(part.tokens for part in found.where) == numbers[1]


def test_rates_that_give_the_cost_are_exact_and_others_are_shares() -> None:
    amounts = Amounts(1000 * 2500 + 200 * 10_000, 1000, 0, 0, 200, 0, 1)
    assert anatomy(_row(amounts), CARD).basis is Basis.EXACT
    assert anatomy(_row(amounts._replace(cost_nano=amounts.cost_nano + 1)), CARD).basis is Basis.SHARED
    assert anatomy(_row(amounts), None).basis is Basis.TOKENS


def test_reasoning_stands_apart_from_the_answer() -> None:
    found = anatomy(_row(Amounts(20 * 10_000 + 80 * 12_000, 0, 0, 0, 100, 80, 1)), CARD)
    assert [(part.name, part.tokens, part.cost_nano) for part in found.output] == [
        ("answer", 20, 200_000),
        ("reasoning", 80, 960_000),
    ]


def test_without_bytes_the_input_stays_whole() -> None:
    found = anatomy(_row(Amounts(500, 100, 0, 0, 0, 0, 1), Note()), CARD)
    assert [(part.name, part.tokens) for part in found.where] == [("input", 100)]


def test_a_free_call_is_split_into_nothing() -> None:
    free = Card("p", "m", "free", "1", (Tier(0, Rates(*[0] * 9)),))
    found = anatomy(_row(Amounts(0, 100, 0, 0, 10, 0, 1)), free)
    assert found.basis is Basis.EXACT
    assert all(part.cost_nano == 0 for part in (*found.where, *found.output))


@pytest.mark.parametrize(("state", "cost"), [(State.OPEN, 999), (State.PRESUMED, 999), (State.RELEASED, 0)])
def test_what_is_not_settled_counts_as_held_or_as_nothing(state: State, cost: int) -> None:
    assert anatomy(_row(Amounts(), state=state), CARD).amounts.cost_nano == cost
