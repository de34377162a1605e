"""Budgets that a parent process hands down: written into an environment, and read there by its child.

Owns how they are opened. What a child inherits is around everything that it does; its ledger must be the parent's own
file.
"""

from __future__ import annotations

from collections.abc import Sequence

from bursar.client.patches import patches
from bursar.client.runtime import runtime
from bursar.client.scopes import Scope, open_everywhere
from bursar.config.environment import SCOPES
from bursar.config.inherited import inherited_text
from bursar.core.budget import Unit
from bursar.wiring.handed import OpenScope, read_scopes, written_scopes

__all__ = ["activate", "inherit", "written"]

_done: list[str] = []


def written(scopes: Sequence[Scope]) -> dict[str, str]:
    """Write scopes down, the outermost first, with where their ledger is."""
    opened = [OpenScope(scope.budget, scope.labels, _covered(scope)) for scope in scopes if scope.budget is not None]
    store = runtime.engine().settings.store
    return {SCOPES: written_scopes(opened), "BURSAR_STORE_PATH": str(store.path.absolute())}


def inherit() -> bool:
    """Open what this process has inherited, once; tell whether there is anything."""
    if _done:
        return bool(_done[0])
    text = inherited_text()
    _done.append(text)
    parents: tuple[Scope, ...] = ()
    for opened in read_scopes(text):
        named = {parent.budget.instance: parent for parent in parents if parent.budget is not None}
        covered = tuple((named[instance], unit) for instance, unit in opened.covered)
        scope = Scope(opened.budget, opened.labels, parents, covered=covered)
        parents = scope.chain
        open_everywhere(scope)
    return bool(text)


def activate() -> bool:
    """Meter all that this process does against what it has inherited; tell whether there is anything."""
    if not inherit():
        return False
    patches.need()
    return True


def _covered(scope: Scope) -> tuple[tuple[str, Unit], ...]:
    return tuple((other.budget.instance, unit) for other, unit in scope.covered if other.budget is not None)
