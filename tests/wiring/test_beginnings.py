"""A budget that is set comes into force when it has counted what came before; nothing else waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.kit import call, charge, cost, lines_of

from bursar.actions.acting import By
from bursar.actions.keys import KeyWish, create_key
from bursar.actions.limits import BudgetWish, remove_budget, set_budget
from bursar.actions.pauses import PauseWish, pause
from bursar.config.settings import Settings, StoreKind, StoreSettings
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import EVERY_TENANT, Role
from bursar.core.hold import Verb
from bursar.core.labels import Labels
from bursar.core.ledger import BEGIN_MAX
from bursar.core.window import Window, WindowKind
from bursar.pipeline.budgets import Budgets
from bursar.stores.memory import MemoryLedger
from bursar.stores.threaded import DirectStore
from bursar.testing.clock import FixedClock
from bursar.wiring.beginnings import LATE_S
from bursar.wiring.control import LiveControl

PEPPER = "a pepper of more than thirty-two characters"
OWN = Budget("own", (Limit(Unit.USD, 10**12),), Window(WindowKind.TOTAL), tenant=EVERY_TENANT)


def named(budgets: Budgets, tenant: str, name: str) -> Budget | None:
    """Find a budget that is in force."""
    return next((each for each in budgets.all if (each.tenant, each.name) == (tenant, name)), None)


class Desk:
    """A control over a ledger in memory with three chunks of calls, and a clock moved by hand."""

    def __init__(self, *budgets: Budget, calls: int = 3 * BEGIN_MAX - 1) -> None:
        self.ledger, self.clock = MemoryLedger(), FixedClock()
        self.face = DirectStore(self.ledger)
        self.settings = Settings(store=StoreSettings(kind=StoreKind.MEMORY), budgets=budgets, pepper=PEPPER)
        self.control = LiveControl(self.settings, self.ledger, self.face, self.clock)
        self.count = 0
        for _ in range(calls):
            self.spend()

    def spend(self, *budgets: Budget, at_ns: int | None = None) -> None:
        """Take a call for one nano-USD that looked at these budgets."""
        self.count += 1
        at_ns = self.clock() if at_ns is None else at_ns
        lines = lines_of(budgets, {"model": "m"}, at_ns)
        self.ledger.reserve(call(*lines, id=f"c{self.count:05}", cover=cost(1), at_ns=at_ns))
        self.ledger.close(f"c{self.count:05}", Verb.SETTLE, at_ns, charge(1))

    @property
    def by(self) -> By:
        return By("local:tester", self.clock())

    def put(self, name: str, **definition: Any) -> None:
        set_budget(
            self.ledger, (), BudgetWish(EVERY_TENANT, name, {"limit": "$5", "window": "total", **definition}), self.by
        )

    def in_force(self, name: str) -> Budget | None:
        return named(self.control.in_force.budgets, "default", name)

    def lets_in(self, key: str) -> bool:
        return self.control.keyring.find(key, self.clock()) is not None

    def used(self, name: str) -> int:
        assert self.ledger.verify() == []
        return sum(row.balance.settled for row in self.ledger.balances("default") if row.budget == name)


@asynccontextmanager
async def refreshing(desk: Desk) -> AsyncIterator[None]:
    """Run what is inside between the first chunk of a budget and the second."""
    task = asyncio.create_task(desk.control.refresh())
    # A ledger in memory is done before it suspends: this comes back in the pause after the first chunk.
    await asyncio.sleep(0)
    yield
    assert not task.done(), "it was too quick for what this shows"
    await task


async def test_a_budget_is_in_force_when_its_calls_are_counted_and_not_before() -> None:
    desk = Desk()
    desk.control.start()
    desk.put("set")
    async with refreshing(desk):
        assert desk.in_force("set") is None
        assert desk.used("set") == BEGIN_MAX
        # Behind what is counted, as another process may take one that has looked at the budgets before.
        desk.spend(at_ns=desk.clock() - 1)
    assert desk.in_force("set") is not None
    assert desk.used("set") == desk.count


async def test_a_redefined_budget_stays_as_it_was_until_the_new_form_has_begun() -> None:
    desk = Desk()
    desk.put("set", window="day")
    desk.control.start()
    before = desk.in_force("set")
    assert before is not None
    desk.put("set", window="total")
    async with refreshing(desk):
        assert desk.in_force("set") == before
        desk.spend(before)
    after = desk.in_force("set")
    assert after is not None
    assert after.window.kind is WindowKind.TOTAL
    counted = {row.identity: row.balance.settled for row in desk.ledger.balances("default")}
    assert counted == {before.identity: desk.count, after.identity: desk.count}


async def test_a_changed_limit_and_a_pause_count_at_once_while_another_budget_begins() -> None:
    desk = Desk()
    desk.put("set")
    desk.control.start()
    desk.put("slow", match={"model": "m"})
    async with refreshing(desk):
        desk.put("set", limit="$7")
        pause(desk.ledger, PauseWish("default"), desk.by)
        await desk.control._see()
        assert desk.control.in_force.stopped("default", Labels({})) is not None
        changed = desk.in_force("set")
        assert changed is not None
        assert changed.limits[0].amount == 7 * 10**9
        assert desk.in_force("slow") is None
    assert desk.used("set") == desk.used("slow") == desk.count


async def test_a_new_tenant_comes_in_when_its_budgets_have_begun_and_others_are_let_in_meanwhile() -> None:
    desk = Desk(OWN)
    _, old = create_key(desk.ledger, PEPPER.encode(), KeyWish("default", "old", Role.CALL), desk.by)
    desk.control.start()
    _, new = create_key(desk.ledger, PEPPER.encode(), KeyWish("acme", "new", Role.CALL), desk.by)
    async with refreshing(desk):
        assert (desk.lets_in(old), desk.lets_in(new)) == (True, False)
        assert named(desk.control.in_force.budgets, "acme", "own") is None
    assert (desk.lets_in(old), desk.lets_in(new)) == (True, True)
    assert named(desk.control.in_force.budgets, "acme", "own") is not None


async def test_a_budget_that_is_taken_out_while_it_begins_never_counts_and_begins_anew_later() -> None:
    desk = Desk()
    desk.control.start()
    desk.put("set")
    async with refreshing(desk):
        remove_budget(desk.ledger, (), EVERY_TENANT, "set", desk.by)
        await desk.control._see()
    assert desk.in_force("set") is None
    desk.spend()
    desk.put("set")
    await desk.control.refresh()
    assert desk.in_force("set") is not None
    assert desk.used("set") == desk.count


async def test_a_call_that_waited_since_before_is_counted_when_none_can_wait_any_more() -> None:
    desk = Desk(calls=3)
    desk.control.start()
    desk.put("set")
    await desk.control.refresh()
    looked_ns = desk.clock() - 1
    desk.clock.advance(seconds=5)
    desk.spend(at_ns=looked_ns)
    await desk.control.refresh()
    assert desk.used("set") == desk.count - 1
    desk.clock.advance(seconds=int(desk.settings.limits.hold_wait_s + LATE_S))
    await desk.control.refresh()
    assert desk.used("set") == desk.count


async def test_until_the_last_call_is_counted_a_restart_begins_the_budget_again() -> None:
    desk = Desk(calls=3)
    desk.put("set")
    desk.control.start()
    defined = desk.control.in_force.budgets.all
    assert desk.ledger.declare(defined) == defined
    desk.clock.advance(seconds=int(desk.settings.limits.hold_wait_s + LATE_S))
    await desk.control.refresh()
    assert desk.ledger.declare(defined) == ()
