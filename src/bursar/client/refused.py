"""From a refusal to what a program sees: `bursar.BudgetExceeded`, also where an SDK insists on an error of its own.

Owns the errors. They are raised by the SDK itself, out of a response that says no; one raised inside `send` would be
tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bursar.client.scopes import Scope
from bursar.errors import BudgetExceeded, UnknownPrice
from bursar.wire.base import Refusal

__all__ = ["KEY", "Refused", "as_sdk_error", "as_wrapped", "error_of", "hear", "is_of", "refusal_in", "refused_by"]

KEY = "bursar"
"""The name under which a response of bursar's own carries its refusal, in its extensions."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What a call was told instead of an answer."""

    status: int
    code: str
    message: str
    budget: str
    scopes: tuple[Scope, ...]
    """Those whose matter it is: whose budget refused, else the innermost around the call."""
    own: tuple[Scope, ...] = ()
    """Those whose budget refused."""

    @property
    def is_stop(self) -> bool:
        """Tell whether no money is left for it, or nobody knows its price: asking again does not help."""
        return self.status == 402


def refused_by(refusal: Refusal, scopes: tuple[Scope, ...]) -> Refused:
    """Keep of a refusal what an error tells; `scopes` are those around the call."""
    budget = refusal.headers.get("x-bursar-budget", "")
    own = tuple(scope for scope in scopes if scope.budget is not None and scope.budget.identity == refusal.budget)
    innermost = tuple(scope for scope in scopes if scope.budget is not None)[-1:]
    return Refused(refusal.status, refusal.code, refusal.message, budget, own or innermost, own)


def hear(refused: Refused) -> None:
    """Let the scopes know that there is no more, where that is what the refusal says."""
    if refused.is_stop:
        for scope in refused.scopes:
            scope.is_exceeded, scope.reason, scope.refused_at_s = True, refused.message, time.monotonic()
            scope.refusals += 1
            if scope.react is not None:
                scope.react(refused)


def error_of(refused: Refused) -> BudgetExceeded:
    """Make the error of a refusal."""
    return _filled(UnknownPrice if refused.code == "price_unknown" else BudgetExceeded, refused)


def _filled(kind: type[BudgetExceeded], refused: Refused | BudgetExceeded) -> BudgetExceeded:
    error = kind(refused.message, budget=refused.budget)
    error.scopes = refused.scopes
    return error


def as_sdk_error(error: Exception, response: Any) -> Exception:
    """Give an SDK's status error as `BudgetExceeded` as well, where the response is a refusal of bursar's own."""
    refused = getattr(response, "extensions", {}).get(KEY)
    if not isinstance(refused, Refused) or not refused.is_stop:
        return error
    return _as_both(error_of(refused), error)


def as_wrapped(error: Exception, scope: Scope) -> Exception | None:
    """Give an error in which somebody has wrapped a refusal of this scope as `BudgetExceeded` as well.

    None where it is one already, or is none: a group has `except*`, `from None` says that nothing is behind an error,
    and one of Python's own that only happened while a refusal was handled is a mistake in that handling. None as well
    for the few classes that nothing can be derived from or made of.
    """
    if isinstance(error, (BudgetExceeded, BaseExceptionGroup, StopIteration, StopAsyncIteration)):
        return None
    told = next((each for each in _refusals(error, _said_behind) if scope in each.scopes), None)
    if told is None or (isinstance(told, Refused) and not told.is_stop):
        return None
    is_price = isinstance(told, UnknownPrice) if isinstance(told, BudgetExceeded) else told.code == "price_unknown"
    ours = _filled(UnknownPrice if is_price else BudgetExceeded, told)
    try:
        return _as_both(ours, error)
    except TypeError:
        return None


def _as_both(ours: BudgetExceeded, error: Exception) -> Exception:
    """Make an error that can be caught as either, with what both know, and our words."""
    both = _both[type(ours), type(error)]
    made: Exception = both.__new__(both)
    made.__dict__.update(error.__dict__)
    made.__dict__.update(ours.__dict__)
    made.args = (ours.message,)
    return made


class _Classes(dict[tuple[type[BudgetExceeded], type[Exception]], type[Exception]]):
    """The classes that are both, each made once; copied to another process, an error of one arrives as ours alone."""

    def __missing__(self, kinds: tuple[type[BudgetExceeded], type[Exception]]) -> type[Exception]:
        ours = kinds[0]

        def reduce(error: BudgetExceeded) -> tuple[object, ...]:
            return (ours, (error.message,), {"budget": error.budget})

        namespace = {"__module__": ours.__module__, "__reduce__": reduce, "__doc__": ours.__doc__}
        made = self[kinds] = type(ours.__name__, kinds, namespace)
        return made


_both = _Classes()


def is_of(error: BaseException | None, scope: Scope) -> bool:
    """Tell whether an error, or what caused it, is a refusal of a call inside this scope."""
    return any(scope in each.scopes for each in _refusals(error))


def refusal_in(error: BaseException | None) -> BudgetExceeded | None:
    """Find the refusal that an error is, or that caused it; None where it is something else."""
    for each in _refusals(error):
        if isinstance(each, BudgetExceeded):
            return each
        if each.is_stop:
            return error_of(each)
    return None


def _behind(error: BaseException) -> list[BaseException | None]:
    return [error.__cause__, error.__context__]


def _said_behind(error: BaseException) -> list[BaseException | None]:
    """Give what was said to be behind an error, or stands behind one that is not Python's own."""
    is_told = error.__suppress_context__ or type(error).__module__ == "builtins"
    return [error.__cause__ if is_told else error.__cause__ or error.__context__]


def _refusals(
    error: BaseException | None, behind: Callable[[BaseException], list[BaseException | None]] = _behind
) -> Iterator[BudgetExceeded | Refused]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, BudgetExceeded):
            yield each
        refused = getattr(getattr(each, "response", None), "extensions", {})
        if isinstance(refused, dict) and isinstance(refused.get(KEY), Refused):
            yield refused[KEY]
        waiting += behind(each)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
