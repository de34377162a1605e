"""Own the public names of bursar, and nothing else: each is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bursar.client.budget import CarvedBudget, OpenBudget, budget, label
    from bursar.client.configure import close, configure
    from bursar.client.costs import CallCost, call_cost
    from bursar.client.forecast import Affordable, Estimate, can_i_afford, estimate
    from bursar.client.spending import Spent, spend
    from bursar.client.tool import tool
    from bursar.errors import BudgetExceeded, BursarError, Contended, UnknownPrice

__version__ = "0.1.0"

__all__ = [
    "Affordable",
    "BudgetExceeded",
    "BursarError",
    "CallCost",
    "CarvedBudget",
    "Contended",
    "Estimate",
    "OpenBudget",
    "Spent",
    "UnknownPrice",
    "__version__",
    "budget",
    "call_cost",
    "can_i_afford",
    "close",
    "configure",
    "estimate",
    "label",
    "spend",
    "tool",
]

_HOMES = {
    "Affordable": "bursar.client.forecast",
    "BudgetExceeded": "bursar.errors",
    "BursarError": "bursar.errors",
    "CallCost": "bursar.client.costs",
    "CarvedBudget": "bursar.client.budget",
    "Contended": "bursar.errors",
    "Estimate": "bursar.client.forecast",
    "OpenBudget": "bursar.client.budget",
    "Spent": "bursar.client.spending",
    "UnknownPrice": "bursar.errors",
    "budget": "bursar.client.budget",
    "call_cost": "bursar.client.costs",
    "can_i_afford": "bursar.client.forecast",
    "close": "bursar.client.configure",
    "configure": "bursar.client.configure",
    "estimate": "bursar.client.forecast",
    "label": "bursar.client.budget",
    "spend": "bursar.client.spending",
    "tool": "bursar.client.tool",
}


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives. Raises AttributeError for any other."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
