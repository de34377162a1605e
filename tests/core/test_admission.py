"""Admission: what is granted fits every line and is the most that the rules allow; what is refused is named rightly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.core.admission import UNBOUNDED, Ask, Balance, Cover, Denial, Grant, Line, admit, ample, free_of, room_for
from bursar.core.budget import Unit
from bursar.core.charge import AMOUNT_COUNTABLE_MAX
from bursar.errors import BadRequest

FREE = Balance()


def line(limit: int, unit: Unit = Unit.OUTPUT_TOKENS, name: str = "b") -> Line:
    return Line(name, name, "", 0, 1, unit, limit)


PER_TOKEN = Cover(0, 1000, 0)
"""Costs one nano-USD and one token for each token of the cap."""

covers = st.builds(
    Cover, st.integers(0, 10**9), st.one_of(st.just(0), st.integers(0, 10**7)), st.integers(0, 10**5), st.integers(1, 8)
)
amounts = st.integers(0, 10**6)
balances = st.builds(Balance, amounts, amounts, amounts)
books = st.lists(
    st.tuples(st.sampled_from(Unit), st.one_of(amounts, st.integers(0, 10**10)), balances), min_size=0, max_size=5
)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    at_least = draw(st.integers(0, 5_000))
    at_most = draw(st.integers(at_least, 10**6))
    return Ask(at_least, at_most, draw(st.integers(0, at_most)), draw(st.integers(1, 8)))


@given(cover=covers, ask=asks(), book=books)
def test_a_grant_fits_every_line_and_is_maximal_by_the_rules(
    cover: Cover, ask: Ask, book: list[tuple[Unit, int, Balance]]
) -> None:
    lines = [line(limit, unit) for unit, limit, _ in book]
    kept = [balance for _, _, balance in book]
    verdict = admit(cover, ask, lines, kept)
    free = [one.limit - sum(balance) for one, balance in zip(lines, kept, strict=True)]

    def fits(tokens: int, share: int = 1) -> bool:
        taken = cover.amounts(tokens)
        return all(taken.amount(one.unit) <= room // share for one, room in zip(lines, free, strict=True))

    if isinstance(verdict, Denial):
        named, balance = lines[verdict.index], kept[verdict.index]
        needed = cover.amounts(ask.at_least).amount(named.unit)
        left = named.limit - balance.settled - balance.presumed
        assert not fits(ask.at_least)
        assert needed > left - balance.held
        assert verdict.is_exhausted == (needed > left)
        if not verdict.is_exhausted:
            for one, other in zip(lines, kept, strict=True):
                assert cover.amounts(ask.at_least).amount(one.unit) <= one.limit - other.settled - other.presumed
        return
    assert fits(verdict.tokens)
    assert ask.at_least <= verdict.tokens <= ask.at_most
    assert verdict.tokens <= verdict.room
    assert fits(verdict.room)
    assert verdict.room == UNBOUNDED or not fits(verdict.room + 1)
    if verdict.tokens < ask.at_most:
        # The whole wish was not to be had: it does not fit, or takes more than a share of what is left.
        assert not fits(ask.at_most, ask.share)
        if verdict.tokens > ask.at_least:
            assert verdict.tokens == ask.middle or not fits(verdict.tokens + 1, ask.share)


@given(cover=covers, ask=asks(), book=books)
@example(Cover(0, 1000, 0), Ask(1, 10, 5, 4), [(Unit.USD, 40, Balance())])
@example(Cover(0, 1000, 0), Ask(1, 10, 5, 4), [(Unit.USD, 39, Balance())])
@example(Cover(0, 0, 0), Ask(1, 10), [(Unit.USD, 40, Balance())])
def test_what_is_plainly_ample_is_what_admission_grants(
    cover: Cover, ask: Ask, book: list[tuple[Unit, int, Balance]]
) -> None:
    held = ample(cover, ask, free_of(book))
    lines, balances = [line(limit, unit) for unit, limit, _ in book], [balance for _, _, balance in book]
    if held is not None:
        verdict = admit(cover, ask, lines, balances)
        assert isinstance(verdict, Grant)
        assert held == cover.amounts(verdict.tokens)
        assert verdict.tokens == ask.at_most and verdict.room < UNBOUNDED
        assert ask.is_ample(verdict)


def test_ample_is_seen() -> None:
    cover, ask = Cover(0, 1000, 0), Ask(1, 10, 5, 4)
    assert ample(cover, ask, {Unit.USD: 40}) == cover.amounts(10)
    assert ample(cover, ask, {Unit.USD: 39}) is None
    assert ample(cover, ask, {Unit.USD: 40, Unit.REQUESTS: 3}) is None


@given(cover=covers, unit=st.sampled_from(Unit), room=st.integers(-10, 10**10), attempts=st.integers(1, 4))
@example(Cover(1, 0, 0), Unit.USD, 0, 1)
@example(Cover(1000, 0, 0), Unit.USD, 1, 1)
def test_the_tokens_within_a_room_are_the_most_that_fit(cover: Cover, unit: Unit, room: int, attempts: int) -> None:
    tokens = cover.tokens_within(unit, room, attempts)
    if tokens < 0:
        assert cover.amounts(0, attempts).amount(unit) > room
        return
    assert cover.amounts(tokens, attempts).amount(unit) <= room
    assert tokens == UNBOUNDED or cover.amounts(tokens + 1, attempts).amount(unit) > room


@given(cover=covers, tokens=st.integers(0, 10**6), attempts=st.integers(1, 4))
def test_a_hold_costs_the_exact_sum_rounded_up_once(cover: Cover, tokens: int, attempts: int) -> None:
    exact = Fraction(attempts * cover.fixed_pico + tokens * cover.output_pico, 1000)
    assert 0 <= cover.amounts(tokens, attempts).cost_nano - exact < 1


@pytest.mark.parametrize(
    ("limit", "balance", "expected"),
    [
        (100, FREE, Grant(40, 100)),
        (40, FREE, Grant(40, 40)),
        (39, FREE, Grant(10, 39)),
        (100, Balance(settled=50, held=20), Grant(10, 30)),
        (100, Balance(settled=50, held=40), Grant(10, 10)),
        (100, Balance(settled=50, held=41), Denial(0, is_exhausted=False)),
        (100, Balance(settled=60, presumed=30), Grant(10, 10)),
        (100, Balance(settled=60, presumed=31), Denial(0, is_exhausted=True)),
        (100, Balance(settled=60, presumed=31, held=9), Denial(0, is_exhausted=True)),
        (10, Balance(settled=90), Denial(0, is_exhausted=True)),
    ],
)
def test_contended_is_not_exhausted(limit: int, balance: Balance, expected: Grant | Denial) -> None:
    assert admit(PER_TOKEN, Ask(10, 40), [line(limit)], [balance]) == expected


@pytest.mark.parametrize(
    ("room", "granted"),
    [
        (400, 100),  # the whole wish is at most a quarter of what is left
        (399, 99),  # else that quarter, since it is below 4·U
        (160, 40),
        (44, 11),
        (40, 10),  # never less than the usual answer
        (11, 10),
        (10, 10),
    ],
)
def test_a_call_without_a_cap_takes_the_worst_case_only_within_a_quarter_of_what_is_left(
    room: int, granted: int
) -> None:
    ask = Ask(at_least=10, at_most=100, middle=100, share=4)
    assert admit(PER_TOKEN, ask, [line(room)], [FREE]) == Grant(granted, room)


def test_never_more_than_the_middle_when_the_whole_is_too_much() -> None:
    ask = Ask(at_least=10, at_most=1000, middle=40, share=4)
    assert admit(PER_TOKEN, ask, [line(3999)], [FREE]) == Grant(40, 3999)
    assert admit(PER_TOKEN, ask, [line(4000)], [FREE]) == Grant(1000, 4000)


def test_the_tightest_line_decides() -> None:
    lines = [line(1000), line(25, Unit.USD), line(1, Unit.REQUESTS)]
    assert admit(PER_TOKEN, Ask(10, 40), lines, [FREE] * 3) == Grant(10, 25)


def test_an_exhausted_line_is_named_before_a_contended_one() -> None:
    lines = [line(10, name="contended"), line(5, name="exhausted")]
    assert admit(PER_TOKEN, Ask(10, 10), lines, [Balance(held=1), FREE]) == Denial(1, is_exhausted=True)
    assert admit(PER_TOKEN, Ask(10, 10), lines[:1] * 2, [Balance(held=1)] * 2) == Denial(0, is_exhausted=False)


def test_a_call_that_no_line_counts_gets_all_it_asks_for() -> None:
    assert admit(PER_TOKEN, Ask(1, 77, 7, 4), [], []) == Grant(77, UNBOUNDED)


@pytest.mark.parametrize("cover", [Cover(10**30, 0, 0), Cover(0, 0, 2**54), Cover(0, 2**53 * 1000, 0, 1)])
def test_what_no_row_could_record_is_not_admitted(cover: Cover) -> None:
    with pytest.raises(BadRequest):
        admit(cover, Ask(2, 2), [], [])
    assert room_for(cover, [], []) < 2


@given(cover=covers, attempts=st.integers(1, 3))
def test_what_is_countable_fits_a_row(cover: Cover, attempts: int) -> None:
    tokens = cover.tokens_countable(attempts)
    taken = cover.amounts(tokens, attempts)
    assert max(taken.cost_nano, taken.amount(Unit.TOKENS)) <= AMOUNT_COUNTABLE_MAX


@given(cover=covers, book=books, attempts=st.integers(1, 3))
def test_the_room_of_an_extension_is_the_most_that_fits(
    cover: Cover, book: list[tuple[Unit, int, Balance]], attempts: int
) -> None:
    lines = [line(limit, unit) for unit, limit, _ in book]
    kept = [balance for _, _, balance in book]
    room = room_for(cover, lines, kept, attempts)

    def fits(tokens: int) -> bool:
        taken = cover.amounts(tokens, attempts)
        return all(taken.amount(one.unit) <= one.limit - sum(of) for one, of in zip(lines, kept, strict=True))

    assert not fits(0) if room < 0 else fits(room)
    assert room < 0 or room == cover.tokens_countable(attempts) or not fits(room + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Cover(-1, 0, 0),
        lambda: Cover(0, -1, 0),
        lambda: Cover(0, 0, -1),
        lambda: Cover(0, 0, 0, 0),
        lambda: Ask(2, 1),
        lambda: Ask(-1, 1),
        lambda: Ask(1, 1, share=0),
    ],
)
def test_nonsense_cannot_be_made(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"needed|negative"):
        wrong()  # type: ignore[operator]
