"""A budget begins a little at a time, while calls go on: in the end it has counted every call of its window, once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.kit import DAY_NS, STORES, Ledger, call, charge, cost, lines_of, sums

from bursar.core.admission import Balance
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.hold import Verb
from bursar.core.ledger import BEGIN_MAX, Reservation
from bursar.core.window import Window, WindowKind
from bursar.testing.clock import START_NS

DAY, TOTAL = Window(WindowKind.DAY), Window(WindowKind.TOTAL)
USD = Budget("usd", (Limit(Unit.USD, 10**9), Limit(Unit.REQUESTS, 10**9)), DAY)
CODERS = Budget("coders", (Limit(Unit.USD, 10**9),), TOTAL, match=(("agent", ("coder",)),), per=("user",))
RIVALS = replace(USD, tenant="rival")


def asked(
    number: int, *budgets: Budget, at_ns: int = START_NS, tenant: str = "default", agent: str = "coder"
) -> Reservation:
    labels = {"agent": agent, "user": f"u{number % 3}"}
    lines = lines_of(budgets, labels, at_ns, tenant)
    return call(*lines, id=f"c{number:05}", cover=cost(number + 1), at_ns=at_ns, tenant=tenant, labels=labels)


def chunks(ledger: Ledger, budgets: list[Budget], most: int, after: tuple[int, str] | None = None) -> Iterator[None]:
    """Begin, a chunk at each step."""
    place = ledger.begin(budgets, START_NS, after, most)
    while place is not None:
        yield
        place = ledger.begin(budgets, START_NS, place, most)


def expected(ledger: Ledger, budget: Budget, unit: Unit = Unit.USD) -> Balance:
    """Sum the calls of a budget from their own rows."""
    found = [0, 0, 0]
    for row in ledger.holds(budget.tenant, (0, 1, 2, 3), 10**6):  # type: ignore[arg-type]
        side = {0: 2, 1: 0, 3: 1}.get(row.state)
        if budget.window.span(START_NS).starts_ns <= row.opened_ns < budget.window.span(START_NS).ends_ns:
            found[0] += row.settled.amount(unit) if row.state == 1 else 0
            found[side or 0] += row.held.amount(unit) if side else 0
    return Balance(*found)


def test_a_chunk_looks_at_so_many_calls_and_says_where_the_next_begins(ledger: Ledger) -> None:
    for number in range(7):
        ledger.reserve(asked(number))
    ledger.declare([USD])
    seen = [sums(ledger).get(("usd", "", "requests"), Balance()).held for _ in chunks(ledger, [USD], 3)]
    assert seen == [3, 6]
    assert sums(ledger)["usd", "", "requests"] == Balance(held=7)


def test_a_chunk_is_small_though_none_of_its_calls_match(ledger: Ledger) -> None:
    """The calls of another tenant cost as much to look at."""
    for number in range(BEGIN_MAX + 1):
        ledger.reserve(asked(number))
    ledger.declare([RIVALS])
    assert ledger.begin([RIVALS], START_NS, None) is not None


def test_what_is_counted_is_not_counted_again_by_another_pass_from_anywhere(ledger: Ledger) -> None:
    for number in range(9):
        ledger.reserve(asked(number, at_ns=START_NS + number))
    ledger.declare([USD, CODERS])
    for after in (None, (START_NS + 4, ""), None, (0, "")):
        for _ in chunks(ledger, [USD, CODERS], 2, after):
            pass
    assert sums(ledger)["usd", "", "usd"] == Balance(held=sum(range(10)))
    assert sum(balance.held for (name, _, _), balance in sums(ledger).items() if name == "coders") == sum(range(10))


def test_calls_that_came_behind_a_pass_are_counted_by_one_from_a_little_before(ledger: Ledger) -> None:
    for number in range(6):
        ledger.reserve(asked(number, at_ns=START_NS + number))
    ledger.declare([USD])
    steps = chunks(ledger, [USD], 4)
    next(steps)
    ledger.reserve(asked(50, at_ns=START_NS + 2))
    assert list(steps) == []
    assert sums(ledger)["usd", "", "requests"].held == 6
    assert list(chunks(ledger, [USD], 10, (START_NS + 1, ""))) == []
    assert sums(ledger)["usd", "", "requests"].held == 7


def test_a_budget_has_not_begun_until_it_is_finished_and_keeps_that_when_its_limit_changes(ledger: Ledger) -> None:
    high = replace(USD, limits=tuple(replace(limit, amount=10**10) for limit in USD.limits))
    assert ledger.declare([USD, CODERS]) == (USD, CODERS)
    assert ledger.declare([USD, CODERS]) == (USD, CODERS)
    ledger.finish([USD])
    assert ledger.declare([high, CODERS]) == (CODERS,)
    both = replace(high, limits=(*high.limits, Limit(Unit.TOKENS, 5)))
    assert ledger.declare([both]) == (both,), "a limit in another unit has not"
    assert ledger.declare([high]) == ()
    assert ledger.declare([]) == ()
    assert ledger.declare([high]) == (high,), "it was out"


def test_a_budget_that_is_taken_out_while_it_begins_has_not_begun(ledger: Ledger) -> None:
    ledger.declare([USD])
    ledger.begin([USD], START_NS)
    ledger.declare([])
    ledger.finish([USD])
    assert ledger.declare([USD]) == (USD,)


def test_what_was_defined_stays_as_it_is_when_nothing_differs(tmp_path: Path) -> None:
    """A pause or a key must not rewrite the budgets of two thousand tenants."""
    with STORES["sqlite"](tmp_path) as ledger:
        many = [replace(USD, tenant=f"t{number}") for number in range(50)]
        ledger.define(many, START_NS)
        before = ledger.db.total_changes
        ledger.define(many, START_NS)
        assert ledger.db.total_changes == before
        ledger.define(many[1:], START_NS)
        assert ledger.db.total_changes == before + len(USD.limits)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "knowing", "settle", "presume", "release", "extend", "chunk", "chunk"]),
        st.integers(0, 40),
        st.sampled_from(["coder", "tester"]),
    ),
    min_size=5,
    max_size=60,
)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, most=st.integers(1, 5))
def test_whatever_comes_between_two_chunks_each_call_is_counted_once(
    store: str, steps: list[tuple[str, int, str]], most: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, STORES[store](Path(folder)) as ledger:
        known: list[Reservation] = []
        closed: set[str] = set()
        ledger.declare([USD, CODERS])
        place = None
        for kind, number, agent in steps:
            if kind == "chunk":
                place = ledger.begin([USD, CODERS], START_NS, place, most)
                assert ledger.verify() == []
            elif kind in ("reserve", "knowing"):
                budgets = [USD, CODERS] if kind == "knowing" else []
                # Some come with an instant from before, behind the chunks that are done.
                new = asked(len(known), *budgets, at_ns=START_NS + number, agent=agent)
                ledger.reserve(new)
                known.append(new)
            elif known:
                act(ledger, kind, known[number % len(known)], closed)
        for _ in chunks(ledger, [USD, CODERS], most):
            pass
        assert ledger.verify() == []
        for unit in (Unit.USD, Unit.REQUESTS):
            assert sums(ledger).get(("usd", "", str(unit)), Balance()) == expected(ledger, USD, unit)
        coders = [each for each in known if each.labels["agent"] == "coder"]
        opened = {key for key in sums(ledger) if key[0] == "coders"}
        assert opened == {("coders", f"user={each.labels['user']}", "usd") for each in coders}


def act(ledger: Ledger, kind: str, asked: Reservation, closed: set[str]) -> None:
    if asked.id in closed:
        return
    if kind == "extend":
        ledger.extend(asked, 0, 5, attempts=2)
        return
    closed.add(asked.id)
    ledger.close(asked.id, Verb(kind), START_NS, charge(3) if kind == "settle" else None)


def test_calls_outside_of_the_window_are_not_counted(ledger: Ledger) -> None:
    for number, at_ns in enumerate((START_NS - 1, START_NS, START_NS + DAY_NS)):
        ledger.reserve(asked(number, at_ns=at_ns))
    ledger.declare([USD, CODERS])
    for _ in chunks(ledger, [USD, CODERS], 2):
        pass
    assert sums(ledger)["usd", "", "requests"] == Balance(held=1)
    assert sum(balance.held for (name, _, _), balance in sums(ledger).items() if name == "coders") == 6
