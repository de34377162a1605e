"""Budgets as people write them."""

from __future__ import annotations

from datetime import date

import pytest
from tests.config.conftest import Load

from bursar.core.budget import Limit, Policy, Unit
from bursar.core.labels import Labels
from bursar.core.money import NANO_PER_USD
from bursar.core.window import Window, WindowKind

USD = NANO_PER_USD


def test_each_user_has_a_daily_and_a_monthly_allowance(load_text: Load) -> None:
    text = "budgets:\n  - name: users\n    per: user\n    limit: [50k tokens / day, 1M tokens / month]\n"
    daily, monthly = load_text(text).budgets
    assert (daily.name, daily.window, daily.limits) == (
        "users (day)",
        Window(WindowKind.DAY),
        (Limit(Unit.TOKENS, 50_000),),
    )
    assert (monthly.name, monthly.window) == ("users (month)", Window(WindowKind.MONTH))
    assert monthly.limits == (Limit(Unit.TOKENS, 1_000_000),)
    for budget in (daily, monthly):
        assert budget.scope(Labels.of({"user": "ada"})) == "user=ada"
        assert budget.scope(Labels.of({"user": "bob"})) == "user=bob"


def test_a_budget_without_a_name_is_named_after_its_text(load_text: Load) -> None:
    text = """
budgets:
  - $5 / day
  - {limit: $5, window: week}
  - {limit: {usd: 5, tokens: 1k}, window: run}
  - {limit: $5 / day, per: [user, task-type], match: {team: [a, b], tag.env: prod}}
  - {limit: [1k tokens / day, 9 requests / minute], per: user}
"""
    assert [budget.name for budget in load_text(text).budgets] == [
        "$5/day",
        "$5/week",
        "5 usd, 1k tokens/run",
        "$5/day per user and task_type, team=a|b, tag.env=prod",
        "1k tokens/day per user",
        "9 requests/minute per user",
    ]


def test_budgets_may_be_written_by_name(load_text: Load) -> None:
    first, second = load_text("budgets:\n  daily: $5 / day\n  users: {per: user, limit: $1 / day}\n").budgets
    assert (first.name, second.name, second.per) == ("daily", "users", ("user",))


def test_limits_of_one_window_are_one_budget(load_text: Load) -> None:
    (budget,) = load_text("budgets: [{name: both, limit: [$5 / day, 1k tokens / day]}]").budgets
    assert budget.limits == (Limit(Unit.USD, 5 * USD), Limit(Unit.TOKENS, 1_000))
    (budget,) = load_text("budgets: [{name: both, limit: [$5, 1k tokens / day], window: day}]").budgets
    assert budget.limits == (Limit(Unit.USD, 5 * USD), Limit(Unit.TOKENS, 1_000))


def test_all_units_can_be_written_as_amounts(load_text: Load) -> None:
    text = "budgets: [{limit: {usd: 0.5, tokens: 1k, input_tokens: 2, output_tokens: 3, requests: 4}, window: day}]"
    assert load_text(text).budgets[0].limits == (
        Limit(Unit.USD, USD // 2),
        Limit(Unit.TOKENS, 1_000),
        Limit(Unit.INPUT_TOKENS, 2),
        Limit(Unit.OUTPUT_TOKENS, 3),
        Limit(Unit.REQUESTS, 4),
    )


@pytest.mark.parametrize(
    "budget",
    [
        "$100 / 12 weeks from 2026-11-01",
        "{limit: $100, window: 12 weeks from 2026-11-01}",
        "{limit: $100, window: 84 days from 2026-11-01}",
        "{limit: $100, window: {days: 84, since: 2026-11-01}}",
        "{limit: $100 / 12 weeks from 2026-11-01, window: {days: 84, since: 2026-11-01}}",
    ],
)
def test_a_sum_for_twelve_weeks_can_be_written_in_each_way(load_text: Load, budget: str) -> None:
    (found,) = load_text(f"budgets: [{budget}]").budgets
    assert found.window == Window(WindowKind.DAYS, days=84, since=date(2026, 11, 1))


def test_the_same_window_may_be_said_twice(load_text: Load) -> None:
    assert load_text("budgets: [{limit: $5 / day, window: day}]").budgets[0].window.kind is WindowKind.DAY


def test_labels_are_read_with_a_hyphen_too_and_tags_as_they_are(load_text: Load) -> None:
    text = "budgets: [{limit: $5/day, match: {task-type: support, tag.Cost-Centre: '4711', user: '*'}, per: Task-Type}]"
    budget = load_text(text).budgets[0]
    assert budget.match == (("task_type", ("support",)), ("tag.Cost-Centre", ("4711",)), ("user", ("*",)))
    assert budget.per == ("task_type",)


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "true", "null", "1.10", "1_000", "0x1F", "2026-11-01", "1:30"]
)
def test_a_word_is_taken_as_it_is_written(load_text: Load, word: str) -> None:
    budget = load_text(f"budgets: [{{name: {word}, limit: $5/day, match: {{team: {word}}}}}]").budgets[0]
    assert (budget.name, budget.match) == (word, (("team", (word,)),))


@pytest.mark.parametrize(
    ("written", "expected"), [("80", (80,)), ("80%", (80,)), ("[90, 50]", (50, 90)), ("[50 %]", (50,)), ("[]", ())]
)
def test_warnings_are_percentages(load_text: Load, written: str, expected: tuple[int, ...]) -> None:
    assert load_text(f"budgets: [{{limit: $5/day, warn_at: {written}}}]").budgets[0].warn_at == expected


def test_policies_weekdays_and_zones_are_read(load_text: Load) -> None:
    text = "budgets: [{limit: $5/week, week_start: Sunday, timezone: Asia/Kathmandu, on_store_down: allow}]"
    budget = load_text(text).budgets[0]
    assert (budget.window.week_start, budget.window.timezone) == (6, "Asia/Kathmandu")
    assert (budget.on_store_down, budget.on_unknown_price) == (Policy.ALLOW, Policy.DENY)


def test_a_budget_per_run_is_split_by_run(load_text: Load) -> None:
    (budget,) = load_text("budgets: [{limit: $1 / run, per: agent}]").budgets
    assert budget.split == ("agent", "run")
