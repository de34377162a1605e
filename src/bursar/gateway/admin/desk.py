"""What every route of the admin API works with: reads beside the writer, changes through it, and what was asked.

Owns the way of a change: decided and written on the store's own thread, then in force in this process before the answer
goes out. It must never run a long read there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from bursar.actions.acting import By
from bursar.actions.control import ControlState
from bursar.config.settings import Settings
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT, TopUp
from bursar.errors import BursarError
from bursar.identity.caller import Caller
from bursar.wiring.engine import Engine
from bursar.wiring.reading import Readable, Readers

__all__ = ["Answer", "Asked", "Desk", "Handler", "page"]

log = logging.getLogger("bursar.admin")

T = TypeVar("T")
Q = TypeVar("Q")
B = TypeVar("B")
Answer: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q, B]):
    """One request, read and allowed."""

    caller: Caller
    tenant: str
    """Whose things it is about; `*` for everybody's."""
    names: Mapping[str, str]
    """What the path names."""
    query: Q
    body: B
    headers: Mapping[str, str]

    @property
    def tenants(self) -> str | None:
        """The tenant to look for; None for any."""
        return None if self.tenant == EVERY_TENANT else self.tenant


class Desk:
    """One engine and its readers."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.readers = Readers(settings, lambda: engine.ledger)

    @property
    def state(self) -> ControlState:
        """What is set, as this process has it in force."""
        return self.engine.control.state

    def now_ns(self) -> int:
        return self.engine.clock()

    def budgets(self, tenant: str) -> tuple[Budget, ...]:
        """Give the budgets that count for a tenant, by name; those of every tenant are among them."""
        found = self.state.all_budgets(self.settings.budgets)
        return tuple(sorted((each for each in found if each.tenant in (EVERY_TENANT, tenant)), key=_name))

    @property
    def top_ups(self) -> tuple[TopUp, ...]:
        """What is given more, as far as it counts."""
        return self.state.all_top_ups(self.settings.budgets)

    async def read(self, read: Callable[[Readable], T]) -> T:
        """Read the ledger, off the event loop and beside the writer."""
        return await self.readers.run(read)

    async def write(self, write: Callable[[Readable], T]) -> T:
        """Write to the ledger, on the store's own thread."""
        return await self.engine.store.run(partial(write, self.engine.ledger))

    async def change(self, asked: Asked[Any, Any], act: Callable[[Readable, By], T]) -> T:
        """Change what is set, in the caller's name, and let it count at once."""
        by = By(asked.caller.actor, self.now_ns(), asked.caller.key)
        found = await self.write(lambda ledger: act(ledger, by))
        try:
            await self.engine.control.refresh()
        except BursarError as error:
            # It is written, and every process looks for itself within a second.
            log.warning("a change is not in force here yet: %s", error.message)
        return found


Handler: TypeAlias = Callable[[Desk, Asked[Any, Any]], Awaitable[Answer]]


def _name(budget: Budget) -> str:
    return budget.name


def page(rows: Iterable[T], limit: int, after: str, name: Callable[[T], str], show: Callable[[T], Answer]) -> Answer:
    """Give the rows whose names come after a name, as one page of a list sorted by it."""
    found: Sequence[T] = [row for row in sorted(rows, key=name) if not after or name(row) > after]
    shown = found[:limit]
    return {"items": [show(row) for row in shown], "next": name(shown[-1]) if len(found) > limit else None}
