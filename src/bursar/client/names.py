"""What the calls that are made here are called, as a framework's adapter says: agent, task, step, tool.

Owns one context variable. A name lies around what follows in its context, inside the scopes that were open when it was
given: a budget that is opened later has the last word, and when one of those scopes is closed the name is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = ["NOBODY", "Name", "give", "given", "latest"]


@dataclass(frozen=True, slots=True)
class Name:
    """Labels, and the scopes that they were given inside of."""

    inside: tuple[Any, ...]
    labels: Mapping[str, str]


_name: ContextVar[Name | None] = ContextVar("bursar_name", default=None)
NOBODY = Name((), {})


def give(inside: tuple[Any, ...], labels: Mapping[str, str]) -> None:
    """Give these labels, and no others, to what follows in this context, until it is named again."""
    _name.set(Name(inside, labels) if labels else None)


latest = _name.get
"""Give what was named here last, whether or not it still counts."""


def given(here: Sequence[Any]) -> Name:
    """Say what was named here; a name that was given inside a scope that is closed now is none."""
    name = _name.get()
    if name is None or len(name.inside) > len(here):
        return NOBODY
    return name if all(a is b for a, b in zip(name.inside, here, strict=False)) else NOBODY
