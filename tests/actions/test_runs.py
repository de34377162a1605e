"""What people do to runs: who may, what an approval gives, and that the audit log has it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.conformance.kit import call, charge, cost

from bursar.actions.acting import By
from bursar.actions.limits import TopUpWish, top_up
from bursar.actions.links import link_of, read_link, signed
from bursar.actions.runs import RunWish, approve_run, finish_run, stop_run
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import EVERY_TENANT, KeyRow, Role
from bursar.core.guards import GuardRule, Guards
from bursar.core.hold import Verb
from bursar.core.labels import Labels
from bursar.core.ledger import Refused
from bursar.core.run import Guard, RunAsk, RunChange, RunLimit, RunState, RunVerb
from bursar.core.window import Window, WindowKind
from bursar.errors import Forbidden, HoldConflict, NotFound, UsageError
from bursar.pipeline.budgets import Budgets
from bursar.testing.clock import START_NS

Store = Any
DOLLAR = 1_000_000_000
OPERATOR = By("operator", START_NS + 1)
ADMIN = By.key(KeyRow("k", "acme", "boss", Role.ADMIN, "d", "hint", {}, frozenset(), 1), START_NS + 1)
PEPPER = b"p" * 32
COST = Budget("guard cost", (Limit(Unit.USD, DOLLAR),), Window(WindowKind.RUN), (("run", ("*",)),), (), EVERY_TENANT)
GUARDS = Guards((GuardRule("cost", DOLLAR, budget=COST.name),), (COST,))
WISH = RunWish("acme", "r")


def begin(ledger: Store, *limits: RunLimit, run: str = "r") -> Any:
    """One call of a run, that counts in the guard's budget too."""
    labels = Labels({"run": run})
    lines = Budgets([replace(COST, tenant="acme")]).lines((replace(COST, tenant="acme"),), labels, START_NS)
    asked = replace(call(*lines, tenant="acme", labels=labels.pairs, cover=cost(100)), run=RunAsk(run, limits))
    verdict = ledger.reserve(asked)
    if not isinstance(verdict, Refused):
        ledger.close(asked.id, Verb.SETTLE, START_NS, charge(100))
    return verdict


def approve(ledger: Store, *add: str, by: By = OPERATOR, since_ns: int | None = None) -> Any:
    return approve_run(ledger, (COST,), GUARDS, RunWish("acme", "r", "fine", add, since_ns), by)


def test_a_stopped_run_is_refused_until_it_is_approved_and_each_act_is_in_the_audit_log(ledger: Store) -> None:
    begin(ledger)
    assert stop_run(ledger, RunWish("acme", "r", "it loops"), OPERATOR).state is RunState.STOPPED
    assert isinstance(begin(ledger), Refused)
    assert approve(ledger).state is RunState.RUNNING
    assert not isinstance(begin(ledger), Refused)
    rows = ledger.audit("acme", 9)
    assert [(row.action, row.name, row.actor) for row in rows] == [
        ("run approve", "r", "operator"),
        ("run stop", "r", "operator"),
    ]
    assert json.loads(rows[1].after)["reason"] == "it loops"


def test_money_that_is_added_goes_into_the_runs_own_budget_and_no_others(ledger: Store) -> None:
    begin(ledger)
    begin(ledger, run="other")
    approve(ledger, "$2")
    (added,) = [document for document in ledger.documents() if document.kind == "top_up"]
    body = json.loads(added.body)
    assert (body["budget"], body["scope"], body["amount"]) == ("guard cost", "run=r", 2 * DOLLAR)


def test_without_more_said_a_run_that_its_cost_guard_parked_gets_as_much_again(ledger: Store) -> None:
    begin(ledger)
    ledger.change_run("acme", "r", RunChange(RunVerb.PARK, START_NS, "cost"))
    approve(ledger)
    (added,) = [document for document in ledger.documents() if document.kind == "top_up"]
    assert json.loads(added.body)["amount"] == DOLLAR


def test_a_run_that_spent_too_fast_goes_on_without_any_money_added(ledger: Store) -> None:
    begin(ledger)
    ledger.change_run("acme", "r", RunChange(RunVerb.PARK, START_NS, "spend_per_minute"))
    fast = GuardRule("spend_per_minute", DOLLAR, budget="guard spend_per_minute")
    row = approve_run(ledger, (COST,), Guards((*GUARDS.rules, fast), (COST,)), RunWish("acme", "r"), OPERATOR)
    assert row.state is RunState.RUNNING
    assert not ledger.documents()


def test_counts_are_added_to_the_run_itself(ledger: Store) -> None:
    limit = RunLimit(Guard.STEPS, 1)
    begin(ledger, limit)
    assert isinstance(begin(ledger, limit), Refused)
    assert approve(ledger, "2 steps", "5 tool calls", "60 seconds").extras == {
        "steps": 2,
        "tool_calls": 5,
        "seconds": 61,
    }
    assert [isinstance(begin(ledger, limit), Refused) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("amount", ["two dollars", "$0", "5 requests", "-1 steps"])
def test_an_amount_that_cannot_be_added_is_refused_and_the_run_stays_as_it_is(ledger: Store, amount: str) -> None:
    begin(ledger)
    stop_run(ledger, WISH, OPERATOR)
    with pytest.raises(UsageError):
        approve(ledger, amount)
    assert ledger.run_row("acme", "r").state is RunState.STOPPED


def test_a_key_approves_counts_but_neither_the_operators_money_nor_what_the_operator_stopped(ledger: Store) -> None:
    begin(ledger)
    stop_run(ledger, WISH, ADMIN)
    assert approve(ledger, by=ADMIN).state is RunState.RUNNING
    with pytest.raises(Forbidden):
        approve(ledger, "$2", by=ADMIN)
    stop_run(ledger, WISH, OPERATOR)
    with pytest.raises(Forbidden):
        approve(ledger, by=ADMIN)


def test_a_key_of_another_tenant_may_nothing(ledger: Store) -> None:
    begin(ledger)
    rival = By.key(KeyRow("k", "rival", "boss", Role.ADMIN, "d", "hint", {}, frozenset(), 1), START_NS)
    for act in (
        lambda: stop_run(ledger, WISH, rival),
        lambda: finish_run(ledger, WISH, "ok", rival),
        lambda: approve(ledger, by=rival),
    ):
        with pytest.raises(Forbidden):
            act()


def test_a_run_that_no_guard_has_seen_is_named_with_advice(ledger: Store) -> None:
    with pytest.raises(NotFound, match="bursar pause"):
        stop_run(ledger, WISH, OPERATOR)


def test_a_finished_run_has_its_outcome(ledger: Store) -> None:
    begin(ledger)
    assert finish_run(ledger, WISH, "ok", OPERATOR).outcome == "ok"
    with pytest.raises(UsageError):
        finish_run(ledger, WISH, "", OPERATOR)
    with pytest.raises(HoldConflict):
        approve(ledger)


def test_a_link_is_good_for_one_decision_until_it_is_over(ledger: Store) -> None:
    begin(ledger)
    stop_run(ledger, WISH, OPERATOR)
    row = ledger.run_row("acme", "r")
    token = signed(link_of(row, START_NS + 100), PEPPER)
    link = read_link(token, PEPPER, START_NS + 99)
    assert (link.tenant, link.run) == ("acme", "r")
    approve(ledger, since_ns=link.since_ns)
    with pytest.raises(HoldConflict):
        approve(ledger, since_ns=link.since_ns)


@pytest.mark.parametrize("change", ["expired", "other pepper", "no pepper", "forged", "cut", "empty", "long"])
def test_a_link_that_is_not_whole_or_over_opens_nothing(ledger: Store, change: str) -> None:
    begin(ledger)
    token = signed(link_of(ledger.run_row("acme", "r"), START_NS + 100), PEPPER)
    said, _, digest = token.partition(".")
    shown = {
        "forged": f"{said[:-2]}AA.{digest}",
        "cut": token[:-4],
        "empty": "",
        "long": token + "A" * 2_000,
    }.get(change, token)
    pepper = {"other pepper": b"q" * 32, "no pepper": b""}.get(change, PEPPER)
    with pytest.raises(NotFound):
        read_link(shown, pepper, START_NS + (100 if change == "expired" else 1))


def test_a_top_up_by_hand_is_the_same_money(ledger: Store) -> None:
    begin(ledger)
    top_up(ledger, (COST,), TopUpWish("acme", "guard cost", "$1", {"run": "r"}), OPERATOR)
    approve(ledger, "$1")
    assert sum(json.loads(each.body)["amount"] for each in ledger.documents()) == 2 * DOLLAR
