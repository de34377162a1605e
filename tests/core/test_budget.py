"""Budgets and labels: who is counted, under which name, and what makes a budget another one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.budget import Budget, Limit, Policy, Unit
from bursar.core.labels import LABEL_NAMES, NONE, OTHER, VALUE_LENGTH_MAX, Labels, is_label
from bursar.core.window import Window, WindowKind

DAY = Window(WindowKind.DAY)
BUDGET = Budget("b", (Limit(Unit.USD, 5),), DAY, match=(("agent", ("a", "b*")),), per=("user", "team"))
values = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)


@pytest.mark.parametrize(
    ("patterns", "value", "is_counted"),
    [
        (("coder",), "coder", True),
        (("coder",), "coders", False),
        (("cod*",), "coder", True),
        (("*",), "anyone", True),
        (("*",), None, False),
        ((NONE,), None, True),
        (("a", "b*"), "bob", True),
        (("a", "b*"), "cob", False),
        (("*-[x]*",), "team-[x]1", True),
        (("*-[x]*",), "team-x1", False),
        (("wh?t*",), "what", False),
        (("wh?t*",), "wh?t now", True),
        (("Coder*",), "coder", False),
    ],
)
def test_a_pattern_counts_whom_it_names(patterns: tuple[str, ...], value: str | None, is_counted: bool) -> None:
    labels = Labels({"agent": value} if value else {})
    assert replace(BUDGET, match=(("agent", patterns),)).matches(labels) == is_counted


def test_all_labels_of_a_match_must_fit() -> None:
    both = replace(BUDGET, match=(("agent", ("a",)), ("team", ("x",))))
    assert both.matches(Labels({"agent": "a", "team": "x"}))
    assert not both.matches(Labels({"agent": "a"}))


def test_a_scope_names_the_values_it_splits_by() -> None:
    assert BUDGET.scope(Labels({"user": "ada", "team": "x"})) == "user=ada,team=x"
    assert BUDGET.scope(Labels({})) == f"user={NONE},team={NONE}"
    assert replace(BUDGET, per=()).scope(Labels({"user": "ada"})) == ""


@given(st.lists(st.tuples(values, values), min_size=2, max_size=6, unique=True))
def test_two_scopes_never_share_a_name(pairs: list[tuple[str, str]]) -> None:
    scopes = {BUDGET.scope(Labels({"user": user, "team": team})) for user, team in pairs}
    assert len(scopes) == len(pairs)
    assert OTHER not in scopes


def test_a_run_window_splits_by_run_and_has_no_cap_in_values() -> None:
    run = replace(BUDGET, per=("user",), window=Window(WindowKind.RUN))
    assert run.split == ("user", "run")
    assert replace(run, per=("run", "user")).split == ("run", "user")
    assert not run.is_capped_in_values
    assert BUDGET.is_capped_in_values
    assert not replace(BUDGET, per=()).is_capped_in_values


@pytest.mark.parametrize(
    "change",
    [
        {"limits": (Limit(Unit.USD, 6), Limit(Unit.TOKENS, 1))},
        {"link": "https://ask.example"},
        {"warn_at": (50, 90)},
        {"is_strict": True},
        {"on_unknown_price": Policy.ALLOW},
        {"on_store_down": Policy.ALLOW},
        {"values_max": 3},
        {"match": (("agent", ("b*", "a")),)},
    ],
    ids=str,
)
def test_what_may_change_without_losing_what_was_spent(change: dict[str, Any]) -> None:
    assert replace(BUDGET, **change).identity == BUDGET.identity


@pytest.mark.parametrize(
    "change",
    [
        {"name": "c"},
        {"match": ()},
        {"match": (("agent", ("a",)),)},
        {"per": ("user",)},
        {"per": ("team", "user")},
        {"window": Window(WindowKind.WEEK)},
        {"window": Window(WindowKind.DAY, "Europe/Berlin")},
        {"window": Window(WindowKind.DAY, week_start=3)},
        {"window": Window(WindowKind.DAYS, days=30, since=date(2026, 1, 1))},
        {"window": Window(WindowKind.DAYS, days=30, since=date(2026, 1, 2))},
    ],
    ids=str,
)
def test_what_makes_it_another_budget(change: dict[str, Any]) -> None:
    assert replace(BUDGET, **change).identity != BUDGET.identity


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"limits": ()},
        {"limits": (Limit(Unit.USD, 1), Limit(Unit.USD, 2))},
        {"per": ("colour",)},
        {"match": (("colour", ("red",)),)},
        {"values_max": 0},
    ],
    ids=str,
)
def test_nonsense_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="budget"):
        replace(BUDGET, **change)


@pytest.mark.parametrize(
    ("unit", "amount"), [(Unit.USD, 9 * 10**15 + 1), (Unit.TOKENS, 2**53 + 1), (Unit.REQUESTS, -1), (Unit.USD, 1.5)]
)
def test_a_limit_lies_within_bounds(unit: Unit, amount: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        Limit(unit, amount)


def test_only_known_names_and_printable_tags_are_labels() -> None:
    assert all(is_label(name) for name in (*LABEL_NAMES, "tag.x", "tag.ä b"))
    assert not any(is_label(name) for name in ("", "tag.", "tags", "Agent", "tag.\x00", "tag.a\nb", "tag.\ud800"))


def test_labels_keep_what_is_printable_cut_to_length() -> None:
    labels = Labels.of(
        {"agent": " a\x00b\n ", "user": "x" * 500, "colour": "red", "team": "", "task": "\t", "run": "日本"}
    )
    assert dict(labels) == {"agent": "a\ufffdb", "user": "x" * VALUE_LENGTH_MAX, "run": "日本"}


@pytest.mark.parametrize("value", [NONE, OTHER, f" {NONE} "])
def test_nobody_can_pass_for_a_stand_in(value: str) -> None:
    assert dict(Labels.of({"user": value})) == {}
    assert Labels.of({"user": value})["user"] == NONE


def test_no_more_than_sixteen_tags_are_kept() -> None:
    labels = Labels.of({f"tag.{number}": "v" for number in range(40)} | {"user": "ada"})
    assert len(labels) == 17
    assert labels["tag.0"] == "v"
    assert labels["tag.39"] == NONE


@given(st.dictionaries(st.text(max_size=20) | st.sampled_from(["tag.a", "user"]), st.text(max_size=200)))
def test_whatever_comes_in_can_be_written_and_read(values_of: dict[str, str]) -> None:
    for name, value in Labels.of(values_of).items():
        assert (name + value).encode("utf-8")
        assert value == value.strip()
        assert 0 < len(value) <= VALUE_LENGTH_MAX
