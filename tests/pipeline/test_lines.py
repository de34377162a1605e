"""The lines of a call: remembered as long as they are the same, and no longer."""

from __future__ import annotations

from dataclasses import replace

from bursar.core.budget import Budget, Limit, Unit
from bursar.core.labels import Labels
from bursar.core.window import NS, Window, WindowKind
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
