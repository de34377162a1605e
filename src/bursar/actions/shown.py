"""Budgets, keys, pauses, top-ups, changes, audits and findings as JSON: what `--json` prints and the admin API answers.

Owns the names and forms of those fields. It must never show a key's digest, nor word anything for a person.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bursar.actions.budgets import BudgetStatus, Standing
from bursar.actions.checkup import Finding
from bursar.actions.keys import key_json
from bursar.actions.pauses import pause_json
from bursar.actions.verify import Audit
from bursar.config.settings import PriceRow
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import AuditRow, KeyRow, Pause, TopUp
from bursar.core.window import FOREVER_NS, to_datetime
from bursar.reports.shown import iso, plain_usd

__all__ = [
    "audit_json",
    "budget_json",
    "change_json",
    "finding_json",
    "key_shown",
    "pause_shown",
    "price_json",
    "standing_json",
    "status_json",
    "top_up_json",
]


def budget_json(budget: Budget) -> dict[str, Any]:
    """Give a budget as it is defined, for one of its windows."""
    return {
        "name": budget.name,
        "tenant": budget.tenant,
        "limits": [_limit_json(limit) for limit in budget.limits],
        "window": str(budget.window.kind),
        "timezone": budget.window.timezone,
        "per": list(budget.per),
        "match": {label: list(patterns) for label, patterns in budget.match},
        "is_strict": budget.is_strict,
        "warn_at": list(budget.warn_at),
        "link": budget.link or None,
    }


def _limit_json(limit: Limit) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": str(limit.unit), "amount": limit.amount}
    return {**found, "amount_usd": plain_usd(limit.amount)} if limit.unit is Unit.USD else found


def status_json(status: BudgetStatus, most: int | None = None) -> dict[str, Any]:
    """Give a budget in its current window with its `most` fullest standings."""
    budget = status.budget
    return {
        "name": budget.name,
        "per": list(budget.split),
        "match": {label: list(patterns) for label, patterns in budget.match},
        "window": str(budget.window.kind),
        "timezone": budget.window.timezone,
        "starts": _second(status.starts_ns) if status.starts_ns else None,
        "ends": _second(status.ends_ns) if status.ends_ns < FOREVER_NS else None,
        "level": status.level.name.lower(),
        "scopes": len({standing.scope for standing in status.standings}),
        "standings": [standing_json(standing) for standing in status.standings[:most]],
        "top_ups": [top_up_json(each) for each in status.top_ups[:most]],
    }


def standing_json(standing: Standing) -> dict[str, Any]:
    """Give one limit at one scope; amounts in USD as nano-USD and text, others as counts."""
    balance, unit = standing.balance, standing.limit.unit
    amounts = {
        "limit": standing.limit.amount,
        "used": standing.used,
        "settled": balance.settled,
        "presumed": balance.presumed,
        "held": balance.held,
        "left": standing.left,
    }
    if unit is Unit.USD:
        amounts_usd = {f"{name}_usd": plain_usd(amount) for name, amount in amounts.items()}
        named: dict[str, Any] = {**{f"{name}_nano": amount for name, amount in amounts.items()}, **amounts_usd}
    else:
        named = dict(amounts)
    return {
        "scope": standing.scope,
        "unit": str(unit),
        **named,
        "percent": standing.percent,
        "level": standing.level.name.lower(),
    }


def _second(at_ns: int) -> str:
    return f"{to_datetime(at_ns):%Y-%m-%dT%H:%M:%SZ}"


def top_up_json(found: TopUp) -> dict[str, Any]:
    """Give a top-up."""
    is_money = found.limit.unit is Unit.USD
    amounts: dict[str, Any] = (
        {"amount_nano": found.limit.amount, "amount_usd": plain_usd(found.limit.amount)}
        if is_money
        else {"amount": found.limit.amount}
    )
    return {
        "id": found.id,
        "budget": found.budget,
        "tenant": found.tenant,
        "scope": found.scope,
        "unit": str(found.limit.unit),
        **amounts,
    }


def key_shown(row: KeyRow) -> dict[str, Any]:
    """Give what people may see of a key."""
    times = {name: getattr(row, f"{name}_ns") for name in ("created", "expires", "revoked")}
    texts = {name: _second(at_ns) if at_ns else None for name, at_ns in times.items()}
    return {"id": row.id, "tenant": row.tenant, **key_json(row), **texts}


def pause_shown(row: Pause) -> dict[str, Any]:
    """Give a pause."""
    return {"id": row.id, "tenant": row.tenant, **pause_json(row), "at": iso(row.at_ns)}


def price_json(row: PriceRow) -> dict[str, Any]:
    """Give an operator's own price: USD per million tokens, as it was written."""
    return {"provider": row.provider, "model": row.model, "free": row.is_free, **dict(row.rates)}


def change_json(row: AuditRow) -> dict[str, Any]:
    """Give one change of the audit log; `before` and `after` are what the thing showed."""
    return {
        "seq": row.seq,
        "at_ns": row.at_ns,
        "at": iso(row.at_ns),
        "tenant": row.tenant,
        "actor": row.actor,
        "action": row.action,
        "kind": str(row.kind),
        "name": row.name,
        "before": json.loads(row.before) if row.before else None,
        "after": json.loads(row.after) if row.after else None,
    }


def audit_json(found: Audit) -> dict[str, Any]:
    """Give the state of a ledger."""
    return {
        "is_proven": found.is_proven,
        "balances": found.balances,
        "calls": found.calls,
        "open_calls": found.open_calls,
        "settled_nano": found.settled.cost_nano,
        "settled_usd": plain_usd(found.settled.cost_nano),
        "presumed_nano": found.presumed.cost_nano,
        "presumed_usd": plain_usd(found.presumed.cost_nano),
        "presumed_calls": found.presumed_calls,
        "orphans": list(found.orphans),
        "flags": dict(found.flags),
        "flags_of_calls": found.flags_of,
        "mismatches": [asdict(mismatch) for mismatch in found.mismatches],
    }


def finding_json(each: Finding) -> dict[str, Any]:
    """Give one finding of a check-up."""
    return {"severity": each.severity.name.lower(), "what": each.what, "fix": each.fix}
