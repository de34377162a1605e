"""What was once wrong, each with the promise that it broke."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import DOLLAR, until, usd
from tests.pipeline.rig import rig
from tests.upstream.test_http import head_of, serving

from bursar.config.settings import Limits, PriceRow, StoreSettings
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.hold import State
from bursar.core.provider import Provider
from bursar.core.window import NS, Window, WindowKind
from bursar.stores.sqlite import SqliteLedger
from bursar.testing import Rates, Script
from bursar.wiring import ledger as wall
from bursar.wiring.engine import Engine

MINUTE_NS = 60 * NS


# --- prices ----------------------------------------------------------------------------------------------------------


async def test_a_service_tier_that_nobody_asked_for_is_charged_at_its_own_price(tmp_path: Path) -> None:
    """A project's default may be another tier than the body names: the answer says which was billed."""
    async with rig(tmp_path, [usd(100 * DOLLAR)], prices=()) as made:
        stage: Any = made.engine._stage
        quote = stage.quoter.quote(made.call(model="gpt-5", max_tokens=10, service_tier="flex"))
        (offer,) = quote.offers
        tiers = {
            tier: offer.card(tier, quote.reservation.at_ns).tiers[0].rates.output_tokens
            for tier in ("flex", "", "priority")
        }
        assert tiers["flex"] < tiers[""] < tiers["priority"]


async def test_a_tier_that_no_list_knows_is_charged_as_the_dearest_that_was_asked_for(tmp_path: Path) -> None:
    async with rig(tmp_path, [usd(100 * DOLLAR)], prices=()) as made:
        stage: Any = made.engine._stage
        quote = stage.quoter.quote(made.call(model="gpt-5", max_tokens=10))
        (offer,) = quote.offers
        dearest = max(offer.cards.values(), key=lambda card: card.tiers[0].rates.output_tokens)
        assert offer.card("of-no-list", quote.reservation.at_ns) == dearest


async def test_an_operators_own_price_of_cache_writes_is_held_for(tmp_path: Path) -> None:
    """Nobody but the operator knows when this server writes its cache: the body need not ask for it."""
    prices = (PriceRow("*", "*", False, (("input", "1"), ("output", "0"), ("cache_write", "20"))),)
    rates = Rates(input=1_000_000, cache_read=1_000_000, output=0, cache_write=20_000_000)
    script = Script(input_tokens=1_000, cache_write_tokens=1_000, rates=rates)
    async with rig(tmp_path, [usd(100 * DOLLAR)], prices=prices, scripts={"m": script}) as made:
        reply, _ = await made.run(made.call("anthropic", max_tokens=10))
        assert reply.status == 200
        (hold,) = made.holds()
        assert hold.settled.cost_nano == int(made.provider.invoice(calls=0)["total_nano"]) == 1_000 * 20_000
        assert hold.held.cost_nano >= hold.settled.cost_nano
        assert "bound_violation" not in hold.flags
        await made.assert_sound()


# --- a refusal that is not the provider's own -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429])
async def test_a_page_of_something_between_that_refuses_releases_the_hold(tmp_path: Path, status: int) -> None:
    """A firewall answers in HTML: the request never reached a model, whatever the body looks like."""
    page = b"<html><title>No</title></html>"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        head = f"HTTP/1.1 {status} No\r\ncontent-type: text/html\r\ncontent-length: {len(page)}\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        await reader.read()

    async with rig(tmp_path, [usd(100 * DOLLAR)]) as made, serving(serve) as port:
        call = made.call(max_tokens=10)
        call = replace(call, provider=Provider("openai", f"http://127.0.0.1:{port}", ("openai.chat",)))
        reply, body = await made.run(call)
        assert (reply.status, body) == (status, page) if status >= 400 else reply.status == 502
        (hold,) = made.holds()
        assert (hold.state, hold.note.status) == (State.RELEASED, status)
        await made.assert_sound()


# --- waiting over the end of a window --------------------------------------------------------------------------------


async def test_a_call_that_waited_over_the_end_of_a_window_gets_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in flight belongs to the old window; the new one is empty."""
    budget = Budget("one", (Limit(Unit.REQUESTS, 1),), Window(WindowKind.MINUTE))
    slow = {"m": Script(first_byte_s=30)}
    limits = Limits(hold_wait_s=0.4)
    async with rig(tmp_path, [budget], scripts=slow, limits=limits) as made:
        # Well inside a minute, so that no true end of one comes between.
        inside_ns = (made.engine.clock() // MINUTE_NS + 10) * MINUTE_NS + 30 * NS
        monkeypatch.setattr(wall, "time_ns", lambda: inside_ns)
        first = asyncio.create_task(made.run(made.call(max_tokens=10)))
        await asyncio.to_thread(made.provider.wait, open_calls=1)
        refused, _ = await made.run(made.call(max_tokens=10))
        assert refused.status == 429
        made.provider.set("m", Script())
        waiting = asyncio.create_task(made.run(made.call(max_tokens=10)))
        await asyncio.to_thread(until, lambda: stage_waits(made.engine))
        monkeypatch.setattr(wall, "time_ns", lambda: inside_ns + MINUTE_NS)
        reply, _ = await waiting
        assert reply.status == 200
        first.cancel()
        await asyncio.wait({first})
        await made.flushed()
        assert list(made.engine.ledger.verify()) == []
        assert all(row.balance.held == 0 for row in made.engine.ledger.balances("default"))
        assert len({row.starts_ns for row in made.engine.ledger.balances("default")}) == 2


def stage_waits(engine: Engine) -> bool:
    stage: Any = engine._stage
    return bool(stage.waiting._queues.waiting)


# --- a ledger that is down at the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_back", [True, False], ids=["back", "still down"])
async def test_a_close_that_the_ledger_could_not_take_is_tried_once_more_at_the_stop(
    tmp_path: Path, is_back: bool
) -> None:
    """No job runs any more then; what is not recorded stays held, and is presumed by whoever comes next."""
    path = tmp_path / "bursar.db"
    scripts = {"m": Script(output_tokens=30, tokens_per_s=100)}
    store, limits = StoreSettings(path=path, timeout_s=0.2), Limits(heartbeat_s=1_000, lapse_s=3_000)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        async with rig(tmp_path, [usd(100 * DOLLAR)], scripts=scripts, store=store, limits=limits) as made:
            calls = [asyncio.create_task(made.run(made.call(max_tokens=100))) for _ in range(3)]
            await asyncio.to_thread(made.provider.wait, open_calls=3)
            other.execute("BEGIN EXCLUSIVE")
            assert {reply.status for reply, _ in await asyncio.gather(*calls)} == {200}
            assert len(made.engine._accounts.unclosed) == 3
            if is_back:
                other.execute("ROLLBACK")
            invoice = int(made.provider.invoice(calls=0)["total_nano"])
    finally:
        other.close()
    ledger = SqliteLedger(path)
    try:
        (balance,) = [row.balance for row in ledger.balances("default")]
        assert list(ledger.verify()) == []
        assert (balance.settled, balance.held) == (invoice, 0) if is_back else balance.held >= invoice
    finally:
        ledger.close_store()
