"""Budgets over HTTP: how they stand, setting them, taking them out, giving more.

Owns the step between a request and `actions/limits.py`, which decides.
"""

from __future__ import annotations

from functools import partial

import msgspec

from bursar.actions.acting import By
from bursar.actions.budgets import BudgetStatus, budget_status
from bursar.actions.limits import BudgetWish, TopUpWish, remove_budget, set_budget, top_up
from bursar.actions.shown import budget_json, status_json, top_up_json
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT
from bursar.errors import Forbidden, NotFound
from bursar.gateway.admin.bodies import BudgetBody, BudgetQuery, BudgetsQuery, TenantQuery, TopUpBody
from bursar.gateway.admin.desk import Answer, Asked, Desk, page
from bursar.wiring.reading import Readable

__all__ = ["get_budget", "list_budgets", "put_budget", "remove", "top_up_budget"]


async def list_budgets(desk: Desk, asked: Asked[BudgetsQuery, None]) -> Answer:
    """Say how every budget of a tenant stands."""
    query, budgets = asked.query, desk.budgets(asked.tenant)
    statuses = {status.budget.name: status for status in await _statuses(desk, asked.tenant, budgets)}
    return page(
        budgets,
        query.limit,
        query.after,
        lambda budget: budget.name,
        lambda budget: _shown(desk, statuses[budget.name], query.scopes),
    )


async def get_budget(desk: Desk, asked: Asked[BudgetQuery, None]) -> Answer:
    """Say how one budget stands."""
    budget = _named(desk, asked.tenant, asked.names["name"])
    (status,) = await _statuses(desk, asked.tenant, (budget,))
    return _shown(desk, status, asked.query.scopes)


async def put_budget(desk: Desk, asked: Asked[TenantQuery, BudgetBody]) -> Answer:
    """Set a budget, or change the one of this name."""
    wish = BudgetWish(asked.tenant, asked.names["name"], msgspec.to_builtins(asked.body))
    budgets = await desk.change(asked, lambda ledger, by: set_budget(ledger, desk.settings.budgets, wish, by))
    return {"budgets": [budget_json(budget) for budget in budgets]}


async def remove(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Take out a budget that was set."""
    name = asked.names["name"]
    try:
        await desk.change(asked, partial(_remove, desk, asked.tenant, name))
    except NotFound:
        if asked.tenant != EVERY_TENANT and any(
            (each.name, each.tenant) == (name, EVERY_TENANT) for each in desk.state.budgets
        ):
            raise Forbidden(f"budget {name!r} was set for every tenant: the operator removes it there, tenant=*") from (
                None
            )
        raise
    return {"removed": name, "tenant": asked.tenant}


def _remove(desk: Desk, tenant: str, name: str, ledger: Readable, by: By) -> None:
    remove_budget(ledger, desk.settings.budgets, tenant, name, by)


async def top_up_budget(desk: Desk, asked: Asked[TenantQuery, TopUpBody]) -> Answer:
    """Give a budget more in its current window. The same id again gives what is there."""
    body = asked.body
    wish = TopUpWish(asked.tenant, asked.names["name"], body.amount, body.scope, body.id)
    return top_up_json(await desk.change(asked, lambda ledger, by: top_up(ledger, desk.settings.budgets, wish, by)))


async def _statuses(desk: Desk, tenant: str, budgets: tuple[Budget, ...]) -> tuple[BudgetStatus, ...]:
    at_ns, top_ups = desk.now_ns(), desk.top_ups
    return await desk.read(lambda ledger: budget_status(ledger, budgets, tenant, at_ns, top_ups))


def _named(desk: Desk, tenant: str, name: str) -> Budget:
    found = next((budget for budget in desk.budgets(tenant) if budget.name == name), None)
    if found is None:
        raise NotFound(f"there is no budget {name[:128]!r}")
    return found


def _shown(desk: Desk, status: BudgetStatus, scopes: int) -> Answer:
    source = "file" if status.budget in desk.settings.budgets else "set"
    return {**status_json(status, scopes), "source": source, "tenant": status.budget.tenant}
