"""The life of a hold as one table.

Owns the states, the verbs and what each verb does to the money. A verb that the table does not allow is refused; a
late truth never is. Expiry never refunds: what was sent and not answered for is presumed, in full.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple, assert_never

from bursar.core.admission import Cover
from bursar.core.budget import Unit
from bursar.core.charge import ZERO, Amounts, Charge
from bursar.core.value import value
from bursar.errors import HoldConflict

__all__ = ["TABLE", "Book", "Effect", "Hold", "Move", "Outcome", "Posting", "State", "Verb", "apply"]


class State(IntEnum):
    """Where a hold stands; the numbers are what stores keep."""

    OPEN = 0
    SETTLED = 1
    RELEASED = 2
    PRESUMED = 3

    __hash__ = int.__hash__  # An enum's own hash is computed in Python, and each verb looks into the table.


class Verb(StrEnum):
    SETTLE = "settle"
    RELEASE = "release"
    PRESUME = "presume"
    CORRECT = "correct"

    __hash__ = str.__hash__


class Outcome(StrEnum):
    """What a verb comes to in a state."""

    SETTLED = "settled"
    RELEASED = "released"
    PRESUMED = "presumed"
    SAME = "same"
    """Nothing changes: the verb was done before, or truth is already known."""
    ONLY_SAME = "only same"
    """The same amount again is the first answer again; another amount is a conflict."""
    REFUSED = "refused"


TABLE: dict[tuple[State, Verb], Outcome] = {
    (State.OPEN, Verb.SETTLE): Outcome.SETTLED,
    (State.OPEN, Verb.RELEASE): Outcome.RELEASED,
    (State.OPEN, Verb.PRESUME): Outcome.PRESUMED,
    (State.OPEN, Verb.CORRECT): Outcome.REFUSED,  # it is still in flight: its own truth will come
    (State.SETTLED, Verb.SETTLE): Outcome.ONLY_SAME,
    (State.SETTLED, Verb.RELEASE): Outcome.REFUSED,
    (State.SETTLED, Verb.PRESUME): Outcome.SAME,
    (State.SETTLED, Verb.CORRECT): Outcome.SETTLED,
    (State.RELEASED, Verb.SETTLE): Outcome.SETTLED,  # late truth, flagged
    (State.RELEASED, Verb.RELEASE): Outcome.SAME,
    (State.RELEASED, Verb.PRESUME): Outcome.SAME,
    (State.RELEASED, Verb.CORRECT): Outcome.SETTLED,
    (State.PRESUMED, Verb.SETTLE): Outcome.SETTLED,  # late truth replaces the presumption
    (State.PRESUMED, Verb.RELEASE): Outcome.SETTLED,  # late truth: it was never billed, so at zero
    (State.PRESUMED, Verb.PRESUME): Outcome.SAME,
    (State.PRESUMED, Verb.CORRECT): Outcome.SETTLED,
}


@value
class Hold:
    """Money set aside for one call, and what became of it."""

    id: str
    state: State
    cover: Cover
    tokens: int
    """Output tokens covered, per choice, summed over attempts."""
    attempts: int = 1
    settled: Amounts = ZERO
    """The true amounts, once settled."""

    @property
    def held(self) -> Amounts:
        """What is set aside while the hold is open, and presumed when it lapses."""
        return self.cover.amounts(self.tokens, self.attempts)

    def is_enough(self, amounts: Amounts) -> bool:
        """Tell whether no unit of a limit comes to more than what is set aside."""
        cover, attempts, tokens = self.cover, self.attempts, self.tokens
        cost, read, _, _, output, _, requests = amounts
        return (
            cost * 1000 <= attempts * cover.fixed_pico + tokens * cover.output_pico
            and read <= attempts * cover.input_tokens
            and output <= tokens * cover.choices
            and requests <= attempts
        )

    def covers(self, tokens: int, attempts: int) -> bool:
        """Tell whether that much is covered already: an extension that comes again changes nothing."""
        return tokens <= self.tokens and attempts <= self.attempts


class Book(StrEnum):
    """The side of a balance that an entry adds to."""

    SETTLED = "settled"
    PRESUMED = "presumed"


_SETTLED = Book.SETTLED
_BY_TRUTH: Final = Outcome.SETTLED
_IS_OPEN: Final = State.OPEN
_IS_SETTLED: Final = State.SETTLED
"""Names of their own: an enum finds its members in Python, and every close asks for these."""
_made = tuple.__new__
"""Makes a named tuple at half the price: the class itself does so in Python, and every close makes some."""
_NO_FLAGS: frozenset[str] = frozenset()


class Posting(NamedTuple):
    """One entry to be written: signed amounts on one side of the balances."""

    book: Book
    amounts: Amounts
    flags: frozenset[str] = _NO_FLAGS
    price: str = ""


class Move(NamedTuple):
    """What is added to the sides of one balance."""

    held: int
    settled: int
    presumed: int


class Effect(NamedTuple):
    """What a verb does to a hold: its state and true amounts afterwards, the amounts no longer held, and the entries to
    write."""

    was: Hold
    state: State
    settled: Amounts = ZERO
    freed: Amounts = ZERO
    postings: tuple[Posting, ...] = ()

    @property
    def hold(self) -> Hold:
        """The hold as it is afterwards."""
        return replace(self.was, state=self.state, settled=self.settled)

    @property
    def is_change(self) -> bool:
        return bool(self.postings) or self.freed != ZERO

    def move(self, unit: Unit) -> Move:
        """Say what this does to a balance that counts in `unit`."""
        _, _, _, freed, postings = self
        settled = presumed = 0
        for book, amounts, _, _ in postings:
            if book is _SETTLED:
                settled += amounts.amount(unit)
            else:
                presumed += amounts.amount(unit)
        return _made(Move, (-freed.amount(unit), settled, presumed))


def apply(hold: Hold, verb: Verb, charge: Charge | None = None) -> Effect:
    """Apply a verb by the table. `charge` goes with settle and correct.

    Raises HoldConflict for a refused verb and for a second settle with other amounts.
    """
    outcome = TABLE[hold.state, verb]
    if outcome is _BY_TRUTH:
        return _settle(hold, verb, charge)
    match outcome:
        case Outcome.SAME:
            return Effect(hold, hold.state, hold.settled)
        case Outcome.ONLY_SAME:
            assert charge is not None, f"{verb} needs a charge"
            if any(charge.amounts.amount(unit) != hold.settled.amount(unit) for unit in Unit):
                raise HoldConflict(f"hold {hold.id} is settled with other amounts: the first stands; use correct")
            return Effect(hold, hold.state, hold.settled)
        case Outcome.REFUSED:
            raise HoldConflict(f"hold {hold.id} is {hold.state.name.lower()}: {verb} is refused")
        case Outcome.RELEASED:
            return Effect(hold, State.RELEASED, freed=hold.held)
        case Outcome.PRESUMED:
            held = hold.held
            posting = Posting(Book.PRESUMED, held, frozenset({"estimated"}))
            return Effect(hold, State.PRESUMED, freed=held, postings=(posting,))
        case _:
            assert_never(outcome)


def _settle(hold: Hold, verb: Verb, charge: Charge | None) -> Effect:
    if charge is None:
        # A release of what was presumed: it was never billed.
        assert verb is Verb.RELEASE, f"{verb} needs a charge"
        charge = _NEVER_BILLED
    held, truth, flags, state = hold.cover.amounts(hold.tokens, hold.attempts), charge.amounts, charge.flags, hold.state
    if truth.cost_nano > held.cost_nano or truth.output_tokens > held.output_tokens:
        flags |= {"bound_violation"}
    if state is _IS_OPEN:
        posting = _made(Posting, (_SETTLED, truth, flags, charge.price))
        return _made(Effect, (hold, _IS_SETTLED, truth, held, (posting,)))
    if verb is Verb.CORRECT:
        flags |= {"corrected"}
    if state is State.RELEASED:
        flags |= {"late"}
    amounts = truth - hold.settled if state is _IS_SETTLED else truth
    posting = Posting(_SETTLED, amounts, flags, charge.price)
    postings = (Posting(Book.PRESUMED, -held), posting) if state is State.PRESUMED else (posting,)
    return Effect(hold, _IS_SETTLED, truth, postings=postings)


_NEVER_BILLED = Charge(ZERO)
