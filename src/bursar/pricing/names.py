"""How the name of a model, provider or service tier is read: patterns with `*`, and the names of the ordinary tier.

Owns the glob, which of two patterns is the closer one, and what folds to the tier `""`. Only `*` is special, since real
names hold brackets; a match takes time linear in the name, because names come from clients.
"""

from __future__ import annotations

__all__ = ["MODEL_CHARS_MAX", "closeness", "fold_tier", "matches"]

MODEL_CHARS_MAX = 256
"""A longer name is no model: it is neither searched for nor remembered."""

_ORDINARY = frozenset({"default", "standard", "standard_only", "on_demand"})


def fold_tier(tier: str) -> str:
    """Fold a service tier's name: `""` for what providers call the tier that the list price is for."""
    folded = tier.lower()
    return "" if folded in _ORDINARY else folded


def matches(glob: str, name: str) -> bool:
    """Tell whether `name` fits `glob`, where `*` stands for any text. Case counts; fold it before."""
    first, *rest = glob.split("*")
    if not rest:
        return name == glob
    *middle, last = rest
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def closeness(glob: str) -> tuple[bool, int]:
    """Order patterns: an exact one above any glob, then the one with more letters of its own."""
    return ("*" not in glob, len(glob.replace("*", "")))
