"""What can be said of a budget beside its amount: labels, a name, a link, and what follows a refusal.

Owns the keywords, and their reading. It opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict

from bursar.client.limits import Amount, Count, read_limits
from bursar.client.scopes import labelled
from bursar.config.problems import near
from bursar.core.budget import Limit
from bursar.errors import BudgetExceeded, UsageError

__all__ = ["Labelled", "OnExceed", "Options", "labels_in", "limits_in"]

OnExceed = Literal["raise", "stop"] | Callable[[BudgetExceeded], object]
LABELS = ("agent", "task", "task_type", "run", "step", "user", "session", "team")


class Labelled(TypedDict, total=False):
    """What calls can be labelled with."""

    agent: str
    task: str
    task_type: str
    run: str
    step: str
    user: str
    session: str
    team: str
    tags: Mapping[str, str]


class Options(Labelled, total=False):
    """What can be said of a budget beside its limits."""

    name: str
    """What refusals and reports call it; else its agent, its task, or `budget`."""
    link: str
    """Where people ask for more; refusals repeat it."""
    strict: bool
    """Hold the worst case of every call."""
    on_exceed: OnExceed
    """`raise` (default): the refused call raises. `stop`: its block ends quietly. A function: called first."""


_KNOWN = (*Labelled.__annotations__, *Options.__annotations__)


def limits_in(
    amount: Amount | None, tokens: Count | None, requests: Count | None, options: Options, what: str
) -> tuple[Limit, ...]:
    """Read the limits; `what` is what a person wrote. Raises UsageError for them and for an unknown keyword."""
    unknown = [name for name in options if name not in _KNOWN]
    if unknown:
        raise UsageError(f"{what}() knows no {unknown[0]!r}; {near(unknown[0], _KNOWN)}")
    return read_limits(amount, tokens, requests)


def labels_in(options: Labelled) -> Mapping[str, str]:
    """Clean the labels among the options, tags as `tag.NAME`."""
    given: dict[str, str] = {name: str(value) for name, value in options.items() if name in LABELS and value}
    tags = options.get("tags", {})
    return labelled({**given, **{f"tag.{name}": str(value) for name, value in tags.items()}})
