"""Budgets that a parent process hands down: written into an environment, and read there by its child.

Owns their form. What a child inherits is around everything that it does; its ledger must be the parent's own file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bursar.client.patches import patches
from bursar.client.runtime import runtime
from bursar.client.scopes import Scope, open_everywhere
from bursar.config.environment import SCOPES
from bursar.config.inherited import inherited_text
from bursar.core.budget import Budget, Limit, Policy, Unit
from bursar.core.window import Window, WindowKind
from bursar.errors import ConfigError
from bursar.wiring.local import TENANT

__all__ = ["activate", "inherit", "written"]

_done: list[str] = []


def written(scopes: Sequence[Scope]) -> dict[str, str]:
    """Write scopes down, the outermost first, with where their ledger is."""
    rows = [_row(scope) for scope in scopes if scope.budget is not None]
    store = runtime.engine().settings.store
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=True)
    return {SCOPES: text, "BURSAR_STORE_PATH": str(store.path.absolute())}


def inherit() -> bool:
    """Open what this process has inherited, once; tell whether there is anything."""
    if _done:
        return bool(_done[0])
    text = inherited_text()
    _done.append(text)
    if not text:
        return False
    parents: tuple[Scope, ...] = ()
    for row in _rows(text):
        scope = _scope(row, parents)
        parents = scope.chain
        open_everywhere(scope)
    return True


def activate() -> bool:
    """Meter all that this process does against what it has inherited; tell whether there is anything."""
    if not inherit():
        return False
    patches.need()
    return True


def _row(scope: Scope) -> dict[str, Any]:
    budget = scope.budget
    assert budget is not None
    return {
        "name": budget.name,
        "instance": budget.instance,
        "limits": {str(limit.unit): limit.amount for limit in budget.limits},
        "labels": dict(scope.labels),
        "strict": budget.is_strict,
        "unpriced": budget.on_unknown_price is Policy.ALLOW,
        "link": budget.link,
        "covered": [[other.budget.instance, str(unit)] for other, unit in scope.covered if other.budget is not None],
    }


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError("not what a parent process of bursar writes", file="environment", key=SCOPES) from error
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _scope(row: dict[str, Any], parents: tuple[Scope, ...]) -> Scope:
    try:
        limits = tuple(Limit(Unit(unit), amount) for unit, amount in row["limits"].items())
        budget = Budget(
            row["name"],
            limits,
            Window(WindowKind.TOTAL),
            tenant=TENANT,
            is_strict=bool(row["strict"]),
            on_unknown_price=Policy.ALLOW if row["unpriced"] else Policy.DENY,
            link=row["link"],
            instance=row["instance"],
        )
        labels = {str(name): str(value) for name, value in row["labels"].items()}
        named = {parent.budget.instance: parent for parent in parents if parent.budget is not None}
        covered = tuple((named[instance], Unit(unit)) for instance, unit in row["covered"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError("not what a parent process of bursar writes", file="environment", key=SCOPES) from error
    return Scope(budget, labels, parents, covered=covered)
