"""The lines of a call: remembered as long as they are the same, and no longer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import TopUp
from bursar.core.labels import Labels
from bursar.core.window import NS, Window, WindowKind
from bursar.pipeline import budgets as module
from bursar.pipeline.budgets import Budgets

DAY_NS = 86_400 * NS
NOON_NS = 20_454 * DAY_NS + DAY_NS // 2
ADA = Labels({"user": "ada"})


def test_a_new_day_has_lines_of_its_own_and_so_has_every_value() -> None:
    budget = Budget("daily", (Limit(Unit.USD, 5),), Window(WindowKind.DAY), per=("user",))
    budgets = Budgets([budget])
    (today,) = budgets.lines([budget], ADA, NOON_NS)
    (again,) = budgets.lines([budget], ADA, NOON_NS + 1)
    (tomorrow,) = budgets.lines([budget], ADA, NOON_NS + DAY_NS)
    (yesterday,) = budgets.lines([budget], ADA, NOON_NS - DAY_NS)
    (bob,) = budgets.lines([budget], Labels({"user": "bob"}), NOON_NS)
    assert today is again
    assert (today.ends_ns, yesterday.ends_ns) == (tomorrow.starts_ns, today.starts_ns)
    assert (today.scope, bob.scope) == ("user=ada", "user=bob")


def test_budgets_that_a_call_brings_along_are_counted_beside_those_in_force() -> None:
    budgets = Budgets([Budget("daily", (Limit(Unit.USD, 5),), Window(WindowKind.DAY), per=("user",))])
    mine = Budget("mine", (Limit(Unit.USD, 7),), Window(WindowKind.TOTAL), instance="i-1", is_strict=True)
    alone, both = budgets.counted("default", ADA, NOON_NS), budgets.counted("default", ADA, NOON_NS, (mine,))
    assert [line.budget for line in both.lines] == ["daily", "mine"]
    assert (alone.is_strict, both.is_strict, both.budgets) == (False, True, (*alone.budgets, mine))
    assert budgets.counted("default", ADA, NOON_NS + 1, (mine,)) is both
    assert budgets.counted("default", ADA, NOON_NS + DAY_NS, (mine,)).lines[0].starts_ns == both.lines[0].ends_ns
    less = replace(mine, limits=(Limit(Unit.USD, 1),))
    assert budgets.counted("default", ADA, NOON_NS, (less,)).lines[1].limit == 1
    assert budgets.counted("nobody", ADA, NOON_NS, (mine,)).lines == both.lines[1:]
    split = replace(mine, per=("team",))
    for team in ("a", "b"):
        assert budgets.counted("default", Labels({"team": team}), NOON_NS, (split,)).lines[1].scope == f"team={team}"


def test_the_memory_of_what_calls_bring_along_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 10)
    budgets = Budgets([])
    for number in range(25):
        mine = Budget("mine", (Limit(Unit.USD, number),), Window(WindowKind.TOTAL), instance=f"i-{number}")
        assert [line.limit for line in budgets.counted("default", ADA, NOON_NS, (mine,)).lines] == [number]
        assert len(budgets._counted) <= 10


def test_a_scope_without_one_of_its_limits_has_the_lines_of_the_others() -> None:
    """As where a carved part stands in for it."""
    limits = (Limit(Unit.USD, 5), Limit(Unit.REQUESTS, 7))
    scope = Budget("mine", limits, Window(WindowKind.TOTAL), instance="i-1")
    budgets = Budgets([])
    assert [line.unit for line in budgets.lines([scope], ADA, NOON_NS)] == [Unit.USD, Unit.REQUESTS]
    carved = replace(scope, limits=limits[1:])
    assert [line.unit for line in budgets.lines([carved], ADA, NOON_NS)] == [Unit.REQUESTS]
    other = replace(scope, instance="i-2")
    (mine, _), (theirs, _) = (budgets.lines([each], ADA, NOON_NS) for each in (scope, other))
    assert mine.identity != theirs.identity


NAMED = ("user", "team", "run")
VALUES = st.sampled_from(["ada", "bob", "a=b,c", "(none)"])
LABELS = st.dictionaries(st.sampled_from([*NAMED, "model"]), VALUES).map(Labels)
WINDOWS = st.sampled_from(
    [Window(kind) for kind in (WindowKind.MINUTE, WindowKind.HOUR, WindowKind.DAY, WindowKind.TOTAL, WindowKind.RUN)]
)
PATTERNS = st.lists(st.sampled_from(["ada", "a*", "*", "bob"]), min_size=1, max_size=2).map(tuple)
BUDGETS = st.builds(
    Budget,
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from([(Limit(Unit.USD, 5),), (Limit(Unit.USD, 6), Limit(Unit.REQUESTS, 7))]),
    WINDOWS,
    match=st.dictionaries(st.sampled_from(NAMED), PATTERNS, max_size=2).map(lambda found: tuple(found.items())),
    per=st.lists(st.sampled_from(NAMED), max_size=2, unique=True).map(tuple),
    tenant=st.sampled_from(["default", "acme"]),
    is_strict=st.booleans(),
)
CALLS = st.tuples(st.sampled_from(["default", "acme", "nobody"]), LABELS, st.integers(0, 3 * DAY_NS // NS))


@given(
    st.lists(BUDGETS, max_size=4, unique_by=lambda budget: (budget.tenant, budget.name)),
    st.lists(CALLS, min_size=1, max_size=12),
)
def test_what_is_remembered_to_count_a_call_is_what_counts_it(
    found: list[Budget], calls: list[tuple[str, Labels, int]]
) -> None:
    """In any order of calls, instants that run back included."""
    kept = Budgets(found)
    for tenant, labels, at_s in calls:
        at_ns = NOON_NS + at_s * NS
        counted, anew = kept.counted(tenant, labels, at_ns), Budgets(found)
        matching = anew.matching(tenant, labels)
        assert counted.budgets == matching
        assert counted.lines == anew.lines(matching, labels, at_ns)
        assert counted.is_strict == any(budget.is_strict for budget in matching)
        assert all(line.starts_ns <= at_ns < line.ends_ns for line in counted.lines)


TELLING = [
    Budget("by value", (Limit(Unit.USD, 5),), Window(WindowKind.DAY), per=("user",)),
    Budget("by run", (Limit(Unit.USD, 5),), Window(WindowKind.RUN)),
    Budget("by match", (Limit(Unit.USD, 5),), Window(WindowKind.DAY), match=(("team", ("a*",)),)),
]


@pytest.mark.parametrize("label", NAMED)
def test_calls_that_a_budget_tells_apart_are_counted_apart(label: str) -> None:
    kept = Budgets(TELLING)
    alike = Labels({"user": "ada", "run": "ada", "team": "ada"})
    other = Labels({**alike.pairs, label: "bob"})
    assert kept.counted("default", alike, NOON_NS).lines != kept.counted("default", other, NOON_NS).lines


def test_what_counts_a_call_is_looked_up_once_for_the_labels_that_matter() -> None:
    budgets = Budgets([Budget("daily", (Limit(Unit.USD, 5),), Window(WindowKind.DAY), per=("user",))])
    counted = budgets.counted("default", ADA, NOON_NS)
    assert budgets.counted("default", Labels({"user": "ada", "model": "m"}), NOON_NS + 1) is counted
    assert budgets.counted("default", Labels({"user": "bob"}), NOON_NS).lines[0].scope == "user=bob"
    assert budgets.counted("default", Labels({}), NOON_NS).lines[0].scope == "user=(none)"


def test_more_money_is_in_the_lines_of_the_budgets_that_it_was_given_with() -> None:
    budget = Budget("daily", (Limit(Unit.USD, 5),), Window(WindowKind.DAY))
    (line,) = Budgets([budget]).counted("default", ADA, NOON_NS).lines
    top_up = TopUp("t", "default", budget.identity, "daily", "", line.starts_ns, Limit(Unit.USD, 3))
    (raised,) = Budgets([budget], [top_up]).counted("default", ADA, NOON_NS).lines
    assert (line.limit, raised.limit) == (5, 8)


def test_a_budget_of_the_same_name_never_has_another_ones_lines() -> None:
    """A scope that a call brings along may be called like a budget that is in force."""
    mine = Budget("mine", (Limit(Unit.USD, 5),), Window(WindowKind.TOTAL))
    budgets = Budgets([mine])
    (line,) = budgets.lines([mine], ADA, NOON_NS)
    (daily,) = budgets.lines([replace(mine, window=Window(WindowKind.DAY))], ADA, NOON_NS)
    assert (line.starts_ns, line.identity) != (daily.starts_ns, daily.identity)


def test_the_memory_of_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 10)
    budgets = Budgets([Budget("each", (Limit(Unit.USD, 5),), Window(WindowKind.DAY), per=("user",))])
    for number in range(25):
        (line,) = budgets.counted("default", Labels({"user": f"u{number}"}), NOON_NS).lines
        assert line.scope == f"user=u{number}"
        assert len(budgets._counted) <= 10
        assert len(budgets._lines) <= 10
