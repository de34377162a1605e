"""Own the public names of bursar, and nothing else: each is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bursar.client.budget import CarvedBudget, OpenBudget, budget, label
    from bursar.client.configure import close, configure
    from bursar.client.tool import tool
    from bursar.errors import BudgetExceeded, BursarError, Contended, UnknownPrice

__version__ = "0.1.0"

__all__ = [
    "BudgetExceeded",
    "BursarError",
    "CarvedBudget",
    "Contended",
    "OpenBudget",
    "UnknownPrice",
    "__version__",
    "budget",
    "close",
    "configure",
    "label",
    "tool",
]

_HOMES = {
    "BudgetExceeded": "bursar.errors",
    "BursarError": "bursar.errors",
    "CarvedBudget": "bursar.client.budget",
    "Contended": "bursar.errors",
    "OpenBudget": "bursar.client.budget",
    "UnknownPrice": "bursar.errors",
    "budget": "bursar.client.budget",
    "close": "bursar.client.configure",
    "configure": "bursar.client.configure",
    "label": "bursar.client.budget",
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
