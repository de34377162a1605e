"""What one process hands down to the programs that it starts: open budgets, and what a run wants to know of them.

Owns the form of both in the environment, and how a run is told of a refusal. It must stay light: each Python program of
a run loads it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bursar.config.environment import HANDED, SCOPES
from bursar.config.inherited import handed_text
from bursar.core.budget import LIMIT_MAX, Budget, Limit, Policy, Unit
from bursar.core.window import Window, WindowKind
from bursar.errors import ConfigError
from bursar.wiring.ledger import TENANT

__all__ = [
    "REFUSED",
    "SHARE_NS",
    "SHORT",
    "Handed",
    "OpenScope",
    "counted",
    "handed",
    "left_of",
    "own_budget",
    "read_scopes",
    "written_scopes",
]

MESSAGE_LENGTH_MAX = 500
"""A line that a run is told stays below what a pipe takes whole, whoever else writes at the same moment."""
REFUSED, SHORT = "refused", "short"
"""What a line tells: a call that was refused, or an answer that was ended before it was whole."""
SHARE_NS = "share_ns"
"""When such an answer ended, where it was a share of the budget that ended it; else 0."""
WRONG = "not what a parent process of bursar writes"
_FOREVER = Window(WindowKind.TOTAL)


@dataclass(frozen=True, slots=True)
class OpenScope:
    """One open budget with its labels."""

    budget: Budget
    labels: Mapping[str, str]
    covered: tuple[tuple[str, Unit], ...] = ()
    """Of which other open budget it is a part, by instance, and in which unit."""


def own_budget(limits: Sequence[Limit], *, name: str, instance: str, is_strict: bool = False, link: str = "") -> Budget:
    """Make a budget that nobody else has: these limits, and what counts its cost and its calls in any case."""
    by_unit = {limit.unit: limit for limit in limits}
    counted = [by_unit.get(unit) or Limit(unit, LIMIT_MAX[unit]) for unit in (Unit.USD, Unit.REQUESTS)]
    others = [limit for limit in limits if limit.unit not in (Unit.USD, Unit.REQUESTS)]
    return Budget(
        name,
        (*counted, *others),
        _FOREVER,
        tenant=TENANT,
        is_strict=is_strict,
        on_unknown_price=Policy.DENY if Unit.USD in by_unit else Policy.ALLOW,
        link=link,
        instance=instance,
    )


def left_of(budget: Budget, units: Collection[Unit]) -> Budget | None:
    """Give a budget without its limits in some units; None where nothing is left of it."""
    limits = tuple(limit for limit in budget.limits if limit.unit not in units)
    return replace(budget, limits=limits) if limits else None


def counted(scopes: Sequence[OpenScope]) -> tuple[Budget, ...]:
    """Give the budgets that count a call, without the limits that a part was carved out of."""
    covered = [each for scope in scopes for each in scope.covered]
    left = (left_of(each.budget, [u for name, u in covered if name == each.budget.instance]) for each in scopes)
    return tuple(budget for budget in left if budget is not None)


# --- open budgets -----------------------------------------------------------------------------------------------------


def written_scopes(scopes: Sequence[OpenScope]) -> str:
    """Write scopes down, the outermost first."""
    return json.dumps([_row(scope) for scope in scopes], separators=(",", ":"), ensure_ascii=True)


def read_scopes(text: str) -> tuple[OpenScope, ...]:
    """Read what `written_scopes` wrote. Raises ConfigError."""
    try:
        scopes = tuple(_scope(row) for row in json.loads(text)) if text else ()
        names = {scope.budget.instance for scope in scopes}
        if any(instance not in names for scope in scopes for instance, _ in scope.covered):
            raise ValueError("a part of what is not there")
        return scopes
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(WRONG, file="environment", key=SCOPES) from error


def _row(scope: OpenScope) -> dict[str, Any]:
    budget = scope.budget
    return {
        "name": budget.name,
        "instance": budget.instance,
        "limits": {str(limit.unit): limit.amount for limit in budget.limits},
        "labels": dict(scope.labels),
        "strict": budget.is_strict,
        "unpriced": budget.on_unknown_price is Policy.ALLOW,
        "link": budget.link,
        "covered": [[instance, str(unit)] for instance, unit in scope.covered],
    }


def _scope(row: Mapping[str, Any]) -> OpenScope:
    budget = Budget(
        row["name"],
        tuple(Limit(Unit(unit), amount) for unit, amount in row["limits"].items()),
        _FOREVER,
        tenant=TENANT,
        is_strict=bool(row["strict"]),
        on_unknown_price=Policy.ALLOW if row["unpriced"] else Policy.DENY,
        link=row["link"],
        instance=row["instance"],
    )
    labels = {str(name): str(value) for name, value in row["labels"].items()}
    return OpenScope(budget, labels, tuple((str(instance), Unit(unit)) for instance, unit in row["covered"]))


# --- a run ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handed:
    """What the programs of a run know of it, beside its budget."""

    pipes: Mapping[str, str] = field(default_factory=dict)
    """By instance of a run's budget, the outermost first: where that run is told of refusals."""
    homes: Mapping[str, str] = field(default_factory=dict)
    """By base URL at the run's private gateway: the provider's own."""

    @property
    def text(self) -> str:
        return json.dumps({"pipes": dict(self.pipes), "homes": dict(self.homes)}, separators=(",", ":"))

    def home(self, url: str) -> str:
        """Give a URL at the run's private gateway as it is at the provider; any other as it is."""
        for base, home in self.homes.items():
            if url.startswith(base) and url[len(base) : len(base) + 1] in ("", "/", "?"):
                return home + url[len(base) :]
        return url

    def tell(self, message: str, instances: Collection[str] | None, *, what: str = REFUSED, share_ns: int = 0) -> None:
        """Tell the runs of a refusal whose matter it is: of the open budgets in `instances`, None where none refused.

        A run that has ended, or that does not keep up, is not waited for.
        """
        line = json.dumps({what: message[:MESSAGE_LENGTH_MAX], SHARE_NS: share_ns}).encode() + b"\n"
        for instance, path in self.pipes.items():
            if instances is not None and instance not in instances:
                continue
            with contextlib.suppress(OSError):
                pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    os.write(pipe, line)
                finally:
                    os.close(pipe)

    def tell_short(self, message: str, identity: str, budgets: Sequence[Budget], share_ns: int) -> None:
        """Tell the runs of an answer that was ended, by the one of a call's own budgets with this identity, or else."""
        own = {budget.instance for budget in budgets if budget.identity == identity}
        self.tell(message, own or None, what=SHORT, share_ns=share_ns)


NOTHING = Handed()


def handed() -> Handed:
    """Read what `bursar run` told this process. Raises ConfigError for what it never writes."""
    text = handed_text()
    if not text:
        return NOTHING
    try:
        read = json.loads(text)
        return Handed(_texts(read["pipes"]), _texts(read["homes"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(WRONG, file="environment", key=HANDED) from error


def _texts(read: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in read.items()}
