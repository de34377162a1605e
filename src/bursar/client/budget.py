"""`bursar.budget`: a budget around a block of a program.

Owns what a person writes and reads. The money is held and counted by the pipeline that the gateway runs; nothing here
adds up a cost.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypedDict, TypeVar, Unpack, cast

from bursar.client.awaiting import is_asyncio
from bursar.client.inherited import inherit, written
from bursar.client.limits import Amount, Count, read_limits
from bursar.client.patches import patches
from bursar.client.refused import Refused, error_of, is_of
from bursar.client.report import Report, report_on
from bursar.client.runtime import runtime
from bursar.client.scopes import Scope, close_scope, labelled, open_scope, scopes_here
from bursar.config.problems import near
from bursar.core.admission import Balance, Line
from bursar.core.budget import LIMIT_MAX, Budget, Limit, Policy, Unit
from bursar.core.money import NANO_PER_USD
from bursar.core.window import Window, WindowKind
from bursar.errors import BudgetExceeded, UsageError
from bursar.ids import new_id
from bursar.wiring.local import TENANT

__all__ = ["Labelled", "OnExceed", "OpenBudget", "Options", "budget", "label"]

P = ParamSpec("P")
T = TypeVar("T")

OnExceed = Literal["raise", "stop"] | Callable[[BudgetExceeded], object]
LABELS = ("agent", "task", "task_type", "run", "step", "user", "session", "team")
NAME_LENGTH_MAX = 128
_FOREVER = Window(WindowKind.TOTAL)


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


def budget(
    amount: Amount | None = None,
    /,
    *,
    tokens: Count | None = None,
    requests: Count | None = None,
    **options: Unpack[Options],
) -> OpenBudget:
    """Make a budget for a block of code: `with bursar.budget("$5", agent="researcher") as b: ...`.

    Every model call below it counts, by whatever SDK, in whatever thread or task. Without a limit it only labels. Also
    for `async with`, and as a decorator of a function, each call of which then has the whole budget for itself. Raises
    UsageError for what cannot be read.
    """
    unknown = [name for name in options if name not in _KNOWN]
    if unknown:
        raise UsageError(f"budget() knows no {unknown[0]!r}; {near(unknown[0], _KNOWN)}")
    return OpenBudget(read_limits(amount, tokens, requests), options)


@contextmanager
def label(**labels: Unpack[Labelled]) -> Iterator[None]:
    """Label the calls of a block, and nothing else: `with bursar.label(step="search"): ...`. It meters nothing itself.

    Raises UsageError for what is no label.
    """
    unknown = [name for name in labels if name not in Labelled.__annotations__]
    if unknown:
        raise UsageError(f"label() knows no {unknown[0]!r}; {near(unknown[0], Labelled.__annotations__)}")
    scope = Scope(None, _labels(labels), scopes_here())
    open_scope(scope)
    try:
        yield
    finally:
        close_scope(scope)


class OpenBudget:
    """One budget of a program. Its money is its own; entering it again goes on where it was left."""

    def __init__(self, limits: tuple[Limit, ...], options: Options) -> None:
        self._limits = limits
        self._options = options
        self._on_exceed = options.get("on_exceed", "raise")
        if self._on_exceed not in ("raise", "stop") and not callable(self._on_exceed):
            raise UsageError(f"on_exceed={self._on_exceed!r}: write 'raise', 'stop' or give a function")
        self._labels = _labels(options)
        self._scope: Scope | None = None
        self._opened_ns = 0

    # --- around a block -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        scope = self._entered()
        patches.need()
        open_scope(scope)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        scope = self._scope
        assert scope is not None, "what ends was entered"
        close_scope(scope)
        patches.release()
        return self._on_exceed == "stop" and isinstance(error, Exception) and is_of(error, scope)

    async def __aenter__(self) -> Self:
        if not runtime.is_open and is_asyncio():
            # Opening a ledger takes a while, and others have things to do in this loop.
            await asyncio.to_thread(runtime.engine)
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Put a budget of its own around each call of a function, plain or async."""
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise UsageError(f"{function.__qualname__} is a generator: write `with bursar.budget(...)` inside it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with OpenBudget(self._limits, self._options):
                    return await function(*args, **kwargs)

            return cast("Callable[P, T]", awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> Any:
            with OpenBudget(self._limits, self._options):
                return function(*args, **kwargs)

        return cast("Callable[P, T]", called)

    def _entered(self) -> Scope:
        """Give the scope; made when the budget is entered for the first time, inside those that are open then."""
        if self._scope is None:
            inherit()
            engine = runtime.engine()
            self._opened_ns = engine.clock()
            parents = scopes_here()
            labels = self._labels
            if not any("run" in parent.labels for parent in parents):
                labels = {"run": new_id(self._opened_ns), **labels}
            self._scope = Scope(self._budget(new_id(self._opened_ns)), labels, parents, react=self._react)
        return self._scope

    def _budget(self, instance: str) -> Budget | None:
        """Make the budget that is held against: its limits, and what counts its cost and its calls in any case."""
        limits = {limit.unit: limit for limit in self._limits}
        counted = [limits.get(unit) or Limit(unit, LIMIT_MAX[unit]) for unit in (Unit.USD, Unit.REQUESTS)]
        others = [limit for limit in self._limits if limit.unit not in (Unit.USD, Unit.REQUESTS)]
        name = self._options.get("name") or self._labels.get("agent") or self._labels.get("task") or "budget"
        return Budget(
            name[:NAME_LENGTH_MAX],
            (*counted, *others),
            _FOREVER,
            tenant=TENANT,
            is_strict=bool(self._options.get("strict")),
            on_unknown_price=Policy.DENY if Unit.USD in limits else Policy.ALLOW,
            link=self._options.get("link", ""),
            instance=instance,
        )

    def _react(self, refused: Refused) -> None:
        scope = self._scope
        if scope is not None and self._on_exceed == "stop":
            scope.stopped = refused.message
        elif callable(self._on_exceed):
            self._on_exceed(error_of(refused))

    # --- what it came to ----------------------------------------------------------------------------------------------

    @property
    def spent(self) -> Decimal:
        """USD spent so far: settled, and what is only presumed. What is held for calls in flight is not in it."""
        return _usd(sum(self._balance(Unit.USD)[1][:2]))

    @property
    def remaining(self) -> Decimal | None:
        """USD left beside everything held; None without a limit in USD. No parent's rest is looked at."""
        line, balance = self._balance(Unit.USD)
        if not any(limit.unit is Unit.USD for limit in self._limits):
            return None
        return _usd(max(0, line.limit - sum(balance)))

    @property
    def calls(self) -> int:
        """How many calls have been counted; those in flight are not in it."""
        return sum(self._balance(Unit.REQUESTS)[1][:2])

    @property
    def is_exceeded(self) -> bool:
        """Tell whether a call was refused because of this budget."""
        return self._scope is not None and self._scope.is_exceeded

    @property
    def scope(self) -> Scope:
        """The scope, once it was entered. Raises UsageError before."""
        if self._scope is None:
            raise UsageError("the budget was not entered yet: write `with bursar.budget(...) as b`")
        return self._scope

    def report(self) -> Report:
        """Say what was spent on what. Raises StoreUnavailable."""
        found = {line.unit: (line, balance) for line, balance in self._balances()}
        limited = {limit.unit for limit in self._limits}
        return report_on(runtime.engine(), self.scope, self._opened_ns, found, limited)

    def environment(self) -> dict[str, str]:
        """Give the variables that make a child process count against this budget as well: add them to its `env`."""
        return written(self.scope.chain)

    def _balances(self) -> list[tuple[Line, Balance]]:
        scope = self.scope
        assert scope.budget is not None
        return list(runtime.engine().balances(scope.budget))

    def _balance(self, unit: Unit) -> tuple[Line, Balance]:
        return next(each for each in self._balances() if each[0].unit is unit)

    def __repr__(self) -> str:
        name = self._scope.budget.name if self._scope and self._scope.budget else "not entered"
        return f"<bursar.budget {name} in process {os.getpid()}>"


def _labels(options: Labelled) -> Mapping[str, str]:
    given: dict[str, str] = {name: str(value) for name, value in options.items() if name in LABELS and value}
    tags = options.get("tags", {})
    return labelled({**given, **{f"tag.{name}": str(value) for name, value in tags.items()}})


def _usd(nano: int) -> Decimal:
    return Decimal(nano) / NANO_PER_USD
