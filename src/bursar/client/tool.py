"""`bursar.tool`: what an agent's own tool costs, under the same cap as its model calls.

Owns the hold of such a tool, and how many of them each run has had. It never runs a tool whose price does not fit, and
what was begun is charged unless its author says that an error costs nothing.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeAlias, TypeVar, cast

from bursar.client.awaiting import is_asyncio
from bursar.client.limits import Amount, read_limits
from bursar.client.patches import patches
from bursar.client.refused import error_of, hear, refused_by
from bursar.client.runtime import runtime
from bursar.client.scopes import Around, around
from bursar.core.admission import Ask, Cover
from bursar.core.budget import Unit
from bursar.core.charge import AMOUNT_COUNTABLE_MAX, Amounts, Charge
from bursar.core.labels import NONE, Labels
from bursar.core.ledger import Granted, Note, Refused, Reservation, refuse_run
from bursar.core.money import NANO_PER_USD, Nano
from bursar.core.run import Guard, RunDenial, RunRow, RunState
from bursar.errors import BursarError, Contended, UsageError
from bursar.failpoints import failpoint
from bursar.ids import new_id
from bursar.pipeline.refusals import harmless
from bursar.pipeline.refusals_run import refuse_verdict
from bursar.wire.base import Refusal
from bursar.wiring.driving import Way, drive
from bursar.wiring.local import TENANT, LocalEngine

__all__ = ["PricedTool", "tool"]

P = ParamSpec("P")
T = TypeVar("T")
OnError: TypeAlias = Literal["charge", "free"]
Cost: TypeAlias = Amount | Callable[[Any], Amount]

NAME_LENGTH_MAX = 128
TOOL = "tool"
"""The `wire` and the `provider` of a tool's row in the ledger; its `model` is the tool's name."""


def tool(
    name: str,
    /,
    cost: Cost | None = None,
    *,
    most: Amount | None = None,
    on_error: Literal["charge", "free"] = "charge",
) -> PricedTool:
    """Let a tool of one's own cost something: `with bursar.tool("search", cost="$0.01"): ...`, or as a decorator.

    `cost` is what one use costs, or, for a decorated function, a function that tells it from the result; `most` is then
    the most that it can cost, which is held while it runs. Within the block `t.cost` can be set. An exception is
    charged as well, unless `on_error="free"`. It counts where model calls count: below a budget, or after
    `bursar.configure`; elsewhere it does nothing. Raises UsageError for what cannot be read.
    """
    if not name or not name.isprintable() or len(name) > NAME_LENGTH_MAX:
        raise UsageError(f"a tool needs a printable name of at most {NAME_LENGTH_MAX} characters")
    if on_error not in ("charge", "free"):
        raise UsageError(f"on_error={on_error!r}: write 'charge' or 'free'")
    fixed = None if cost is None or callable(cost) else _nano(cost)
    top = fixed if most is None else _nano(most)
    if top is None:
        raise UsageError("say what the tool costs at the most: most='$0.05'")
    if fixed is not None and fixed > top:
        raise UsageError(f"the cost of {name!r} is more than its most")
    return PricedTool(name, fixed, top, cost if callable(cost) else None, is_free_on_error=on_error == "free")


@dataclass(frozen=True, slots=True)
class _Use:
    """One use that is held."""

    engine: LocalEngine
    asked: Reservation
    begun_ns: int


class PricedTool:
    """One tool with a price. `cost` can be set while it runs: it is what will be charged, whatever was expected."""

    def __init__(
        self, name: str, fixed: Nano | None, most: Nano, tell: Callable[[Any], Amount] | None, *, is_free_on_error: bool
    ) -> None:
        self._name, self._fixed, self._most = name, fixed, most
        self._tell, self._is_free_on_error = tell, is_free_on_error
        self._use: _Use | None = None
        self._said: Nano | None = None

    @property
    def cost(self) -> Decimal | None:
        """What this use costs in USD; None while nobody knows."""
        said = self._fixed if self._said is None else self._said
        return None if said is None else Decimal(said) / NANO_PER_USD

    @cost.setter
    def cost(self, amount: Amount) -> None:
        self._said = _nano(amount)

    # --- around a block -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._check()
        drive(self._begin(Way.BLOCKING))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drive(self._end(Way.BLOCKING, is_failed=error is not None))

    async def __aenter__(self) -> Self:
        self._check()
        await self._begin(_way())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(_way(), is_failed=error is not None)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Charge each call of a function, plain or async."""
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise UsageError(f"{function.__qualname__} is a generator: write `with bursar.tool(...)` inside it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self._another() as use:
                    return use._heard(await function(*args, **kwargs))

            return cast("Callable[P, T]", awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            with self._another() as use:
                return use._heard(function(*args, **kwargs))

        return called

    def _another(self) -> _Told:
        return _Told(self._name, self._fixed, self._most, self._tell, is_free_on_error=self._is_free_on_error)

    def _check(self) -> None:
        if self._use is not None:
            raise UsageError(f"the tool {self._name!r} is in use: make one for each block, bursar.tool(...)")
        if self._tell is not None and not isinstance(self, _Told):
            raise UsageError("a cost that is a function is for a decorator: inside a block set the object's `cost`")

    def _heard(self, result: T) -> T:
        """Take from a result what it cost."""
        if self._tell is not None and self._use is not None:
            self.cost = self._tell(result)
        return result

    # --- the hold -----------------------------------------------------------------------------------------------------

    async def _begin(self, way: Way) -> None:
        """Hold the most it can cost. Raises BudgetExceeded, Contended and StoreUnavailable; then nothing is held."""
        self._said = None
        here = around()
        if not patches.is_active:
            return
        engine = runtime.engine()
        labels = Labels.of({**here.labels, "provider": TOOL, "model": self._name, "wire": TOOL})
        begun_ns = engine.clock()
        budgets = engine.budgets(labels, here.budgets)
        lines = tuple(line for line in engine.lines(budgets, labels) if line.unit is Unit.USD)
        cover = Cover(self._most * 1000, 0, 0)
        asked = Reservation(new_id(begun_ns), TENANT, engine.process, begun_ns, labels.pairs, cover, Ask(0, 0), lines)
        is_held = False
        # Counted before it is asked for, so that of several at once no one more than fit is let through.
        number = engine.tools.add(labels["run"], 1)
        try:
            refusal = _stopped(here) or engine.paused(labels)
            if refusal is None:
                denied = await _denied(engine, asked, number, way)
                verdict = denied if denied is not None else await _admitted(engine, asked, way)
                is_held = not isinstance(verdict, Refused)
                if isinstance(verdict, Refused):
                    refusal = refuse_verdict(budgets, asked, verdict, engine.link)
        finally:
            if not is_held:
                engine.tools.add(labels["run"], -1)
        if refusal is not None:
            raise _error(refusal, here)
        self._use = _Use(engine, asked, begun_ns)
        failpoint("after_hold")

    async def _end(self, way: Way, *, is_failed: bool) -> None:
        use, self._use = self._use, None
        if use is None:
            return
        known = self._fixed if self._said is None else self._said
        is_free = is_failed and self._is_free_on_error and self._said is None
        note = Note(
            ended="error" if is_failed else "complete",
            duration_ms=(use.engine.clock() - use.begun_ns) // 1_000_000,
        )
        if is_free:
            await use.engine.settle(use.asked, None, way, note)
            return
        flags = frozenset({"estimated"}) if known is None else frozenset[str]()
        charge = Charge(Amounts(cost_nano=self._most if known is None else known), flags, TOOL)
        await use.engine.settle(use.asked, charge, way, note)


class _Told(PricedTool):
    """One call of a decorated function, whose result may tell what it cost."""


def _stopped(here: Around) -> Refusal | None:
    stopped = next((scope.stopped for scope in here.scopes if scope.stopped), "")
    return Refusal(402, "budget_exceeded", stopped) if stopped else None


async def _admitted(engine: LocalEngine, asked: Reservation, way: Way) -> Granted | Refused:
    try:
        return await engine.admit(asked, way)
    except asyncio.CancelledError:
        # The ledger may have heard of it all the same: it is told afterwards that nothing was done.
        engine.tend(partial(_released, engine, asked))
        raise


async def _released(engine: LocalEngine, asked: Reservation) -> bool:
    await engine.settle(asked, None, Way.ASYNCIO)
    return True


async def _denied(engine: LocalEngine, asked: Reservation, number: int, way: Way) -> Refused | None:
    """Say why a tool may not be used: its run was stopped or parked, is over, or has had its tool calls."""
    labels, guards = Labels(asked.labels), engine.settings.guards
    run = labels["run"]
    limits = guards.limits(labels) if guards and run != NONE else None
    if limits is None:
        return None
    row = await engine.run_row(run, way) or RunRow(TENANT, run, asked.at_ns, since_ns=asked.at_ns)
    if row.state in (RunState.PARKED, RunState.STOPPED):
        return refuse_run(asked, RunDenial(row, row.guard, row.figure))
    figures = {Guard.TOOL_CALLS: number - 1, Guard.SECONDS: row.figure_of(Guard.SECONDS, asked.at_ns)}
    for limit in limits:
        most = row.most_of(limit)
        if figures.get(limit.guard, -1) >= most:
            # Of several that ask at once each counts the others: the figure that is told is what was let through.
            figure = most if limit.guard is Guard.TOOL_CALLS else figures[limit.guard]
            return refuse_run(asked, RunDenial(row, limit.guard, figure, most))
    return None


def _error(refusal: Refusal, here: Around) -> BursarError:
    refusal = harmless(refusal)
    if refusal.status == 429:
        return Contended(refusal.message)
    refused = refused_by(refusal, here.scopes)
    hear(refused)
    return error_of(refused)


def _way() -> Way:
    return Way.ASYNCIO if is_asyncio() else Way.FOREIGN


def _nano(amount: Amount) -> Nano:
    limits = read_limits(amount, None, None)
    if len(limits) != 1 or limits[0].unit is not Unit.USD:
        raise UsageError(f"{amount!r} is no amount of money: write for example '$0.01'")
    if limits[0].amount > AMOUNT_COUNTABLE_MAX:
        raise UsageError(f"{amount!r} is more than one use of a tool may cost")
    return limits[0].amount
