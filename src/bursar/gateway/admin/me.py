"""Who is asking, and what is left for it: the one page that every key may read, so that an agent can plan.

Owns which balances a key may see: those that a call sent like this request would count against, and no other.
"""

from __future__ import annotations

from bursar.actions.budgets import Standing, level_of
from bursar.actions.shown import standing_json
from bursar.core.admission import Line
from bursar.core.budget import Budget, Limit
from bursar.core.labels import Labels
from bursar.gateway.admin.bodies import MeQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk
from bursar.gateway.admin.rights import is_operator
from bursar.identity.caller import Caller
from bursar.identity.labels import labels_of
from bursar.reports.shown import iso
from bursar.wiring.reading import Readable

__all__ = ["me"]


async def me(desk: Desk, asked: Asked[MeQuery, None]) -> Answer:
    """Say who is asking, and how the budgets stand that its calls count against."""
    caller, at_ns = asked.caller, desk.now_ns()
    said = caller.labelled(labels_of(asked.headers, {}))
    named = {name: text for name, text in (("model", asked.query.model), ("provider", asked.query.provider)) if text}
    labels = Labels.of({**said.pairs, **named})
    in_force = desk.engine.control.in_force
    matching = in_force.budgets.matching(caller.tenant, labels)
    pairs = [(budget, line) for budget in matching for line in in_force.budgets.lines([budget], labels, at_ns)]
    standings = await desk.read(lambda ledger: [_standing(ledger, caller.tenant, *pair) for pair in pairs])
    key = caller.key
    return {
        "tenant": caller.tenant,
        "key": key.name if key else None,
        "key_id": key.id if key else None,
        "role": _role(caller),
        "labels": dict(labels),
        "may_set": sorted(key.may_set) if key else [],
        "expires": iso(key.expires_ns) if key else None,
        "is_paused": in_force.stopped(caller.tenant, labels) is not None,
        "budgets": [_shown(*pair, standing) for pair, standing in zip(pairs, standings, strict=True)],
    }


def _role(caller: Caller) -> str:
    if caller.key is not None:
        return str(caller.key.role)
    return "operator" if is_operator(caller) else "call"


def _standing(ledger: Readable, tenant: str, budget: Budget, line: Line) -> Standing:
    balance, limit = ledger.balance(tenant, line), Limit(line.unit, line.limit)
    return Standing(line.scope, limit, balance, level_of(budget, limit, balance))


def _shown(budget: Budget, line: Line, standing: Standing) -> Answer:
    return {
        "budget": budget.name,
        "window": str(budget.window.kind),
        "starts": iso(line.starts_ns),
        "ends": iso(line.ends_ns),
        "link": budget.link or None,
        "standing": standing_json(standing),
    }
