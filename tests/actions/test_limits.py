"""Budgets are set, taken out and topped up; what the operator set no key can raise (S37, S38, S47, S61)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bursar.actions.acting import By
from bursar.actions.budgets import budget_status
from bursar.actions.control import state_of
from bursar.actions.limits import BudgetWish, TopUpWish, remove_budget, set_budget, top_up
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import Change, KeyRow, Kind, Role, raised
from bursar.core.money import AMOUNT_MAX
from bursar.core.window import NS, Window, WindowKind
from bursar.errors import BursarError, Forbidden, HoldConflict, NotFound, UsageError
from bursar.identity.keys import mint
from bursar.testing.clock import START_NS

Store = Any
OPERATOR = By("operator", START_NS)
ADMIN = By.key(KeyRow("k", "acme", "boss", Role.ADMIN, "d", "hint", {}, frozenset(), 1), START_NS)
DAY = Window(WindowKind.DAY)
USD = 10**9
IN_FILE = (Budget("filed", (Limit(Unit.USD, 5 * USD),), DAY, tenant="*"),)


def put(
    ledger: Store, definition: Any = "$5 / day", name: str = "b", tenant: str = "acme", by: By = OPERATOR
) -> tuple[Budget, ...]:
    return set_budget(ledger, IN_FILE, BudgetWish(tenant, name, definition), by)


def more(ledger: Store, amount: str = "$2", budget: str = "b", by: By = OPERATOR, **other: Any) -> Any:
    return top_up(ledger, IN_FILE, TopUpWish("acme", budget, amount, **other), by)


def names(ledger: Store) -> list[tuple[str, str]]:
    return [(each.tenant, each.name) for each in state_of(ledger).budgets]


def test_a_set_budget_is_read_back_as_it_was_set(ledger: Store) -> None:
    budgets = put(ledger, {"limit": ["$5 / day", "9k tokens / week"], "match": {"agent": ["a*", "b"]}, "per": "user"})
    assert [each.name for each in budgets] == ["b (day)", "b (week)"]
    state = state_of(ledger)
    assert state.budgets == budgets
    assert state.version == 1
    assert state.all_budgets(IN_FILE) == (*IN_FILE, *budgets)
    row = ledger.audit("acme", 1)[0]
    assert (row.action, row.actor, row.name, row.before) == ("budget set", "operator", "b", "")
    assert '"limit":["$5 / day","9k tokens / week"]' in row.after


def test_setting_it_again_changes_it_and_remembers_what_it_was(ledger: Store) -> None:
    put(ledger)
    (changed,) = put(ledger, "$7 / day")
    assert state_of(ledger).budgets == (changed,)
    row = ledger.audit(None, 1)[0]
    assert "$5 / day" in row.before
    assert "$7 / day" in row.after


@pytest.mark.parametrize(
    ("definition", "param"),
    [
        ("lots", "limit"),
        ("$5", "limit"),
        ({"limit": "$5 / day", "tenant": "rival"}, "tenant"),
        ({"limit": "$5 / day", "spent": 0}, "spent"),
        ({"limit": "$5 / day", "match": {"nobody": "x"}}, "match.nobody"),
        ({"limit": "$5 / day", "values_max": 0}, "values_max"),
        ({"limit": "-1 tokens / day"}, "limit"),
        ({"limit": "$99000000 / day"}, "limit"),
        ({}, None),
    ],
)
def test_what_is_wrong_is_told_with_key_and_advice(ledger: Store, definition: Any, param: str | None) -> None:
    """S38, S47: an unknown field is refused, not passed over."""
    with pytest.raises(UsageError) as caught:
        put(ledger, definition)
    assert caught.value.param == param
    assert ledger.control_version() == 0


@pytest.mark.parametrize(("name", "tenant"), [("", "acme"), ("a\nb", "acme"), ("b", "a b"), ("b", "../x")])
def test_names_are_checked(ledger: Store, name: str, tenant: str) -> None:
    """S61"""
    with pytest.raises(UsageError):
        put(ledger, name=name, tenant=tenant)


def test_what_the_file_defines_is_changed_there(ledger: Store) -> None:
    with pytest.raises(UsageError, match=r"written in bursar\.yaml"):
        put(ledger, name="filed")
    with pytest.raises(UsageError, match=r"written in bursar\.yaml"):
        remove_budget(ledger, IN_FILE, "acme", "filed", OPERATOR)


def test_a_budget_that_the_file_defines_later_is_the_files(ledger: Store) -> None:
    set_budget(ledger, (), BudgetWish("acme", "filed", "$1 / day"), OPERATOR)
    assert state_of(ledger).all_budgets(IN_FILE) == IN_FILE


def test_no_tenant_has_two_budgets_of_one_name(ledger: Store) -> None:
    put(ledger, {"limit": ["$1 / day", "$2 / week"]}, "b", "*")
    for name in ("b (day)", "b (week)"):
        with pytest.raises(HoldConflict, match="another budget"):
            put(ledger, "$9 / day", name)
    put(ledger, "$9 / day", "c", "rival")
    put(ledger, "$9 / day", "c", "acme")
    with pytest.raises(HoldConflict):
        put(ledger, "$9 / day", "c", "*")
    assert len(names(ledger)) == 4


def test_a_removed_budget_is_gone_and_an_unknown_one_is_not_found(ledger: Store) -> None:
    put(ledger)
    for tenant, name in (("rival", "b"), ("acme", "c")):
        with pytest.raises(NotFound):
            remove_budget(ledger, IN_FILE, tenant, name, OPERATOR)
    remove_budget(ledger, IN_FILE, "acme", "b", OPERATOR)
    assert names(ledger) == []
    assert [row.action for row in ledger.audit(None, 9)] == ["budget remove", "budget set"]


def test_a_top_up_counts_in_this_window_alone(ledger: Store) -> None:
    (budget,) = put(ledger)
    found = more(ledger)
    assert state_of(ledger).top_ups == (found,)
    limit, starts_ns = budget.limits[0], DAY.span(START_NS).starts_ns
    more_of = raised(limit, [found], budget.identity, "", starts_ns)
    assert more_of == Limit(Unit.USD, 7 * USD)
    assert raised(limit, [found], budget.identity, "", DAY.span(START_NS + 86_400 * NS).starts_ns) == limit
    assert raised(limit, [found], "another", "", starts_ns) == limit
    assert raised(Limit(Unit.TOKENS, 1), [found], budget.identity, "", starts_ns) == Limit(Unit.TOKENS, 1)


def test_a_top_up_may_be_for_one_scope(ledger: Store) -> None:
    (budget,) = put(ledger, {"limit": "$5 / day", "per": "user"})
    found = more(ledger, scope={"user": "a,b"})
    assert found.scope == "user=a\\,b"
    limit, starts_ns = budget.limits[0], found.starts_ns
    assert raised(limit, [found], budget.identity, "user=a\\,b", starts_ns).amount == 7 * USD
    assert raised(limit, [found], budget.identity, "user=bob", starts_ns) == limit
    assert raised(limit, [more(ledger)], budget.identity, "user=bob", starts_ns).amount == 7 * USD
    for scope in ({"agent": "x"}, {"user": "x", "agent": "y"}):
        with pytest.raises(UsageError, match="user="):
            more(ledger, scope=scope)


def test_the_same_id_counts_once_also_in_the_next_window(ledger: Store) -> None:
    put(ledger)
    first = more(ledger, id="order-1")
    assert more(ledger, id="order-1") == first
    assert more(ledger, id="order-1", by=replace(OPERATOR, at_ns=START_NS + 86_400 * NS)) == first
    assert state_of(ledger).top_ups == (first,)
    assert ledger.control_version() == 2
    with pytest.raises(HoldConflict):
        more(ledger, "$3", id="order-1")


def test_budgets_of_the_file_and_of_every_tenant_are_topped_up_for_one(ledger: Store) -> None:
    put(ledger, name="all", tenant="*")
    for budget in ("filed", "all"):
        assert more(ledger, budget=budget).tenant == "acme"
    with pytest.raises(UsageError):
        top_up(ledger, IN_FILE, TopUpWish("*", "all", "$1"), OPERATOR)


@pytest.mark.parametrize(
    "amount", ["", "$0", "-$1", "$5 / day", "5k tokens", "NaN", "1e400", "$9000000", "$1.0000000001"]
)
def test_an_amount_that_makes_no_sense_is_refused(ledger: Store, amount: str) -> None:
    """S47"""
    put(ledger)
    with pytest.raises(UsageError):
        more(ledger, amount)
    assert ledger.control_version() == 1


def test_a_limit_never_passes_the_largest_there_is(ledger: Store) -> None:
    put(ledger)
    more(ledger, "$8,999,990")
    with pytest.raises(UsageError, match="largest"):
        more(ledger, "$6")
    (budget,) = state_of(ledger).budgets
    both = [*state_of(ledger).top_ups] * 2
    assert raised(budget.limits[0], both, budget.identity, "", both[0].starts_ns).amount == AMOUNT_MAX


def test_a_term_that_is_over_is_not_topped_up(ledger: Store) -> None:
    put(ledger, "$5 / 3 days from 2020-01-01")
    with pytest.raises(UsageError, match="not in its term"):
        more(ledger)


@pytest.mark.parametrize("top_up_id", ["../x", "a b", "x" * 65, "x\n"])
def test_an_odd_id_is_refused(ledger: Store, top_up_id: str) -> None:
    """S61"""
    put(ledger)
    with pytest.raises(UsageError):
        more(ledger, id=top_up_id)


def test_an_unknown_budget_is_named_with_what_was_meant_and_never_another_tenants(ledger: Store) -> None:
    put(ledger, name="mine")
    put(ledger, name="theirs", tenant="rival")
    with pytest.raises(NotFound, match="did you mean 'mine'"):
        more(ledger, budget="mime")
    with pytest.raises(NotFound) as caught:
        more(ledger, budget="their")
    assert "theirs" not in caught.value.message


def test_a_key_neither_changes_nor_tops_up_what_the_operator_set(ledger: Store) -> None:
    """S37"""
    put(ledger)
    put(ledger, name="all", tenant="*")
    version = ledger.control_version()
    acts: list[Any] = [
        lambda: put(ledger, "$500 / day", by=ADMIN),
        lambda: put(ledger, tenant="*", name="new", by=ADMIN),
        lambda: put(ledger, tenant="rival", by=ADMIN),
        lambda: remove_budget(ledger, IN_FILE, "acme", "b", ADMIN),
        lambda: remove_budget(ledger, IN_FILE, "*", "all", ADMIN),
        lambda: more(ledger, by=ADMIN),
        lambda: more(ledger, budget="all", by=ADMIN),
        lambda: more(ledger, budget="filed", by=ADMIN),
    ]
    for act in acts:
        with pytest.raises(Forbidden):
            act()
    assert ledger.control_version() == version


def test_a_key_does_as_it_likes_with_what_its_tenant_set_until_the_operator_takes_it_over(ledger: Store) -> None:
    put(ledger, by=ADMIN)
    put(ledger, "$9 / day", by=ADMIN)
    more(ledger, by=ADMIN)
    put(ledger, "$3 / day")
    with pytest.raises(Forbidden):
        put(ledger, "$9 / day", by=ADMIN)
    with pytest.raises(Forbidden):
        more(ledger, by=ADMIN)


@pytest.mark.parametrize("role", [Role.CALL, Role.READ])
def test_a_key_without_the_role_admin_sets_nothing(ledger: Store, role: Role) -> None:
    assert ADMIN.grantor is not None
    by = replace(ADMIN, grantor=replace(ADMIN.grantor, role=role))
    with pytest.raises(Forbidden):
        put(ledger, by=by)
    with pytest.raises(BursarError):
        more(ledger, budget="filed", by=by)


def test_a_broken_stored_budget_is_told_and_nothing_else_is_lost(ledger: Store) -> None:
    put(ledger, name="good")
    put(ledger, name="bad")
    ledger.change([Change(Kind.BUDGET, "acme", "bad", '{"definition":{"limit":"lots"}}', "", "by hand", "x", 1)])
    state = state_of(ledger)
    assert names(ledger) == [("acme", "good")]
    assert len(state.problems) == 1
    assert "bad" in state.problems[0]
    assert "limit" in state.problems[0]


def test_top_ups_of_windows_that_are_over_do_not_pile_up(ledger: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.actions.limits.TOP_UPS_KEPT", 3)
    put(ledger)
    for day in range(5):
        more(ledger, by=replace(OPERATOR, at_ns=START_NS + day * 86_400 * NS))
    assert len(state_of(ledger).top_ups) <= 3


def in_force(ledger: Store, in_file: tuple[Budget, ...] = IN_FILE, tenant: str = "acme") -> list[int]:
    """Give each limit of the tenant's budget `b`, as the gateway and the reports have it."""
    state = state_of(ledger)
    statuses = budget_status(ledger, state.all_budgets(in_file), tenant, START_NS, state.all_top_ups(in_file))
    (found,) = (each for each in statuses if each.budget.name == "b")
    return [standing.limit.amount for standing in found.standings]


@pytest.mark.parametrize("tenant", ["acme", "*"])
def test_what_a_key_gave_more_ends_with_its_budget_and_never_raises_the_operators(ledger: Store, tenant: str) -> None:
    put(ledger, "$1 / day", by=ADMIN)
    more(ledger, "$100000", by=ADMIN)
    remove_budget(ledger, IN_FILE, "acme", "b", ADMIN)
    assert state_of(ledger).top_ups == ()
    put(ledger, "$5 / day", tenant=tenant)
    assert in_force(ledger) == [5 * USD]
    assert [row.action for row in ledger.audit("acme", 9)].count("budget top-up ended") == 1


def test_what_a_key_gave_more_ends_when_the_operator_takes_the_budget_over(ledger: Store) -> None:
    put(ledger, "$1 / day", by=ADMIN)
    more(ledger, "$100000", by=ADMIN)
    assert in_force(ledger) == [100_001 * USD]
    put(ledger, "$2 / day", by=ADMIN)
    assert in_force(ledger) == [100_002 * USD]
    put(ledger, "$5 / day")
    assert in_force(ledger) == [5 * USD]
    more(ledger, "$3")
    put(ledger, "$6 / day")
    assert in_force(ledger) == [9 * USD]


def test_what_a_key_gave_more_never_raises_a_limit_that_the_file_has_later(ledger: Store) -> None:
    (budget,) = put(ledger, "$1 / day", by=ADMIN)
    more(ledger, "$100000", by=ADMIN)
    for tenant in ("acme", "*"):
        filed = (Budget("b", (Limit(Unit.USD, 5 * USD),), DAY, tenant=tenant),)
        assert filed[0].identity == budget.identity
        assert in_force(ledger, filed) == [5 * USD]


def test_a_top_up_that_was_left_behind_by_a_removed_budget_counts_for_no_later_one(ledger: Store) -> None:
    """A ledger of an earlier version has such ones, and they do not say who gave them."""
    (budget,) = put(ledger, "$1 / day", by=ADMIN)
    found = more(ledger, "$100000", by=ADMIN)
    (document,) = ledger.documents(Kind.TOP_UP)
    remove_budget(ledger, IN_FILE, "acme", "b", ADMIN)
    old = document.body.replace(',"is_operators":false', "")
    assert old != document.body
    ledger.change([Change(Kind.TOP_UP, "acme", found.id, old, "", "by hand", "x", 1)])
    assert state_of(ledger).top_ups == (replace(found, is_operators=True),)
    put(ledger, "$5 / day")
    assert in_force(ledger) == [5 * USD]
    assert budget.identity == state_of(ledger).budgets[0].identity


def test_another_window_is_another_budget_and_ends_what_was_given_more(ledger: Store) -> None:
    put(ledger)
    more(ledger)
    put(ledger, "$5 / week")
    put(ledger, "$5 / day")
    assert in_force(ledger) == [5 * USD]


def test_removing_every_tenants_budget_ends_what_each_was_given_more(ledger: Store) -> None:
    put(ledger, tenant="*")
    more(ledger)
    remove_budget(ledger, IN_FILE, "*", "b", OPERATOR)
    put(ledger, tenant="*")
    assert in_force(ledger) == [5 * USD]


def test_what_one_tenant_has_set_keeps_nobody_else_from_setting_theirs(
    ledger: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.actions.limits.BUDGETS_MAX", 2)
    monkeypatch.setattr("bursar.actions.limits.TOP_UPS_MAX", 2)
    for name in ("b", "c"):
        put(ledger, name=name, by=ADMIN)
        more(ledger, budget=name, by=ADMIN)
    with pytest.raises(HoldConflict):
        put(ledger, name="d", by=ADMIN)
    with pytest.raises(HoldConflict):
        more(ledger, by=ADMIN)
    put(ledger, "$6 / day", by=ADMIN)
    put(ledger, name="op", tenant="rival")
    put(ledger, name="op", tenant="acme")
    top_up(ledger, IN_FILE, TopUpWish("rival", "op", "$1"), OPERATOR)
    more(ledger, budget="op")
    put(ledger, name="all", tenant="*")


@pytest.mark.parametrize("around", ["{}", "of {} and ada"])
def test_a_key_is_no_name_of_a_budget(ledger: Store, around: str) -> None:
    """S05: a name stands in reports, refusals and the audit log."""
    key = mint()
    with pytest.raises(UsageError) as caught:
        put(ledger, name=around.format(key))
    assert caught.value.param == "name"
    assert key not in caught.value.message
    assert ledger.control_version() == 0
