"""What is set while gateways run counts within a second, in each of them, and counts everything."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import DOLLAR, House, house, settings_for, until, usd
from tests.gateway.keyed import by

from bursar.actions.limits import BudgetWish, TopUpWish, remove_budget, set_budget, top_up
from bursar.actions.prices import PriceWish, set_price
from bursar.config.settings import PriceRow
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT
from bursar.testing import Script
from bursar.testing.gateway import GatewayProcess
from bursar.wiring.prices import open_list

SOON_S = 5.0
AGENT = {"x-bursar-agent": "crawler"}
PENNY = 10_000_000


def put(home: House, definition: Any, name: str = "set") -> tuple[Budget, ...]:
    with home.ledger() as ledger:
        return set_budget(ledger, (), BudgetWish(EVERY_TENANT, name, definition), by())


def used(home: House, name: str) -> int:
    with home.ledger() as ledger:
        assert list(ledger.verify()) == []
        rows = [row for row in ledger.balances("default") if row.budget == name]
        return sum(row.balance.settled + row.balance.presumed for row in rows)


def test_a_budget_that_is_set_begins_with_what_was_spent_before_and_refuses_when_it_is_full(tmp_path: Path) -> None:
    with house(tmp_path, [usd(10**13)], scripts={"m": Script(output_tokens=900)}) as home:
        for _ in range(3):
            assert home.ask(headers=AGENT, max_tokens=1_000).status == 200
        spent = home.balance().settled
        put(home, {"limit": "$0.03", "window": "total", "match": {"agent": "crawler"}})
        until(lambda: used(home, "set") == spent, timeout_s=SOON_S)
        until(lambda: home.ask(headers=AGENT, max_tokens=1_000).status == 402, timeout_s=SOON_S)
        assert home.ask(max_tokens=1_000).status == 200
        assert used(home, "set") <= 30_000_000
        home.assert_free()


def test_a_budget_counts_every_call_though_it_is_set_amid_a_crowd(tmp_path: Path) -> None:
    """Calls that were let in without it, here or by another process, are counted when each begins it."""
    with two_gateways(tmp_path) as (home, other):
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(each.ask, "openai", max_tokens=50) for _ in range(60) for each in (home, other)]
            put(home, {"limit": "$1000", "window": "total"})
            assert {each.result().status for each in asked} == {200}
        home.provider.wait(ended=120, open_calls=0)
        until(lambda: used(home, "set") == home.invoice_nano(), timeout_s=SOON_S)
        assert used(home, "set") == used(home, "one") == home.invoice_nano()


@contextmanager
def two_gateways(path: Path) -> Iterator[tuple[House, House]]:
    script = {"m": Script(output_tokens=40, tokens_per_s=400)}
    with house(path, [usd(10**13)], scripts=script, is_process=True) as home:
        settings = settings_for(home.provider.url, home.ledger_path, [usd(10**13)])
        with GatewayProcess(settings) as gateway:
            yield home, House(home.provider, gateway, home.ledger_path)


def test_a_top_up_gives_more_for_this_window_alone(tmp_path: Path) -> None:
    script = {"m": Script(output_tokens=900)}
    budget = usd(2 * PENNY, tenant=EVERY_TENANT)
    with house(tmp_path, [budget], scripts=script) as home:
        until(lambda: home.ask(max_tokens=1_000).status == 402)
        before = home.balance().settled
        with home.ledger() as ledger:
            top_up(ledger, (budget,), TopUpWish("default", "one", "$0.03", {}, ""), by())
        until(lambda: home.ask(max_tokens=1_000).status == 200, timeout_s=SOON_S)
        until(lambda: home.ask(max_tokens=1_000).status == 402)
        assert before < home.assert_sound().settled <= 5 * PENNY


def test_a_removed_budget_refuses_nobody_and_its_sums_stay(tmp_path: Path) -> None:
    with house(tmp_path, [usd(10**13)]) as home:
        put(home, {"limit": "$0", "window": "total"})
        until(lambda: home.ask().status == 402, timeout_s=SOON_S)
        with home.ledger() as ledger:
            remove_budget(ledger, (), EVERY_TENANT, "set", by())
        until(lambda: home.ask().status == 200, timeout_s=SOON_S)
        home.assert_free()


def test_a_price_that_is_set_counts_from_the_next_call_on(tmp_path: Path) -> None:
    rows = (PriceRow("other", "*", False, (("input", "1"), ("output", "1"))),)
    with house(tmp_path, [usd()], prices=rows) as home:
        assert home.ask().status == 402
        with home.ledger() as ledger:
            price = {"input": "2.5", "output": "10"}
            listed = open_list(settings_for(home.provider.url, home.ledger_path, []))
            set_price(ledger, rows, listed, PriceWish("openai", "m", price), by())
        until(lambda: home.ask().status == 200, timeout_s=SOON_S)
        assert home.assert_sound().settled == home.invoice_nano() > 0


@pytest.mark.parametrize("limit", [0, DOLLAR])
def test_a_lowered_and_a_raised_limit_count_and_lose_nothing(tmp_path: Path, limit: int) -> None:
    with house(tmp_path, [usd(10**13)]) as home:
        put(home, {"limit": "$5", "window": "total"})
        assert home.ask().status == 200
        spent = home.invoice_nano()
        until(lambda: used(home, "set") == spent, timeout_s=SOON_S)
        put(home, {"limit": f"${limit // DOLLAR}", "window": "total"})
        until(lambda: home.ask().status == (402 if limit == 0 else 200), timeout_s=SOON_S)
        assert used(home, "set") >= spent > 0
        put(home, {"limit": "$5", "window": "total"})
        until(lambda: home.ask().status == 200, timeout_s=SOON_S)
        assert used(home, "set") == home.invoice_nano()
