"""What is set while bursar runs is read as the file is; tenants of budgets; the pepper (S38, S47)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.config.conftest import Load

from bursar.config.budgets import DEFAULT_TENANT_OF_BUDGETS, read_set_budget
from bursar.config.objects import plain, tree_of
from bursar.config.problems import Problems
from bursar.core.budget import Budget
from bursar.errors import ConfigError

PEPPER = "correct-horse-battery-staple-0123456789"


def read(definition: Any, name: str = "b", tenant: str = "acme") -> tuple[Budget, ...]:
    problems = Problems()
    found = read_set_budget(name, tenant, tree_of(definition, problems), problems)
    problems.raise_any()
    return found


def test_a_set_budget_is_the_one_that_the_file_would_give(load_text: Load) -> None:
    (of_file,) = load_text(
        "budgets: [{name: b, tenant: acme, limit: $5 / day, per: user, strict: true, warn_at: []}]"
    ).budgets
    assert read({"limit": "$5 / day", "per": ["user"], "strict": True, "warn_at": []}) == (of_file,)


def test_one_definition_gives_a_budget_for_each_window() -> None:
    assert [each.name for each in read({"limit": ["$1 / day", "$9 / month"]})] == ["b (day)", "b (month)"]


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        ({"limit": "$5 / day", "tenant": "rival"}, "tenant: unknown key"),
        ({"limit": "$5 / day", "name": "other"}, "name: unknown key"),
        ({"limit": "$5 / day", "is_operators": True}, "is_operators: unknown key"),
        ({"limit": {"usd": 0.5}, "window": "day"}, 'limit.usd: a decimal number is written as text: "0.5"'),
        ({"limit": "-$5 / day"}, "limit"),
        ({"limit": None}, "limit: the value is missing"),
        ({"limit": object()}, "limit: a text"),
        ({"limit": "NaN tokens / day"}, "limit"),
        ({7: "x"}, "a key is a word"),
        ({"": "x"}, "a key is a word"),
        ({"limit": [[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]]]}, "nested"),
        ({"limit": "$5 / day", "per": ["x\n"]}, "per"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(definition: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(definition)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("name", "tenant"), [("", "acme"), ("x\ny", "acme"), ("x" * 129, "acme"), ("b", "a b"), ("b", "")]
)
def test_names_are_checked(name: str, tenant: str) -> None:
    with pytest.raises(ConfigError):
        read("$5 / day", name, tenant)


def test_numbers_are_taken_exactly() -> None:
    assert read({"limit": {"usd": Decimal("0.10")}, "window": "day"}) == read({"limit": "$0.10/day"})
    assert read({"limit": {"requests": 7}, "window": "day"}) == read({"limit": "7 requests / day"})


def test_a_tree_is_kept_as_texts_and_read_the_same_again() -> None:
    problems = Problems()
    written = {"a": [1, True, "x"], "b": {"c": Decimal("1.50")}}
    kept = plain(tree_of(written, problems))
    assert kept == {"a": ["1", "true", "x"], "b": {"c": "1.50"}}
    assert plain(tree_of(kept, problems)) == kept
    assert not len(problems)


def test_many_values_are_not_read_to_their_end() -> None:
    problems = Problems()
    with pytest.raises(ConfigError, match="more than"):
        tree_of(["x"] * 100_000, problems)


@pytest.mark.parametrize("tenant", ["acme", "A.b_c-9", '"*"'])
def test_a_budget_of_the_file_may_name_its_tenant(load_text: Load, tenant: str) -> None:
    (found,) = load_text(f"budgets: [{{limit: $5 / day, tenant: {tenant}}}]").budgets
    assert found.tenant == tenant.strip('"')


@pytest.mark.parametrize("tenant", ["a b", "-x", "'**'", "ä", "x" * 65])
def test_a_tenant_has_a_plain_name(load_text: Load, tenant: str) -> None:
    with pytest.raises(ConfigError, match="names no tenant"):
        load_text(f"budgets: [{{limit: $5 / day, tenant: {tenant}}}]")


def test_a_budget_without_a_tenant_has_the_default_one(load_text: Load) -> None:
    assert load_text("budgets: [$5 / day]").budgets[0].tenant == DEFAULT_TENANT_OF_BUDGETS


def test_the_pepper_is_read_from_the_environment_and_never_shown(load_text: Load) -> None:
    settings = load_text("", {"BURSAR_PEPPER": PEPPER})
    assert settings.pepper == PEPPER
    assert PEPPER not in repr(settings)


def test_a_short_pepper_is_refused_and_not_repeated(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("", {"BURSAR_PEPPER": "hunter2"})
    assert "hunter2" not in caught.value.message
    assert "BURSAR_PEPPER" in caught.value.message
