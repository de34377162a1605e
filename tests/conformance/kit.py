"""What every test of a store builds with: lines, calls, charges, and one blocking face over all stores.

Owns the list of stores under test. A new store is one more line in STORES and passes everything here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bursar.core.admission import Ask, Balance, Cover, Line
from bursar.core.budget import Budget, Unit
from bursar.core.charge import Amounts, Charge
from bursar.core.control import AuditRow, Change, Document, Kind
from bursar.core.hold import State, Verb
from bursar.core.labels import Labels
from bursar.core.ledger import (
    BalanceRow,
    Closed,
    Extension,
    Granted,
    HoldRow,
    Mismatch,
    Note,
    ProcessRow,
    Refused,
    Reservation,
    SpendQuery,
    SpendRow,
)
from bursar.core.run import RunChange, RunRow, RunState
from bursar.core.window import FOREVER_NS, NS
from bursar.stores.joined import InlineStore, JoinedStore
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import DirectStore, ThreadedStore
from bursar.testing.clock import START_NS

DAY_NS = 86_400 * NS
DEFAULT_ASK = Ask(0, 0)
ONE_REQUEST = Cover(0, 0, 0)


class Two(NamedTuple):
    """Two processes with the same ledger open, as far as the file can tell."""

    mine: SqliteLedger
    other: SqliteLedger


class Ledger(Protocol):
    """The whole contract, blocking."""

    def define(self, budgets: Iterable[Budget], at_ns: int) -> None: ...
    def declare(self, budgets: Sequence[Budget]) -> tuple[Budget, ...]: ...
    def begin(
        self, budgets: Sequence[Budget], at_ns: int, after: tuple[int, str] | None = None, most: int = ...
    ) -> tuple[int, str] | None: ...
    def finish(self, budgets: Sequence[Budget]) -> None: ...
    def reserve(self, asked: Reservation) -> Granted | Refused: ...
    def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension: ...
    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed: ...
    def beat(self, process: str, at_ns: int) -> None: ...
    def lapse(self, process: str, at_ns: int) -> int: ...
    def processes(self) -> Sequence[ProcessRow]: ...
    def latest_ns(self) -> int: ...
    def tenants(self) -> Sequence[str]: ...
    def balances(self, tenant: str, after_ns: int = 0) -> Sequence[BalanceRow]: ...
    def hold(self, tenant: str, hold_id: str) -> HoldRow: ...
    def balance(self, tenant: str, line: Line) -> Balance: ...
    def holds(
        self, tenant: str, states: Sequence[State], most: int, before: tuple[int, str] = ...
    ) -> Sequence[HoldRow]: ...
    def in_flight(self, tenant: str, most: int) -> Sequence[HoldRow]: ...
    def ended(self, tenant: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]: ...
    def spend(self, query: SpendQuery) -> Sequence[SpendRow]: ...
    def verify(self) -> Sequence[Mismatch]: ...
    def change(self, changes: Sequence[Change], seen: int | None = None) -> int: ...
    def control_version(self) -> int: ...
    def documents(self, kind: Kind | None = None) -> Sequence[Document]: ...
    def audit(self, tenant: str | None, most: int, before_seq: int | None = None) -> Sequence[AuditRow]: ...
    def run_calls(self, tenant: str, run: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]: ...
    def run_row(self, tenant: str, run: str) -> RunRow | None: ...
    def latest_run(self, tenant: str, prefix: str) -> RunRow | None: ...
    def run_rows(self, tenant: str, states: Sequence[RunState], since_ns: int, most: int) -> Sequence[RunRow]: ...
    def change_run(self, tenant: str, run: str, change: RunChange, audit: Change | None = None) -> RunRow: ...


VERBS = ("reserve", "extend", "close", "beat", "lapse")


class Faced:
    """A blocking face over an asynchronous store: verbs go through the store, everything else through its `run`."""

    def __init__(self, face: DirectStore | ThreadedStore, ledger: Any) -> None:
        self._face, self._ledger = face, ledger
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            async def ask() -> Any:
                if name in VERBS:
                    return await getattr(self._face, name)(*args, **named)
                return await self._face.run(partial(getattr(self._ledger, name), *args, **named))

            return self._runner.run(ask())

        return call

    def end(self) -> None:
        self._runner.close()


@contextmanager
def memory(_: Path) -> Iterator[Ledger]:
    yield MemoryLedger()


@contextmanager
def sqlite(folder: Path) -> Iterator[Ledger]:
    ledger = SqliteLedger(folder / "ledger.db")
    yield ledger
    ledger.close_store()


@contextmanager
def queued_sqlite(make: Callable[[SqliteLedger], Any], face: Callable[[Any], Any], folder: Path) -> Iterator[Any]:
    """Give a face over a ledger that has a queue of its own."""
    ledger = SqliteLedger(folder / "ledger.db")
    queue = make(ledger)
    faced = Faced(face(queue), ledger)
    yield faced
    faced.end()
    queue.stop()
    ledger.close_store()


def itself(queue: Any) -> Any:
    return queue


@contextmanager
def direct_memory(_: Path) -> Iterator[Any]:
    ledger = MemoryLedger()
    face = Faced(DirectStore(ledger), ledger)
    yield face
    face.end()


STORES: Mapping[str, Callable[[Path], Any]] = {
    "memory": memory,
    "sqlite": sqlite,
    "threaded-sqlite": partial(queued_sqlite, ThreadedStore, itself),
    "inline-sqlite": partial(queued_sqlite, InlineStore, itself),
    "joined-sqlite": partial(queued_sqlite, InlineStore, JoinedStore),
    "direct-memory": direct_memory,
}

_ids = itertools.count(1)


def line(
    name: str = "all",
    limit: int = 10,
    unit: Unit = Unit.REQUESTS,
    *,
    scope: str = "",
    starts_ns: int = 0,
    ends_ns: int = FOREVER_NS,
    values_max: int = 0,
) -> Line:
    """Give a line of a budget that nobody defined: enough for the verbs."""
    return Line(name, f'["{name}"]', scope, starts_ns, ends_ns, unit, limit, values_max)


def lines_of(budgets: Iterable[Budget], labels: Mapping[str, str], at_ns: int, tenant: str = "default") -> list[Line]:
    """Give the lines of a call as the pipeline does."""
    seen = Labels(labels)
    return [
        Line(
            budget.name,
            budget.identity,
            budget.scope(seen),
            budget.window.span(at_ns).starts_ns,
            budget.window.span(at_ns).ends_ns,
            limit.unit,
            limit.amount,
            budget.values_max if budget.is_capped_in_values else 0,
        )
        for budget in sorted(budgets, key=lambda budget: budget.name)
        if budget.tenant == tenant and budget.matches(seen)
        for limit in budget.limits
    ]


def call(
    *lines: Line,
    id: str | None = None,  # noqa: A002 - the word of the contract
    cover: Cover = ONE_REQUEST,
    ask: Ask = DEFAULT_ASK,
    at_ns: int = START_NS,
    tenant: str = "default",
    process: str = "here",
    labels: Mapping[str, str] | None = None,
) -> Reservation:
    """Give a reservation; without more said it takes one request and nothing else."""
    return Reservation(
        id or f"call-{next(_ids):06}", tenant, process, at_ns, labels or {"model": "m"}, cover, ask, tuple(lines)
    )


def cost(nano: int) -> Cover:
    """Give a cover that costs this much, whatever the answer."""
    return Cover(nano * 1000, 0, 0)


def charge(nano: int = 0, *, tokens: int = 0, output: int = 0, flags: Iterable[str] = (), price: str = "") -> Charge:
    """Give the truth about one call."""
    return Charge(Amounts(nano, tokens, 0, 0, output, 0, 1), frozenset(flags), price)


def sums(ledger: Ledger, tenant: str = "default") -> dict[tuple[str, str, str], Balance]:
    """Read all balances by (budget, scope, unit); only where each has one window."""
    rows = ledger.balances(tenant)
    found = {(row.budget, row.scope, str(row.unit)): row.balance for row in rows}
    assert len(found) == len(rows)
    return found
