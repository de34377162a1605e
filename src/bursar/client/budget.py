"""`bursar.budget`: a budget around a block of a program.

Owns what a person writes and reads. The money is held and counted by the pipeline that the gateway runs; nothing here
adds up a cost.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

from bursar.client.awaiting import is_asyncio
from bursar.client.carving import Carving
from bursar.client.inherited import inherit, written
from bursar.client.limits import Amount, Count
from bursar.client.options import Labelled, OnExceed, Options, labels_in, limits_in
from bursar.client.patches import patches
from bursar.client.refused import Refused, as_wrapped, error_of, hear, is_of
from bursar.client.report import Report, report_on
from bursar.client.runtime import runtime
from bursar.client.scopes import Scope, close_scope, open_scope, scopes_here
from bursar.config.problems import near
from bursar.core.admission import Balance, Line
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.money import NANO_PER_USD
from bursar.errors import UsageError
from bursar.ids import new_id
from bursar.wiring.driving import Way, drive
from bursar.wiring.handed import own_budget

__all__ = ["CarvedBudget", "Labelled", "OnExceed", "OpenBudget", "Options", "budget", "label"]

P = ParamSpec("P")
T = TypeVar("T")

NAME_LENGTH_MAX = 128


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
    return OpenBudget(limits_in(amount, tokens, requests, options, "budget"), options)


@contextmanager
def label(**labels: Unpack[Labelled]) -> Iterator[None]:
    """Label the calls of a block, and nothing else: `with bursar.label(step="search"): ...`. It meters nothing itself.

    Raises UsageError for what is no label.
    """
    unknown = [name for name in labels if name not in Labelled.__annotations__]
    if unknown:
        raise UsageError(f"label() knows no {unknown[0]!r}; {near(unknown[0], Labelled.__annotations__)}")
    scope = Scope(None, labels_in(labels), scopes_here())
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
        self._labels = labels_in(options)
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
        self._leave()
        runtime.catch_up()
        return self._judged(error)

    def _leave(self) -> None:
        close_scope(self.scope)
        patches.release()

    def _judged(self, error: BaseException | None) -> bool:
        """Say whether an error that leaves the block ends here; raise it as what it is where a framework hides that."""
        scope = self.scope
        if not isinstance(error, Exception):
            return False
        if self._on_exceed == "stop":
            return is_of(error, scope)
        refusal = as_wrapped(error, scope)
        if refusal is not None:
            raise refusal from error
        return False

    async def __aenter__(self) -> Self:
        if not runtime.is_open and is_asyncio():
            # Opening a ledger takes a while, and others have things to do in this loop.
            await asyncio.to_thread(runtime.engine)
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if not is_asyncio():
            return self.__exit__(kind, error, trace)
        self._leave()
        # Another process may have the ledger in use, and others have things to do in this loop.
        await asyncio.to_thread(runtime.catch_up)
        return self._judged(error)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Put a budget of its own around each call of a function, plain or async."""
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise UsageError(f"{function.__qualname__} is a generator: write `with bursar.budget(...)` inside it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self._another():
                    return await function(*args, **kwargs)

            return cast("Callable[P, T]", awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> Any:
            with self._another():
                return function(*args, **kwargs)

        return cast("Callable[P, T]", called)

    def _another(self) -> OpenBudget:
        """Make one like this that has everything for itself."""
        return OpenBudget(self._limits, self._options)

    def _entered(self) -> Scope:
        """Give the scope; made when the budget is entered for the first time, inside those that are open then."""
        if self._scope is None:
            inherit()
            engine = runtime.engine()
            self._opened_ns = engine.clock()
            parents = self._parents()
            labels = self._labels
            if not any("run" in parent.labels for parent in parents):
                labels = {"run": new_id(self._opened_ns), **labels}
            self._scope = Scope(
                self._budget(new_id(self._opened_ns)), labels, parents, react=self._react, began_ns=self._opened_ns
            )
        return self._scope

    def _parents(self) -> tuple[Scope, ...]:
        return scopes_here()

    def _budget(self, instance: str) -> Budget | None:
        """Make the budget that is held against: its limits, and what counts its cost and its calls in any case."""
        name = self._options.get("name") or self._labels.get("agent") or self._labels.get("task") or "budget"
        return own_budget(
            self._limits,
            name=name[:NAME_LENGTH_MAX],
            instance=instance,
            is_strict=bool(self._options.get("strict")),
            link=self._options.get("link", ""),
        )

    def _react(self, refused: Refused) -> None:
        scope = self._scope
        if scope is not None and self._on_exceed == "stop":
            scope.stopped = refused.message
        elif callable(self._on_exceed):
            self._on_exceed(error_of(refused))

    def carve(
        self,
        amount: Amount | None = None,
        /,
        *,
        tokens: Count | None = None,
        requests: Count | None = None,
        **options: Unpack[Options],
    ) -> CarvedBudget:
        """Take a part out of this budget for a block: `with b.carve("$1", agent="reader") as child: ...`.

        The part is held from the block's first moment to its last, so nobody else can spend it; what is left of it then
        goes back. Raises BudgetExceeded, on entering, where it does not fit, and UsageError for what cannot be read.
        """
        limits = limits_in(amount, tokens, requests, options, "carve")
        if not limits:
            raise UsageError("what is carved out of a budget needs an amount, such as carve('$1')")
        return CarvedBudget(self, limits, options)

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

    def finish(self, outcome: str = "ok", *, reason: str = "") -> None:
        """Say how the run ended, for `bursar runs` and the cost of a finished task: `b.finish("ok")`.

        It may be said inside the block or after it, and again: the last word counts. Raises UsageError for what is no
        outcome, StoreUnavailable.
        """
        run = next((each.labels["run"] for each in reversed(self.scope.chain) if "run" in each.labels), "")
        began = [each.began_ns for each in self.scope.chain if each.began_ns and each.labels.get("run") == run]
        runtime.engine().finish(run, outcome, reason, min(began, default=self._opened_ns))

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


class CarvedBudget(OpenBudget):
    """A part of another budget, held there while its block lasts. It is entered once: afterwards it is over."""

    def __init__(self, parent: OpenBudget, limits: tuple[Limit, ...], options: Options) -> None:
        super().__init__(limits, options)
        self._parent = parent
        self._carving: Carving | None = None
        self._lock = threading.RLock()
        self._inside = 0
        self._is_over = False
        self._process = 0

    def _another(self) -> CarvedBudget:
        return CarvedBudget(self._parent, self._limits, self._options)

    def _parents(self) -> tuple[Scope, ...]:
        return tuple(dict.fromkeys((*self._parent.scope.chain, *scopes_here())))

    def _entered(self) -> Scope:
        with self._lock:
            if self._is_over:
                raise UsageError("this carved budget is over, and its rest is given back: carve another one")
            if self._carving is None:
                scope = super()._entered()
                self._process = os.getpid()
                carving = Carving(scope, self._parent.scope.chain)
                refused = drive(carving.take(self._limits, Way.BLOCKING))
                if refused is not None:
                    self._is_over = True
                    hear(refused)
                    raise error_of(refused)
                self._carving = carving
            return self.scope

    def __enter__(self) -> Self:
        with self._lock:
            super().__enter__()
            self._inside += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return super().__exit__(kind, error, trace)
        finally:
            if self._is_left():
                drive(self._end(Way.BLOCKING))

    async def __aenter__(self) -> Self:
        if not is_asyncio():
            return self.__enter__()
        try:
            await asyncio.to_thread(self._entered)
        except asyncio.CancelledError:
            # The ledger may have heard of it all the same, or will.
            runtime.engine().tend(self._forgotten)
            raise
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if not is_asyncio():
            return self.__exit__(kind, error, trace)
        try:
            return await super().__aexit__(kind, error, trace)
        finally:
            if self._is_left():
                await asyncio.shield(self._end(Way.ASYNCIO))

    def _is_left(self) -> bool:
        """Count one block less, and tell whether it was the last one; from then on no call is let through."""
        with self._lock:
            self._inside -= 1
            if self._inside or self._process != os.getpid():
                return False
            self._is_over = True
            self.scope.stopped = f"Budget {self.scope.budget and self.scope.budget.name!r} is over: its rest went back."
            return True

    async def _end(self, way: Way) -> None:
        """Give back what is left; where calls are still in flight, as soon as they have ended."""
        carving = self._carving
        if carving is not None and not await carving.give_back(way):
            runtime.engine().tend(partial(carving.give_back, Way.ASYNCIO))

    async def _forgotten(self) -> bool:
        with self._lock:
            self._is_over = True
        return self._carving is None or await self._carving.give_back(Way.ASYNCIO)

    @property
    def remaining(self) -> Decimal | None:
        """USD left beside everything held; nothing once it is over; None without a limit in USD."""
        left = super().remaining
        return left if left is None or not self._is_over else Decimal(0)

    def _balances(self) -> list[tuple[Line, Balance]]:
        found, carving = super()._balances(), self._carving
        return found if carving is None else [(line, carving.adjusted(line, balance)) for line, balance in found]


def _usd(nano: int) -> Decimal:
    return Decimal(nano) / NANO_PER_USD
