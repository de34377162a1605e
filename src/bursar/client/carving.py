"""A part of a budget, carved out of it: really held in the ledger for as long as its block lasts, then settled.

Owns the holds under a carved budget. The part is held against every budget around it, so that what is paid out of it
needs no further hold there; nothing of it is given back while a call may still cost it, and a process that dies leaves
it presumed in full.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bursar.client.refused import Refused as Told
from bursar.client.runtime import runtime
from bursar.client.scopes import Scope
from bursar.core.admission import Ask, Balance, Cover, Line
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.charge import Amounts, Charge
from bursar.core.labels import Labels
from bursar.core.ledger import CARVE, Refused, Reservation
from bursar.errors import BursarError, HoldConflict, StoreUnavailable
from bursar.failpoints import failpoint
from bursar.ids import new_id
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.refusals import format_amount, remaining
from bursar.wiring.driving import Way
from bursar.wiring.local import TENANT, LocalEngine

__all__ = ["Carving"]

log = logging.getLogger("bursar.library")


@dataclass(slots=True)
class _Part:
    """What is carved in one unit."""

    limit: Limit
    asked: Reservation
    """The hold on the budgets around."""
    scopes: tuple[Scope, ...]
    """Whose lines it is held against, one for each."""
    rest: Reservation | None = None
    """The hold that fills the carved budget up at its end, so that no call can come any more."""
    returned: int = 0
    is_over: bool = False


@dataclass(slots=True)
class Carving:
    """The parts of one carved budget, of which `scope` is the inside and `around` what they come from."""

    scope: Scope
    around: Sequence[Scope]
    parts: list[_Part] = field(default_factory=list)
    _is_told: bool = False

    @property
    def engine(self) -> LocalEngine:
        """Give the engine that is open now: it may be closed and opened again while a part is held."""
        return runtime.engine()

    async def take(self, limits: Sequence[Limit], way: Way) -> Told | None:
        """Hold every part, or none: then it says why. Raises StoreUnavailable."""
        for limit in limits:
            part = self._part(limit)
            if part is None:
                continue
            attempts = limit.amount if limit.unit is Unit.REQUESTS else 1
            try:
                verdict = await self.engine.reserve(part.asked, way, attempts=attempts)
            except BursarError:
                # What the ledger has heard of all the same goes back as soon as it can be told so.
                await self._release([*self.parts, part], way)
                raise
            if isinstance(verdict, Refused):
                await self._release(self.parts, way)
                return _told(part, verdict)
            self.parts.append(part)
        self.scope.covered = tuple((scope, part.limit.unit) for part in self.parts for scope in part.scopes)
        return None

    async def _release(self, parts: Sequence[_Part], way: Way) -> None:
        for part in parts:
            await self.engine.settle(part.asked, None, way)
        self.parts.clear()

    def _part(self, limit: Limit) -> _Part | None:
        """Make the part in one unit; None where nothing around counts that unit, or is itself covered already."""
        covered = {(id(scope), unit) for each in self.around for scope, unit in each.covered}
        found = [
            (scope, line)
            for scope in self.around
            if scope.budget is not None and (id(scope), limit.unit) not in covered
            for line in self._lines(scope.budget, limit.unit)
        ]
        if not found or not limit.amount:
            return None
        scopes, lines = zip(*found, strict=True)
        return _Part(limit, self._reservation(limit, lines, "part"), scopes)

    def _lines(self, budget: Budget, unit: Unit) -> Iterator[Line]:
        lines = Budgets(()).lines((budget,), Labels({}), self.engine.clock())
        return (line for line in lines if line.unit is unit)

    def _reservation(self, limit: Limit, lines: Sequence[Line], what: str) -> Reservation:
        at_ns = self.engine.clock()
        cover = Cover(
            fixed_pico=limit.amount * 1000 if limit.unit is Unit.USD else 0,
            output_pico=0,
            input_tokens=limit.amount if limit.unit is Unit.TOKENS else 0,
        )
        # It is no step of any run.
        labels = {name: value for name, value in self.scope.labels.items() if name != "run"}
        labels |= {"provider": "bursar", "model": what, "wire": CARVE}
        return Reservation(
            new_id(at_ns), TENANT, self.engine.process, at_ns, labels, cover, Ask(0, 0), tuple(sorted(lines))
        )

    # --- the end ------------------------------------------------------------------------------------------------------

    async def give_back(self, way: Way) -> bool:
        """Settle each part with what was paid out of it; False while calls in flight may still cost it."""
        try:
            for part in self.parts:
                if not part.is_over:
                    part.is_over = await self._end(part, way)
        except StoreUnavailable as error:
            if not self._is_told:
                log.warning("a carved budget's rest cannot be given back now: %s", error.message)
                self._is_told = True
        return all(part.is_over for part in self.parts)

    async def _end(self, part: _Part, way: Way) -> bool:
        line, *_ = self._lines(_budget(self.scope), part.limit.unit)
        if part.rest is None and not await self._fill(part, line, way):
            return False
        failpoint("in_giving_back")
        balance = await self.engine.balance(line, way)
        spent = balance.settled + balance.presumed
        flags = frozenset({"estimated"}) if balance.presumed else frozenset[str]()
        await self._settle(part.asked, Charge(_amounts(part.limit.unit, spent), flags), way)
        failpoint("in_giving_back")
        if part.rest is not None and part.returned:
            await self._settle(part.rest, Charge(_amounts(part.limit.unit, part.returned)), way)
        return True

    async def _fill(self, part: _Part, line: Line, way: Way) -> bool:
        """Leave no room in the carved budget for any call that comes late; False while one is in flight."""
        balance = await self.engine.balance(line, way)
        if balance.held:
            return False
        left = remaining(line, balance)
        if not left:
            return True
        rest = replace(part.limit, amount=left)
        asked = self._reservation(rest, (line,), "rest")
        attempts = left if part.limit.unit is Unit.REQUESTS else 1
        # It fits only as long as nobody else holds anything: the ledger decides, not what was read.
        verdict = await self.engine.reserve(asked, way, attempts=attempts)
        if isinstance(verdict, Refused):
            return False
        part.rest, part.returned = asked, left
        return True

    async def _settle(self, asked: Reservation, charge: Charge, way: Way) -> None:
        try:
            await self.engine.settle(asked, charge, way)
        except HoldConflict as error:
            # Somebody has corrected it meanwhile, and the first word counts.
            log.warning("%s", error.message)

    def adjusted(self, line: Line, balance: Balance) -> Balance:
        """Give a balance of the carved budget without what only fills it up."""
        returned = sum(part.returned for part in self.parts if part.limit.unit is line.unit and part.is_over)
        return balance._replace(settled=balance.settled - returned)

    @property
    def holds(self) -> Mapping[Unit, str]:
        """Name the hold of each part."""
        return {part.limit.unit: part.asked.id for part in self.parts}


def _budget(scope: Scope) -> Budget:
    assert scope.budget is not None, "a carved budget has limits"
    return scope.budget


def _amounts(unit: Unit, amount: int) -> Amounts:
    if unit is Unit.USD:
        return Amounts(cost_nano=amount)
    return Amounts(input_tokens=amount) if unit is Unit.TOKENS else Amounts(requests=amount)


def _told(part: _Part, refused: Refused) -> Told:
    line, balance = refused.line, refused.balance
    left = format_amount(line.unit, remaining(line, balance))
    message = (
        f"Budget {line.budget!r} has {left} left beside what is held: "
        f"{format_amount(line.unit, part.limit.amount)} cannot be carved out of it."
    )
    scopes = tuple(scope for scope in part.scopes if _budget(scope).identity == line.identity)
    status = 402 if refused.is_exhausted else 429
    return Told(status, "budget_exceeded", message, line.budget, scopes)
