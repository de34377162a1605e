"""Budgets that come, change and go while calls run: R44, R45, R63-like beginnings, and values_max."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conformance.kit import DAY_NS, Ledger, call, charge, cost, lines_of, sums

from bursar.core.admission import Ask, Balance, Cover
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.hold import Verb
from bursar.core.ledger import Granted, Refused, Reservation
from bursar.core.window import Window, WindowKind
from bursar.testing.clock import START_NS

DAY, TOTAL = Window(WindowKind.DAY), Window(WindowKind.TOTAL)
USD = Budget("usd", (Limit(Unit.USD, 100),), DAY)


def asked(*budgets: Budget, id: str, nano: int = 10, at_ns: int = START_NS, **labels: str) -> Reservation:  # noqa: A002
    labels = {"model": "m", **labels}
    return call(*lines_of(budgets, labels, at_ns), id=id, cover=cost(nano), at_ns=at_ns, labels=labels)


def test_a_lowered_limit_denies_and_a_raised_one_admits_and_nothing_spent_is_lost(ledger: Ledger) -> None:
    """R44"""
    ledger.define([USD], START_NS)
    ledger.reserve(asked(USD, id="a", nano=60))
    ledger.close("a", Verb.SETTLE, START_NS, charge(60))
    low, high = replace(USD, limits=(Limit(Unit.USD, 50),)), replace(USD, limits=(Limit(Unit.USD, 200),))
    ledger.define([low], START_NS)
    refused = ledger.reserve(asked(low, id="b", nano=0))
    assert isinstance(refused, Refused)
    assert (refused.is_exhausted, refused.balance) == (True, Balance(settled=60))
    ledger.define([high], START_NS)
    granted = ledger.reserve(asked(high, id="c", nano=140))
    assert isinstance(granted, Granted)
    assert granted.balances == (Balance(settled=60, held=140),)


def test_a_budget_that_is_taken_out_keeps_its_record_and_its_open_holds_end(ledger: Ledger) -> None:
    """R45"""
    ledger.define([USD], START_NS)
    ledger.reserve(asked(USD, id="a", nano=60))
    ledger.define([], START_NS)
    assert ledger.close("a", Verb.SETTLE, START_NS, charge(20)).balances == (Balance(settled=20),)
    assert sums(ledger)["usd", "", "usd"] == Balance(settled=20)


def test_a_budget_that_comes_back_counts_what_was_spent_without_it_and_nothing_twice(ledger: Ledger) -> None:
    ledger.define([USD], START_NS)
    ledger.reserve(asked(USD, id="with", nano=10))
    ledger.define([], START_NS)
    ledger.reserve(asked(id="without", nano=25))
    ledger.define([USD], START_NS)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=35)
    ledger.define([USD], START_NS)
    ledger.define([], START_NS)
    ledger.define([USD], START_NS)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=35)


def test_a_budget_that_begins_in_mid_window_starts_from_the_calls_that_match(ledger: Ledger) -> None:
    """Open, presumed, settled, corrected and released ones; then each goes on by the table."""
    coders = replace(USD, name="coders", match=(("agent", ("coder",)),))
    for id_ in ("open", "presumed", "settled", "corrected", "released"):
        ledger.reserve(asked(id=id_, nano=10, agent="coder"))
    ledger.reserve(asked(id="other-agent", nano=1000, agent="tester"))
    ledger.reserve(asked(id="yesterday", nano=1000, at_ns=START_NS - 1, agent="coder"))
    ledger.reserve(call(id="rival", cover=cost(1000), tenant="rival", labels={"agent": "coder"}))
    ledger.close("presumed", Verb.PRESUME, START_NS)
    ledger.close("settled", Verb.SETTLE, START_NS, charge(7))
    ledger.close("corrected", Verb.SETTLE, START_NS, charge(9))
    ledger.close("corrected", Verb.CORRECT, START_NS, charge(3))
    ledger.close("released", Verb.RELEASE, START_NS)

    ledger.define([coders], START_NS + 1)
    assert sums(ledger) == {("coders", "", "usd"): Balance(settled=7 + 3, presumed=10, held=10)}

    ledger.close("open", Verb.SETTLE, START_NS, charge(4))
    ledger.close("presumed", Verb.SETTLE, START_NS, charge(5))
    ledger.close("settled", Verb.CORRECT, START_NS, charge(1))
    ledger.close("released", Verb.SETTLE, START_NS, charge(8))
    assert sums(ledger) == {("coders", "", "usd"): Balance(settled=4 + 5 + 1 + 3 + 8)}


def test_a_redefined_budget_starts_from_the_calls_of_its_new_window(ledger: Ledger) -> None:
    ledger.define([USD], START_NS)
    ledger.reserve(asked(USD, id="a", nano=10))
    now = START_NS + DAY_NS
    ledger.reserve(asked(USD, id="b", nano=20, at_ns=now))
    total = replace(USD, window=TOTAL)
    ledger.define([total], now)
    rows = {(row.identity == total.identity, row.starts_ns): row.balance for row in ledger.balances("default")}
    assert rows == {
        (False, START_NS): Balance(held=10),
        (False, now): Balance(held=20),
        (True, 0): Balance(held=30),
    }


def test_a_limit_in_another_unit_that_is_added_starts_from_the_calls_too(ledger: Ledger) -> None:
    ledger.define([USD], START_NS)
    ledger.reserve(asked(USD, id="a", nano=10))
    both = replace(USD, limits=(*USD.limits, Limit(Unit.REQUESTS, 1)))
    ledger.define([both], START_NS)
    assert sums(ledger) == {("usd", "", "usd"): Balance(held=10), ("usd", "", "requests"): Balance(held=1)}
    assert isinstance(ledger.reserve(asked(both, id="b", nano=1)), Refused)


def test_calls_of_a_budget_that_nobody_had_defined_yet_are_not_counted_twice(ledger: Ledger) -> None:
    """Another process, already on the new configuration, was first."""
    ledger.reserve(asked(id="before", nano=5))
    ledger.reserve(asked(USD, id="first", nano=10))
    ledger.define([USD], START_NS)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=15)


def test_an_extension_stays_within_a_budget_that_began_while_the_call_ran(ledger: Ledger) -> None:
    """P1 holds for the newcomer, though the call's own lines do not name it."""
    cover, labels = Cover(0, 1000, 0), {"model": "m"}
    running = call(*lines_of([USD], labels, START_NS), id="a", cover=cover, ask=Ask(10, 10), labels=labels)
    ledger.reserve(running)
    small = replace(USD, name="small", limits=(Limit(Unit.USD, 30),))
    ledger.define([USD, small], START_NS)
    assert ledger.extend(running, 11, 25).tokens == 25
    assert ledger.extend(running, 26, 80).tokens == 30
    assert not ledger.extend(running, 31, 80).is_granted
    assert sums(ledger)["small", "", "usd"] == Balance(held=30)
    ledger.define([USD], START_NS)
    assert ledger.extend(running, 31, 80).tokens == 80, "what is no longer in force limits nothing"


def test_beyond_values_max_scopes_share_one(ledger: Ledger) -> None:
    users = Budget("users", (Limit(Unit.USD, 100),), DAY, per=("user",), values_max=2)
    ledger.define([users], START_NS)
    for id_, user in enumerate(["ada", "bob", "cy", "dee", "ada", "cy"]):
        ledger.reserve(asked(users, id=str(id_), nano=10, user=user))
    assert sums(ledger) == {
        ("users", "user=ada", "usd"): Balance(held=20),
        ("users", "user=bob", "usd"): Balance(held=10),
        ("users", "(other)", "usd"): Balance(held=30),
    }
    assert isinstance(ledger.reserve(asked(users, id="x", nano=71, user="eve")), Refused)
    assert isinstance(ledger.reserve(asked(users, id="y", nano=90, user="bob")), Granted)
    closed = ledger.close("2", Verb.SETTLE, START_NS, charge(4))
    assert closed.balances == (Balance(settled=4, held=20),)
    tomorrow = START_NS + DAY_NS
    granted = ledger.reserve(asked(users, id="z", nano=10, at_ns=tomorrow, user="dee"))
    assert isinstance(granted, Granted)
    assert granted.balances == (Balance(held=10),), "a new window has room for new values"


def test_a_refused_call_takes_no_place_among_the_values(ledger: Ledger) -> None:
    users = Budget("users", (Limit(Unit.USD, 100),), DAY, per=("user",), values_max=1)
    ledger.define([users], START_NS)
    assert isinstance(ledger.reserve(asked(users, id="a", nano=101, user="nobody")), Refused)
    ledger.reserve(asked(users, id="b", nano=10, user="ada"))
    assert sums(ledger) == {("users", "user=ada", "usd"): Balance(held=10)}


@pytest.mark.parametrize("values_max", [2, 10])
def test_a_raised_values_max_gives_nobody_back_what_was_counted_together(ledger: Ledger, values_max: int) -> None:
    users = Budget("users", (Limit(Unit.USD, 100),), DAY, per=("user",), values_max=1)
    ledger.define([users], START_NS)
    for id_, user in enumerate(["ada", "bob", "bob"]):
        ledger.reserve(asked(users, id=str(id_), nano=45, user=user))
    more = replace(users, values_max=values_max)
    ledger.define([more], START_NS)
    assert isinstance(ledger.reserve(asked(more, id="b", nano=11, user="bob")), Refused)
    ledger.reserve(asked(more, id="c", nano=4, user="bob"))
    ledger.reserve(asked(more, id="d", nano=3, user="cy"))
    ledger.reserve(asked(more, id="e", nano=2, user="ada"))
    assert sums(ledger) == {
        ("users", "user=ada", "usd"): Balance(held=47),
        ("users", "(other)", "usd"): Balance(held=97),
    }
    ledger.reserve(asked(more, id="f", nano=1, at_ns=START_NS + DAY_NS, user="ada"))
    granted = ledger.reserve(asked(more, id="g", nano=90, at_ns=START_NS + DAY_NS, user="bob"))
    assert isinstance(granted, Granted)
    assert granted.balances == (Balance(held=90),), "the next window begins by the new number"


def test_values_max_holds_when_a_budget_begins_in_mid_window(ledger: Ledger) -> None:
    users = Budget("users", (Limit(Unit.USD, 100),), DAY, per=("user",), values_max=1)
    for id_, user in enumerate(["ada", "bob", "cy"]):
        ledger.reserve(asked(id=str(id_), nano=10, user=user))
    ledger.define([users], START_NS)
    kept = sums(ledger)
    assert kept == {("users", "user=ada", "usd"): Balance(held=10), ("users", "(other)", "usd"): Balance(held=20)}


@pytest.mark.parametrize("count", [2_500])
def test_a_budget_begins_from_more_calls_than_are_read_at_once(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.reserve(asked(id=f"{number:05}", nano=1, at_ns=START_NS + number // 100))
    ledger.define([replace(USD, limits=(Limit(Unit.USD, count),))], START_NS + DAY_NS - 1)
    assert sums(ledger)["usd", "", "usd"] == Balance(held=count)


def test_a_missing_label_is_a_value_and_is_counted(ledger: Ledger) -> None:
    teams = Budget("teams", (Limit(Unit.USD, 100),), DAY, per=("team",))
    ledger.reserve(asked(teams, id="a", nano=10))
    assert sums(ledger) == {("teams", "team=(none)", "usd"): Balance(held=10)}
