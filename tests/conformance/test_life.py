"""The life of a hold in a store: R03 to R13, R48, R51, and what a retry or a late truth does."""

from __future__ import annotations

import pytest
from tests.conformance.kit import DAY_NS, Ledger, call, charge, cost, line, sums

from bursar.core.admission import UNBOUNDED, Ask, Balance, Cover
from bursar.core.budget import Unit
from bursar.core.charge import AMOUNT_COUNTABLE_MAX, Amounts, Charge
from bursar.core.hold import State, Verb
from bursar.core.ledger import Extension, Granted, Note, Refused
from bursar.errors import BadRequest, HoldConflict, NotFound
from bursar.testing.clock import START_NS


def test_the_third_of_four_scopes_is_full_and_nothing_changes(ledger: Ledger) -> None:
    """R03"""
    full = line("full", 1)
    ledger.reserve(call(full))
    lines = (line("one"), line("two"), full, line("four"))
    before = sums(ledger)
    refused = ledger.reserve(call(*lines))
    assert isinstance(refused, Refused)
    assert (refused.line, refused.balance, refused.is_exhausted) == (full, Balance(held=1), False)
    assert sums(ledger) == before, "a refusal opens no row either"


def test_a_refusal_is_contended_while_the_money_is_only_in_flight(ledger: Ledger) -> None:
    ledger.reserve(call(line(limit=1), id="a"))
    refused = ledger.reserve(call(line(limit=1), id="b"))
    assert isinstance(refused, Refused)
    assert not refused.is_exhausted
    ledger.close("a", Verb.SETTLE, START_NS, charge())
    refused = ledger.reserve(call(line(limit=1), id="b"))
    assert isinstance(refused, Refused)
    assert refused.is_exhausted


def test_a_grant_tells_the_room_and_the_balances_with_itself_in_them(ledger: Ledger) -> None:
    cover = Cover(1000, 1000, 5)
    usd, tokens = line("usd", 100, Unit.USD), line("tokens", 65, Unit.TOKENS)
    granted = ledger.reserve(call(usd, tokens, cover=cover, ask=Ask(10, 20)))
    assert granted == Granted(20, 60, (Balance(held=21), Balance(held=25)))


def test_room_is_unbounded_where_no_line_counts_output(ledger: Ledger) -> None:
    granted = ledger.reserve(call(line(), cover=Cover(0, 7, 7), ask=Ask(1, 100)))
    assert isinstance(granted, Granted)
    assert (granted.tokens, granted.room) == (100, UNBOUNDED)


def test_a_call_that_no_budget_counts_is_held_all_the_same(ledger: Ledger) -> None:
    granted = ledger.reserve(call(id="a", cover=Cover(10, 10, 10), ask=Ask(1, 9)))
    assert granted == Granted(9, UNBOUNDED, ())
    assert ledger.close("a", Verb.SETTLE, START_NS, charge(5)).is_change
    assert ledger.hold("default", "a").settled.cost_nano == 5


def test_settled_below_the_hold_frees_the_difference_in_every_scope_at_once(ledger: Ledger) -> None:
    """R05"""
    lines = (line("one", 100, Unit.USD), line("two", 100, Unit.USD), line("three", 1, Unit.REQUESTS))
    ledger.reserve(call(*lines, id="a", cover=cost(90)))
    closed = ledger.close("a", Verb.SETTLE, START_NS, charge(30))
    assert closed.balances == (Balance(30), Balance(30), Balance(1))
    assert isinstance(ledger.reserve(call(*lines[:2], cover=cost(70))), Granted)


def test_settled_above_the_hold_is_recorded_in_full_and_flagged_and_later_calls_are_denied(ledger: Ledger) -> None:
    """R06"""
    usd = line("usd", 100, Unit.USD)
    ledger.reserve(call(usd, id="a", cover=cost(90)))
    closed = ledger.close("a", Verb.SETTLE, START_NS, charge(130))
    assert closed.balances == (Balance(settled=130),)
    assert ledger.hold("default", "a").flags == {"bound_violation"}
    refused = ledger.reserve(call(usd, cover=cost(0)))
    assert isinstance(refused, Refused)
    assert refused.is_exhausted


def test_the_same_settle_again_gives_the_first_answer_and_counts_once(ledger: Ledger) -> None:
    """R07, and what a settle is after a crash between its commit and its answer."""
    ledger.reserve(call(line("usd", 100, Unit.USD), id="a", cover=cost(90)))
    first = ledger.close("a", Verb.SETTLE, START_NS, charge(30), Note(status=200))
    again = ledger.close("a", Verb.SETTLE, START_NS + 5, charge(30), Note(status=500))
    assert (first.is_change, again.is_change) == (True, False)
    assert again.balances == first.balances == (Balance(settled=30),)
    row = ledger.hold("default", "a")
    assert (row.closed_ns, row.note.status) == (START_NS, 200)


def test_another_settle_is_a_conflict_and_the_first_stands(ledger: Ledger) -> None:
    """R08"""
    ledger.reserve(call(line("usd", 100, Unit.USD), id="a", cover=cost(90)))
    ledger.close("a", Verb.SETTLE, START_NS, charge(30))
    with pytest.raises(HoldConflict, match="use correct"):
        ledger.close("a", Verb.SETTLE, START_NS, charge(31))
    assert ledger.hold("default", "a").settled.cost_nano == 30


def test_a_truth_after_the_presumption_replaces_it(ledger: Ledger) -> None:
    """R09"""
    ledger.reserve(call(line("usd", 100, Unit.USD), id="a", cover=cost(90)))
    closed = ledger.close("a", Verb.PRESUME, START_NS)
    assert (closed.state, closed.balances) == (State.PRESUMED, (Balance(presumed=90),))
    closed = ledger.close("a", Verb.SETTLE, START_NS, charge(30))
    assert (closed.state, closed.balances) == (State.SETTLED, (Balance(settled=30),))


def test_a_truth_after_the_release_is_recorded_and_flagged_late(ledger: Ledger) -> None:
    """R10"""
    ledger.reserve(call(line("usd", 100, Unit.USD), id="a", cover=cost(90)))
    assert ledger.close("a", Verb.RELEASE, START_NS).balances == (Balance(),)
    assert ledger.close("a", Verb.SETTLE, START_NS, charge(30)).balances == (Balance(settled=30),)
    assert ledger.hold("default", "a").flags == {"late"}


def test_a_release_after_the_settle_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    """R11"""
    ledger.reserve(call(line("usd", 100, Unit.USD), id="a", cover=cost(90)))
    ledger.close("a", Verb.SETTLE, START_NS, charge(30))
    with pytest.raises(HoldConflict):
        ledger.close("a", Verb.RELEASE, START_NS)
    assert sums(ledger)["usd", "", "usd"] == Balance(settled=30)


def test_a_release_of_what_was_presumed_says_that_it_was_never_billed(ledger: Ledger) -> None:
    ledger.reserve(call(line("usd", 100, Unit.USD), id="a", cover=cost(90)))
    ledger.close("a", Verb.PRESUME, START_NS)
    closed = ledger.close("a", Verb.RELEASE, START_NS)
    assert (closed.state, closed.balances) == (State.SETTLED, (Balance(),))


def test_a_correction_replaces_the_truth_and_is_flagged(ledger: Ledger) -> None:
    lines = (line("usd", 100, Unit.USD), line("requests"))
    ledger.reserve(call(*lines, id="a", cover=cost(90)))
    with pytest.raises(HoldConflict):
        ledger.close("a", Verb.CORRECT, START_NS, charge(1))
    ledger.close("a", Verb.SETTLE, START_NS, charge(30, price="list 1"))
    closed = ledger.close("a", Verb.CORRECT, START_NS, charge(12))
    assert closed.balances == (Balance(settled=12), Balance(settled=1))
    row = ledger.hold("default", "a")
    assert (row.settled.cost_nano, row.flags, row.price) == (12, frozenset({"corrected"}), "list 1")


def test_the_same_id_again_is_the_same_hold(ledger: Ledger) -> None:
    """R12"""
    usd = line("usd", 100, Unit.USD)
    asked = call(usd, id="a", cover=Cover(0, 1000, 0), ask=Ask(10, 60))
    first = ledger.reserve(asked)
    later = call(usd, id="a", cover=Cover(0, 1000, 0), ask=Ask(10, 60), at_ns=START_NS + DAY_NS)
    again = ledger.reserve(later)
    assert isinstance(first, Granted)
    assert isinstance(again, Granted)
    assert again.tokens == first.tokens == 60
    assert again.balances == first.balances == (Balance(held=60),)


@pytest.mark.parametrize(
    "other",
    [
        call(line(), id="a", cover=Cover(1, 1, 1), ask=Ask(1, 3)),
        call(line(), id="a", cover=Cover(1, 1, 2), ask=Ask(1, 2)),
        call(line(), id="a", cover=Cover(1, 1, 1), ask=Ask(1, 2), labels={"model": "another"}),
        call(line(), id="a", cover=Cover(1, 1, 1), ask=Ask(1, 2), tenant="rival"),
    ],
    ids=["ask", "cover", "model", "tenant"],
)
def test_the_same_id_for_another_call_is_a_conflict(ledger: Ledger, other: object) -> None:
    """R13"""
    ledger.reserve(call(line(), id="a", cover=Cover(1, 1, 1), ask=Ask(1, 2)))
    with pytest.raises(HoldConflict, match="belongs to another call"):
        ledger.reserve(other)  # type: ignore[arg-type]
    assert sums(ledger) == {("all", "", "requests"): Balance(held=1)}


@pytest.mark.parametrize("verb", [Verb.RELEASE, Verb.PRESUME, Verb.SETTLE])
def test_an_id_whose_hold_has_ended_cannot_be_held_again(ledger: Ledger, verb: Verb) -> None:
    """Else a retry that comes too late would be sent with nothing held for it."""
    asked = call(line(), id="a")
    ledger.reserve(asked)
    ledger.close("a", verb, START_NS, charge() if verb is Verb.SETTLE else None)
    with pytest.raises(HoldConflict, match="cannot be held again"):
        ledger.reserve(asked)


@pytest.mark.parametrize("verb", Verb)
def test_a_verb_for_an_unknown_id_says_so(ledger: Ledger, verb: Verb) -> None:
    with pytest.raises(NotFound):
        ledger.close("nobody", verb, START_NS, charge())
    with pytest.raises(NotFound):
        ledger.extend(call(id="nobody"), 1, 1)


def test_a_hold_belongs_to_the_window_it_was_taken_in(ledger: Ledger) -> None:
    """R48"""
    midnight = START_NS + DAY_NS
    today = line("day", 5, starts_ns=START_NS, ends_ns=midnight)
    tomorrow = line("day", 5, starts_ns=midnight, ends_ns=midnight + DAY_NS)
    ledger.reserve(call(today, id="a", at_ns=midnight - 1))
    ledger.reserve(call(tomorrow, id="b", at_ns=midnight))
    ledger.close("a", Verb.SETTLE, midnight + 1, charge())
    kept = {row.starts_ns: row.balance for row in ledger.balances("default")}
    assert kept == {START_NS: Balance(settled=1), midnight: Balance(held=1)}
    assert [row.starts_ns for row in ledger.balances("default", after_ns=midnight)] == [midnight]


def test_a_truth_thirty_days_late_counts_once_in_its_window(ledger: Ledger) -> None:
    """R51"""
    day = line("day", 5, starts_ns=START_NS, ends_ns=START_NS + DAY_NS)
    ledger.reserve(call(day, id="a"))
    ledger.lapse("here", START_NS + DAY_NS)
    for _ in range(2):
        ledger.close("a", Verb.SETTLE, START_NS + 30 * DAY_NS, charge())
    ledger.close("a", Verb.PRESUME, START_NS + 31 * DAY_NS)
    assert [row.balance for row in ledger.balances("default")] == [Balance(settled=1)]


def test_an_extension_covers_more_within_the_limit(ledger: Ledger) -> None:
    usd = line("usd", 100, Unit.USD)
    asked = call(usd, id="a", cover=Cover(10_000, 1000, 0), ask=Ask(20, 20))
    ledger.reserve(asked)
    assert ledger.extend(asked, 21, 50) == Extension(50, is_granted=True)
    assert ledger.extend(asked, 51, 500) == Extension(90, is_granted=True)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=100)
    assert ledger.extend(asked, 91, 92) == Extension(90, is_granted=False, line=usd), "it says what has no room"
    ledger.close("a", Verb.PRESUME, START_NS)
    assert sums(ledger)["usd", "", "usd"] == Balance(presumed=100)
    assert ledger.extend(asked, 91, 92) == Extension(90, is_granted=False)


def test_an_extension_for_another_attempt_takes_its_input_and_its_request_again(ledger: Ledger) -> None:
    tokens, requests = line("tokens", 100, Unit.TOKENS), line("requests", 2)
    asked = call(tokens, requests, id="a", cover=Cover(0, 0, 30), ask=Ask(10, 10))
    ledger.reserve(asked)
    assert ledger.extend(asked, 20, 20, attempts=2) == Extension(20, is_granted=True)
    assert sums(ledger) == {("tokens", "", "tokens"): Balance(held=80), ("requests", "", "requests"): Balance(held=2)}
    assert ledger.extend(asked, 20, 20, attempts=3) == Extension(20, is_granted=False, line=tokens)


def test_an_extension_that_is_refused_names_the_line_without_room(ledger: Ledger) -> None:
    tokens, requests = line("tokens", 100, Unit.TOKENS), line("requests", 1)
    asked = call(tokens, requests, id="a", cover=Cover(0, 0, 10), ask=Ask(10, 10))
    ledger.reserve(asked)
    assert ledger.extend(asked, 10, 10, attempts=2) == Extension(10, is_granted=False, line=requests)
    assert ledger.extend(asked, 91, 91) == Extension(10, is_granted=False, line=tokens)


def test_an_extension_that_comes_again_or_out_of_order_never_shrinks_the_hold(ledger: Ledger) -> None:
    asked = call(line("t", 100, Unit.TOKENS), id="a", cover=Cover(0, 0, 10), ask=Ask(10, 10))
    ledger.reserve(asked)
    assert ledger.extend(asked, 20, 40, attempts=2) == Extension(40, is_granted=True)
    assert ledger.extend(asked, 20, 40, attempts=2) == Extension(40, is_granted=True)
    assert ledger.extend(asked, 5, 12, attempts=1) == Extension(40, is_granted=True)
    assert ledger.extend(asked, 41, 42, attempts=1) == Extension(42, is_granted=True)
    assert sums(ledger)["t", "", "tokens"] == Balance(held=62)


def test_another_attempt_must_fit_beside_all_that_is_covered_already(ledger: Ledger) -> None:
    asked = call(line("t", 40, Unit.TOKENS), id="a", cover=Cover(0, 0, 10), ask=Ask(25, 25))
    ledger.reserve(asked)
    assert ledger.extend(asked, 1, 2, attempts=2) == Extension(25, is_granted=False, line=asked.lines[0])
    assert sums(ledger)["t", "", "tokens"] == Balance(held=35)


@pytest.mark.parametrize("rate", [10**15, 10**30])
def test_a_call_that_no_ledger_could_count_is_refused_cleanly(ledger: Ledger, rate: int) -> None:
    """No number that does not fit a 64-bit column gets near it, also where no budget is in USD."""
    with pytest.raises(BadRequest, match="cannot be held"):
        ledger.reserve(call(line(), id="a", cover=Cover(0, rate, 0), ask=Ask(10**6, 10**6)))
    with pytest.raises(BadRequest, match="cannot be held"):
        ledger.reserve(call(line(), id="a", cover=Cover(rate * 10**9, 0, 0)))
    with pytest.raises(BadRequest, match="cannot be held"):
        ledger.reserve(call(line(), id="a", cover=Cover(0, 0, rate * 1000)))
    assert sums(ledger) == {}
    assert isinstance(ledger.reserve(call(line(), id="a")), Granted)


def test_a_dear_call_is_granted_what_can_be_counted_and_extended_no_further(ledger: Ledger) -> None:
    asked = call(line(limit=1), id="a", cover=Cover(0, 10**12, 0), ask=Ask(1, 10**9))
    granted = ledger.reserve(asked)
    assert isinstance(granted, Granted)
    most = AMOUNT_COUNTABLE_MAX // 10**9
    assert granted.tokens == most
    assert not ledger.extend(asked, most + 1, 10**9).is_granted
    ledger.close("a", Verb.PRESUME, START_NS)
    assert ledger.hold("default", "a").held.cost_nano == most * 10**9


@pytest.mark.parametrize("count", [0, 1, 2**31, 2**53])
def test_counters_are_exact_up_to_the_largest(ledger: Ledger, count: int) -> None:
    """R42"""
    ledger.reserve(call(line("t", 2**53, Unit.TOKENS), line("usd", 9 * 10**15, Unit.USD), id="a"))
    ledger.close("a", Verb.SETTLE, START_NS, Charge(Amounts(count, count, 0, 0, count, 0, 1)))
    assert sums(ledger) == {
        ("t", "", "tokens"): Balance(settled=2 * count),
        ("usd", "", "usd"): Balance(settled=count),
    }
    assert ledger.hold("default", "a").settled == Amounts(count, count, 0, 0, count, 0, 1)
