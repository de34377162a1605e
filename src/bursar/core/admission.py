"""Admission: may this call be held against these lines, and with how many output tokens?

Owns the arithmetic of a hold: what it covers, how much of a line that takes, and the one decision (granted, contended,
exhausted) that every store makes with it inside one atomic act. Pure, so that a store cannot get it subtly wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never

from bursar.core.budget import Unit
from bursar.core.charge import AMOUNT_COUNTABLE_MAX, Amounts
from bursar.core.money import ceil_nano
from bursar.core.value import value
from bursar.errors import BadRequest

__all__ = [
    "UNBOUNDED",
    "Ask",
    "Balance",
    "Cover",
    "Denial",
    "Grant",
    "Line",
    "admit",
    "ample",
    "free_of",
    "grant_within",
    "room_for",
]

UNBOUNDED = 2**53
"""More output tokens than any answer has: the room of a line that output does not touch."""
_PICO_COUNTABLE_MAX = AMOUNT_COUNTABLE_MAX * 1000
_USD, _TOKENS, _OUTPUT_TOKENS = Unit.USD, Unit.TOKENS, Unit.OUTPUT_TOKENS
_made = tuple.__new__

AMPLE = 2**20
"""More output tokens than any model writes in one answer."""


@value
class Cover:
    """What one attempt of a call can cost at most, as a line in the output cap.

    `fixed_pico` is everything but output (input at its dearest, tool fees, per-request fee), `output_pico` the price
    of one more token of the cap over all `choices`; `input_tokens` the most input that is expected.
    """

    fixed_pico: int
    output_pico: int
    input_tokens: int
    choices: int = 1

    def __post_init__(self) -> None:
        if self.fixed_pico < 0 or self.output_pico < 0 or self.input_tokens < 0 or self.choices < 1:
            raise ValueError("a cover is not negative and has at least one choice")

    def amounts(self, tokens: int, attempts: int = 1) -> Amounts:
        """Say what is covered by a cap of `tokens` in all (the sum over attempts), in every unit."""
        cost_nano = ceil_nano(attempts * self.fixed_pico + tokens * self.output_pico)
        # Every call makes two of these, and the class itself makes them in Python.
        return _made(Amounts, (cost_nano, attempts * self.input_tokens, 0, 0, tokens * self.choices, 0, attempts))

    def slope(self, unit: Unit, attempts: int = 1) -> Slope:
        """Say how the amount in `unit` rises with the cap."""
        if unit is Unit.USD:
            return attempts * self.fixed_pico, self.output_pico, 1000
        if unit is Unit.TOKENS:
            return attempts * self.input_tokens, self.choices, 1
        if unit is Unit.INPUT_TOKENS:
            return attempts * self.input_tokens, 0, 1
        if unit is Unit.OUTPUT_TOKENS:
            return 0, self.choices, 1
        if unit is Unit.REQUESTS:
            return attempts, 0, 1
        assert_never(unit)

    def tokens_within(self, unit: Unit, room: int, attempts: int = 1) -> int:
        """Find the largest cap whose amount in `unit` is at most `room`; -1 when not even an empty answer fits."""
        return _tokens_within(self.slope(unit, attempts), room)

    def tokens_countable(self, attempts: int = 1) -> int:
        """Find the largest cap whose amounts a row of the ledger can hold; -1 when not even an empty answer's fit."""
        by_cost = _tokens_within((attempts * self.fixed_pico, self.output_pico, 1000), AMOUNT_COUNTABLE_MAX)
        by_count = _tokens_within((attempts * self.input_tokens, self.choices, 1), AMOUNT_COUNTABLE_MAX)
        return min(by_count, by_cost)


Slope: TypeAlias = tuple[int, int, int]
"""(fixed, rate, scale): a cap of n tokens takes ceil((fixed + n × rate) / scale) of a line."""


def _tokens_within(slope: Slope, room: int) -> int:
    fixed, rate, scale = slope
    left = room * scale - fixed
    if left < 0:
        return -1
    tokens = left // rate if rate else UNBOUNDED
    if tokens < UNBOUNDED:
        return tokens
    return UNBOUNDED


class Line(NamedTuple):
    """One limit of one budget, at the scope and in the window of a call. A tuple, since what is written of a line for
    a client is remembered by it."""

    budget: str
    """The budget's name."""
    identity: str
    """The budget's identity: with scope, start and unit it names one balance."""
    scope: str
    starts_ns: int
    ends_ns: int
    unit: Unit
    limit: int
    values_max: int = 0
    """How many scopes this budget may have in one window before they share `(other)`; 0 for no such cap."""


class Balance(NamedTuple):
    """The sums of one line: amounts in the line's unit, never negative. A tuple, since a call makes a dozen of them."""

    settled: int = 0
    presumed: int = 0
    held: int = 0


@value
class Ask:
    """How many output tokens (per choice) a call would like to have covered.

    `at_most` is granted when it fits and takes at most one `share`th of what is left; else the larger of `at_least`
    and the smaller of `middle` and that share. With `share` 1 it is `at_most` or, where that does not fit, `at_least`.
    """

    at_least: int
    at_most: int
    middle: int = 0
    share: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= self.at_most or self.share < 1:
            raise ValueError(f"{self}: 0 <= at_least <= at_most and share >= 1 are needed")

    def is_ample(self, grant: Grant) -> bool:
        """Tell whether more room would give the call nothing more."""
        # One that asks for one figure only may grow as it goes, as far as there is room.
        return grant.tokens == self.at_most and (self.at_least < self.at_most or grant.room >= AMPLE)

    def choose(self, room: int, share_room: int) -> int:
        """Pick the grant from the room there is (`room` >= at_least) and the room of one share of it."""
        if self.at_most <= room and (self.share == 1 or self.at_most <= share_room):
            return self.at_most
        if self.share == 1:
            return self.at_least
        return max(self.at_least, min(self.middle, share_room))


@value
class Grant:
    """The call is admitted: `tokens` of output are covered, and `room` is the largest cap that would still fit."""

    tokens: int
    room: int


@dataclass(frozen=True, slots=True)
class Denial:
    """The call is not admitted because of the line at `index`.

    Exhausted: it would not fit with nothing else in flight. Contended: it only does not fit beside the open holds.
    """

    index: int
    is_exhausted: bool


def room_for(cover: Cover, lines: Sequence[Line], balances: Sequence[Balance], attempts: int = 1) -> int:
    """Find the largest cap that fits every line beside the open holds, and the ledger; -1 when none does."""
    rooms = (
        cover.tokens_within(line.unit, line.limit - balance.settled - balance.presumed - balance.held, attempts)
        for line, balance in zip(lines, balances, strict=True)
    )
    return min([cover.tokens_countable(attempts), *rooms])


def line_without_room(
    cover: Cover, lines: Sequence[Line], balances: Sequence[Balance], tokens: int, attempts: int = 1
) -> Line | None:
    """Find the line that this cap does not fit; None where all of them have room for it."""
    pairs = zip(lines, balances, strict=True)
    return next((line for line, balance in pairs if room_for(cover, (line,), (balance,), attempts) < tokens), None)


def admit(cover: Cover, ask: Ask, lines: Sequence[Line], balances: Sequence[Balance]) -> Grant | Denial:
    """Decide over all lines at once, all or none.

    An exhausted line is named before a contended one, since waiting would not help. Raises BadRequest for a call that
    no row of the ledger could record.
    """
    places = [(line.unit, line.limit, balance) for line, balance in zip(lines, balances, strict=True)]
    granted = grant_within(cover, ask, free_of(places))
    return _denial(cover, ask.at_least, lines, balances) if granted is None else granted


def free_of(places: Sequence[tuple[Unit, int, Sequence[int]]]) -> dict[Unit, int]:
    """Say what is left in each unit, by the limits and what was taken of each (settled, presumed, held).

    More room never takes fewer tokens, so of all lines in a unit only the one with the least room decides.
    """
    free: dict[Unit, int] = {}
    last, least = None, 0
    for unit, limit, sums in places:
        left = limit - sums[0] - sums[1] - sums[2]
        if unit is not last:
            last = unit
            least = free.setdefault(unit, left)
        if left < least:
            least = free[unit] = left
    return free


def grant_within(cover: Cover, ask: Ask, free: Mapping[Unit, int]) -> Grant | None:
    """Decide by what is left in each unit; None where not even the least fits. Raises BadRequest as `admit` does."""
    least, most, share = ask.at_least, ask.at_most, ask.share
    fixed_pico, output_pico = cover.fixed_pico, cover.output_pico
    countable = most
    if fixed_pico + most * output_pico > _PICO_COUNTABLE_MAX or (
        cover.input_tokens + most * cover.choices > AMOUNT_COUNTABLE_MAX
    ):
        countable = cover.tokens_countable()
        if countable < least:
            raise BadRequest("this call could cost more than a ledger can count: it cannot be held")
    room = share_room = UNBOUNDED
    for unit, left in free.items():
        slope = (fixed_pico, output_pico, 1000) if unit is _USD else cover.slope(unit)
        fits = _tokens_within(slope, left)
        if fits < room:
            room = fits
        if share > 1:
            fits = _tokens_within(slope, left // share)
            if fits < share_room:
                share_room = fits
    if room < least:
        return None
    tokens = ask.choose(room, share_room)
    if tokens > countable:
        tokens = countable
    return Grant(tokens, room)


def ample(cover: Cover, ask: Ask, free: Mapping[Unit, int]) -> Amounts | None:
    """Say what is held where a call is given all that it would like to have, and more room would give it no more.

    None where that is not so, or not plain to see: then `grant_within` decides.
    """
    most, share = ask.at_most, ask.share
    if ask.at_least == most:
        return None  # It may grow as it goes, as far as there is room.
    held, is_bounded = cover.amounts(most), False
    cost, read, _, _, output, _, _ = held
    if cost > AMOUNT_COUNTABLE_MAX or read + output > AMOUNT_COUNTABLE_MAX:
        return None
    for unit, left in free.items():
        if unit is _USD:
            amount, is_bounded = cost, is_bounded or cover.output_pico > 0
        elif unit is _TOKENS:
            amount, is_bounded = read + output, True
        else:
            amount, is_bounded = held.amount(unit), is_bounded or unit is _OUTPUT_TOKENS
        if amount * share > left:
            return None
    # Where no limit is on output at all, the call is to hear of that.
    return held if is_bounded else None


def _denial(cover: Cover, least: int, lines: Sequence[Line], balances: Sequence[Balance]) -> Denial:
    """Name the line because of which not even `least` tokens fit."""
    contended = -1
    for index, (line, (settled, presumed, held)) in enumerate(zip(lines, balances, strict=True)):
        left = line.limit - settled - presumed
        if cover.tokens_within(line.unit, left - held) >= least:
            continue
        if cover.tokens_within(line.unit, left) < least:
            return Denial(index, is_exhausted=True)
        if contended < 0:
            contended = index
    return Denial(contended, is_exhausted=False)
