"""The table of a hold's life, row by row. A row without an expectation here fails."""

from __future__ import annotations

from itertools import product

import pytest

from bursar.core.admission import Cover
from bursar.core.budget import Unit
from bursar.core.charge import FLAGS, ZERO, Amounts, Charge
from bursar.core.hold import TABLE, Book, Hold, Move, Outcome, State, Verb, apply
from bursar.errors import HoldConflict

COVER = Cover(fixed_pico=40_000, output_pico=1_000, input_tokens=30)
HELD = Amounts(cost_nano=100, input_tokens=30, output_tokens=60, requests=1)
EARLIER = Amounts(cost_nano=50, input_tokens=20, output_tokens=10, requests=1)
TRUTH = Amounts(cost_nano=70, input_tokens=25, output_tokens=20, requests=1)
CHARGE = Charge(TRUTH, frozenset({"estimated"}), "list 1")

S, R, P = Book.SETTLED, "refused", Book.PRESUMED
SAME: tuple[object, ...] = ()
HOLD_OF = {
    State.OPEN: Hold("h", State.OPEN, COVER, 60),
    State.SETTLED: Hold("h", State.SETTLED, COVER, 60, settled=EARLIER),
    State.RELEASED: Hold("h", State.RELEASED, COVER, 60),
    State.PRESUMED: Hold("h", State.PRESUMED, COVER, 60),
}
# (state, verb) -> state after, entries as (side, nano-USD), move of a USD balance; or a refusal
EXPECTED: dict[tuple[State, Verb], tuple[State, list[tuple[Book, int]], Move] | str] = {
    (State.OPEN, Verb.SETTLE): (State.SETTLED, [(S, 70)], Move(-100, 70, 0)),
    (State.OPEN, Verb.RELEASE): (State.RELEASED, [], Move(-100, 0, 0)),
    (State.OPEN, Verb.PRESUME): (State.PRESUMED, [(P, 100)], Move(-100, 0, 100)),
    (State.OPEN, Verb.CORRECT): R,
    (State.SETTLED, Verb.SETTLE): R,
    (State.SETTLED, Verb.RELEASE): R,
    (State.SETTLED, Verb.PRESUME): (State.SETTLED, [], Move(0, 0, 0)),
    (State.SETTLED, Verb.CORRECT): (State.SETTLED, [(S, 20)], Move(0, 20, 0)),
    (State.RELEASED, Verb.SETTLE): (State.SETTLED, [(S, 70)], Move(0, 70, 0)),
    (State.RELEASED, Verb.RELEASE): (State.RELEASED, [], Move(0, 0, 0)),
    (State.RELEASED, Verb.PRESUME): (State.RELEASED, [], Move(0, 0, 0)),
    (State.RELEASED, Verb.CORRECT): (State.SETTLED, [(S, 70)], Move(0, 70, 0)),
    (State.PRESUMED, Verb.SETTLE): (State.SETTLED, [(P, -100), (S, 70)], Move(0, 70, -100)),
    (State.PRESUMED, Verb.RELEASE): (State.SETTLED, [(P, -100), (S, 0)], Move(0, 0, -100)),
    (State.PRESUMED, Verb.PRESUME): (State.PRESUMED, [], Move(0, 0, 0)),
    (State.PRESUMED, Verb.CORRECT): (State.SETTLED, [(P, -100), (S, 70)], Move(0, 70, -100)),
}


def test_every_state_and_verb_has_its_row_and_every_row_its_expectation() -> None:
    assert set(TABLE) == set(EXPECTED) == set(product(State, Verb))
    assert set(TABLE.values()) == set(Outcome), "no outcome is idle"


@pytest.mark.parametrize(("state", "verb"), list(TABLE), ids=lambda word: str(getattr(word, "name", word)).lower())
def test_a_row_does_what_it_says(state: State, verb: Verb) -> None:
    hold = HOLD_OF[state]
    charge = CHARGE if verb in (Verb.SETTLE, Verb.CORRECT) else None
    expected = EXPECTED[state, verb]
    if isinstance(expected, str):
        with pytest.raises(HoldConflict):
            apply(hold, verb, charge)
        return
    effect = apply(hold, verb, charge)
    after, entries, move = expected
    assert effect.hold.state is after
    assert [(posting.book, posting.amounts.cost_nano) for posting in effect.postings] == entries
    assert effect.move(Unit.USD) == move
    assert effect.is_change == (bool(entries) or move != Move(0, 0, 0))
    assert (effect.hold.id, effect.hold.cover, effect.hold.tokens, effect.hold.attempts) == ("h", COVER, 60, 1)
    if after is State.SETTLED and effect.is_change:
        assert effect.hold.settled == (TRUTH if charge else ZERO)


@pytest.mark.parametrize(("state", "verb"), list(TABLE))
def test_every_verb_twice_is_once(state: State, verb: Verb) -> None:
    """A retry changes nothing more; only a correction writes that it was made again, at no amount."""
    charge = CHARGE if verb in (Verb.SETTLE, Verb.CORRECT) else None
    if EXPECTED[state, verb] == R:
        return
    after = apply(HOLD_OF[state], verb, charge).hold
    if verb is Verb.RELEASE and after.state is State.SETTLED:
        with pytest.raises(HoldConflict):
            apply(after, verb)
        return
    again = apply(after, verb, charge)
    assert again.hold == after
    assert all(again.move(unit) == Move(0, 0, 0) for unit in Unit)
    assert again.is_change == (verb is Verb.CORRECT)


def test_what_is_held_is_what_is_presumed_in_every_unit() -> None:
    hold = Hold("h", State.OPEN, Cover(1, 999, 7, 3), 11, 2)
    effect = apply(hold, Verb.PRESUME)
    assert effect.hold.held == hold.held == Amounts(11, 14, 0, 0, 33, 0, 2)
    for unit in Unit:
        amount = hold.held.amount(unit)
        assert effect.move(unit) == Move(-amount, 0, amount)


def test_the_first_settle_stands_and_the_same_again_is_the_first() -> None:
    hold = HOLD_OF[State.SETTLED]
    assert not apply(hold, Verb.SETTLE, Charge(EARLIER, price="another price")).is_change
    with pytest.raises(HoldConflict, match="use correct"):
        apply(hold, Verb.SETTLE, CHARGE)


@pytest.mark.parametrize(
    ("state", "verb", "flags"),
    [
        (State.OPEN, Verb.SETTLE, {"estimated"}),
        (State.PRESUMED, Verb.SETTLE, {"estimated"}),
        (State.RELEASED, Verb.SETTLE, {"estimated", "late"}),
        (State.RELEASED, Verb.CORRECT, {"estimated", "late", "corrected"}),
        (State.SETTLED, Verb.CORRECT, {"estimated", "corrected"}),
        (State.PRESUMED, Verb.CORRECT, {"estimated", "corrected"}),
    ],
)
def test_an_entry_says_how_it_came_about(state: State, verb: Verb, flags: set[str]) -> None:
    assert apply(HOLD_OF[state], verb, CHARGE).postings[-1].flags == flags


@pytest.mark.parametrize(
    ("truth", "is_violation"),
    [
        (HELD, False),
        (Amounts(101, 30, 0, 0, 60, 0, 1), True),
        (Amounts(100, 30, 0, 0, 61, 0, 1), True),
        (Amounts(100, 9_999, 0, 0, 60, 0, 1), False),
    ],
)
def test_a_truth_above_the_hold_is_flagged(truth: Amounts, is_violation: bool) -> None:
    """Too much input alone is the estimate's fault and flagged by the pipeline."""
    flags = apply(HOLD_OF[State.OPEN], Verb.SETTLE, Charge(truth)).postings[-1].flags
    assert ("bound_violation" in flags) == is_violation


def test_a_settle_needs_a_charge() -> None:
    with pytest.raises(AssertionError):
        apply(HOLD_OF[State.OPEN], Verb.SETTLE)


def test_a_hold_knows_what_it_covers() -> None:
    hold = HOLD_OF[State.OPEN]
    assert hold.covers(60, 1)
    assert not hold.covers(61, 1)
    assert not hold.covers(60, 2)


def test_the_numbers_and_bits_that_rows_keep_never_change() -> None:
    assert {state.name: int(state) for state in State} == {"OPEN": 0, "SETTLED": 1, "RELEASED": 2, "PRESUMED": 3}
    assert FLAGS == (
        "estimated",
        "cut",
        "hangup",
        "unpriced",
        "input_over",
        "bound_violation",
        "late",
        "attempts",
        "corrected",
    )
