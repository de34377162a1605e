"""What a scrape of a running engine tells: every call once, budgets as the ledger has them, a dead ledger too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.gateway.house import DOLLAR, usd
from tests.telemetry.engine import telling
from tests.telemetry.scraped import value

from bursar.config.settings import MetricsSettings, TelemetrySettings
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.window import Window, WindowKind
from bursar.errors import StoreUnavailable
from bursar.telemetry.record import PRESUMED, RELEASED, SETTLED, CallRecord
from bursar.testing import Script
from bursar.wiring.telemetry import budget_figures


class Listening:
    def __init__(self) -> None:
        self.heard: list[CallRecord] = []

    def call_ended(self, record: CallRecord) -> None:
        self.heard.append(record)


async def test_a_scrape_tells_calls_costs_and_budgets_as_the_ledger_has_them(tmp_path: Path) -> None:
    async with telling(tmp_path, [usd(DOLLAR)]) as made:
        for is_stream in (False, True):
            reply, _ = await made.run(made.call(stream=is_stream))
            assert reply.status == 200
        balance = await made.assert_sound()
        page = await made.engine.scraper.page()
    assert page is not None
    assert value(page, "bursar_calls_total", state="settled", model="m") == 2
    assert value(page, "bursar_cost_nano_usd_total") == balance.settled
    assert value(page, "bursar_budget_used", budget="one", unit="nano_usd") == balance.settled
    assert value(page, "bursar_calls_in_flight") == 0
    assert value(page, "bursar_ledger_up") == 1


@pytest.mark.parametrize(
    ("script", "state"),
    [
        (Script(), SETTLED),
        (Script(fault="status", fault_status=400), RELEASED),
        (Script(fault="reset_before", fault_billed=True), PRESUMED),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_each_call_is_told_once_with_what_the_ledger_says(
    tmp_path: Path, script: Script, state: str, is_stream: bool
) -> None:
    async with telling(tmp_path, [usd(DOLLAR)], scripts={"*": script}) as made:
        listening = Listening()
        object.__setattr__(made.engine._accounts, "observers", (listening,))
        call = made.call(stream=is_stream)
        await made.run(call)
        await made.flushed()
        (row,) = made.holds()
    (told,) = listening.heard
    assert (told.id, told.state) == (call.id, state)
    assert row.state.name.lower() == state
    assert told.amounts == (row.held if state == PRESUMED else row.settled)
    assert (told.status, told.ended, told.duration_ms) == (row.note.status, row.note.ended, row.note.duration_ms)


async def test_a_refused_call_is_told_with_the_budget_that_refused(tmp_path: Path) -> None:
    async with telling(tmp_path, [usd(0, name="empty")]) as made:
        reply, _ = await made.run(made.call())
        page = await made.engine.scraper.page()
    assert reply.status == 402
    assert page is not None
    assert value(page, "bursar_refusals_total", code="budget_exceeded", budget="empty") == 1


async def test_a_call_in_flight_is_seen_and_then_gone(tmp_path: Path) -> None:
    async with telling(tmp_path, [usd(DOLLAR)]) as made:
        call = made.call(stream=True)
        reply = await made.engine.handle(call)
        assert value(await made.engine.scraper.page() or b"", "bursar_calls_in_flight") == 1
        assert not isinstance(reply.body, bytes)
        await reply.body.close(is_hangup=True)
        assert value(await made.engine.scraper.page() or b"", "bursar_calls_in_flight") == 0


async def test_a_ledger_that_is_down_is_a_figure_and_no_failure(tmp_path: Path) -> None:
    async with telling(tmp_path, [usd(DOLLAR)]) as made:

        def down(*_: object) -> None:
            raise StoreUnavailable("the disk is gone")

        object.__setattr__(made.engine.scraper, "ledger", type("Down", (), {"balances": staticmethod(down)})())
        page = await made.engine.scraper.page()
        assert page is not None
        assert value(page, "bursar_ledger_up") == 0
        assert b"bursar_budget_used{" not in page
        assert not await made.engine.scraper.probe()


async def test_a_ledger_that_hangs_is_given_up_in_its_time(tmp_path: Path) -> None:
    async with telling(tmp_path, [usd(DOLLAR)]) as made:
        scraper = made.engine.scraper
        assert await scraper.probe()
        scraper.timeout_s = 0.05

        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        scraper.face = type("Hanging", (), {"beat": staticmethod(never), "run": staticmethod(never)})()
        assert not await scraper.probe()
        assert await scraper.page() is not None


async def test_metrics_can_be_switched_off(tmp_path: Path) -> None:
    told = TelemetrySettings(MetricsSettings(enabled=False))
    async with telling(tmp_path, telemetry=told) as made:
        await made.run(made.call())
        assert await made.engine.scraper.page() is None


def test_split_budgets_have_no_figures_so_that_users_make_no_series() -> None:
    limits = (Limit(Unit.USD, DOLLAR), Limit(Unit.TOKENS, 5))
    plain = Budget("plain", limits, Window(WindowKind.TOTAL))
    found = list(budget_figures([plain], {"default": ()}, 0))
    assert [(row.unit, row.limit) for row in found] == [("nano_usd", DOLLAR), ("tokens", 5)]


async def test_the_scrape_leaves_split_budgets_out(tmp_path: Path) -> None:
    split = Budget("each", (Limit(Unit.USD, DOLLAR),), Window(WindowKind.DAY), per=("user",))
    async with telling(tmp_path, [split]) as made:
        call = made.call()
        await made.run(call)
        page = await made.engine.scraper.page()
    assert page is not None and b'budget="each"' not in page
