"""Budgets as people write them, through the whole gateway: per user, changed limits, headers, restarts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.world import ALL_STATES, World, scripted_settings, session, usd

from bursar.config.load import load
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.ledger import SpendQuery
from bursar.core.window import FOREVER_NS, Window, WindowKind
from bursar.testing import ProviderProcess, Rates, Script
from bursar.testing.gateway import GatewayProcess

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"
SCRIPT = Script(output_tokens=1000, input_tokens=4000, rates=Rates(input=0, cache_read=0, output=10_000_000))


def readme_budgets(directory: Path) -> tuple[Budget, ...]:
    """The budgets of the README's example."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    file = directory / "readme.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {}).budgets


async def ask(client: aiohttp.ClientSession, url: str, **headers: str) -> aiohttp.ClientResponse:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1000}
    response = await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
    await response.read()
    return response


async def test_each_user_has_the_readmes_fifty_thousand_tokens_a_day(tmp_path: Path) -> None:
    with ProviderProcess({"*": SCRIPT}) as provider:
        settings = scripted_settings(provider.url, tmp_path / "bursar.db", readme_budgets(tmp_path))
        with GatewayProcess(settings) as gateway:
            made = World(provider, tmp_path / "bursar.db", [gateway])
            async with session() as client:
                served = 0
                while (response := await ask(client, gateway.url, **{"x-bursar-user": "ada"})).status == 200:
                    served += 1
                    assert int(response.headers["x-bursar-remaining-tokens"]) == 50_000 - 5_000 * served
                told = (await response.json())["error"]["message"]
                bob = await ask(client, gateway.url, **{"x-bursar-user": "bob"})
                nobody = await ask(client, gateway.url)
        assert served in (9, 10)
        assert response.status == 402
        assert "'users (day)' of user=ada" in told
        assert response.headers["x-bursar-budget"] == "users (day)"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", response.headers["x-bursar-reset"])
        assert (bob.status, nobody.status) == (200, 200)
        with made.ledger() as ledger:
            rows = ledger.spend(SpendQuery("default", ("user",), 0, FOREVER_NS))
            scopes = {row.scope for row in ledger.balances("default") if row.budget == "users (day)"}
            assert list(ledger.verify()) == []
        tokens = {row.values[0]: row.settled.input_tokens + row.settled.output_tokens for row in rows}
        assert tokens == {"ada": served * 5000, "bob": 5000, "(none)": 5000}
        assert scopes == {"user=ada", "user=bob", "user=(none)"}


async def test_a_changed_limit_keeps_what_was_spent_and_a_new_budget_starts_from_it(tmp_path: Path) -> None:
    with ProviderProcess({"*": SCRIPT}) as provider:
        path = tmp_path / "bursar.db"
        budget = usd(25_000_000)  # two calls of $0.01
        first = scripted_settings(provider.url, path, [budget])
        statuses: list[int] = []

        async def run(budgets: list[Budget], calls: int) -> None:
            with GatewayProcess(replace(first, budgets=tuple(budgets))) as gateway:
                async with session() as client:
                    statuses.extend([(await ask(client, gateway.url)).status for _ in range(calls)])

        await run([budget], 3)
        await run([usd(15_000_000)], 1)
        await run([usd(45_000_000)], 3)
        await run([usd(100_000_000), usd(45_000_000, name="later")], 2)
        assert statuses == [200, 200, 402, 402, 200, 200, 402, 402, 402]
        made = World(provider, path)
        with made.ledger() as ledger:
            assert {(row.budget, row.balance.settled) for row in ledger.balances("default")} == {
                ("one", 40_000_000),
                ("later", 40_000_000),
            }
            assert list(ledger.verify()) == []


async def test_a_restart_forgets_neither_the_estimate_nor_the_usual_answer(tmp_path: Path) -> None:
    script = Script(output_tokens=1000, input_tokens=4000, rates=Rates(input=1_000_000, cache_read=0, output=0))
    with ProviderProcess({"*": script}) as provider:
        path = tmp_path / "bursar.db"
        settings = scripted_settings(provider.url, path, [usd(10**9)], rates=(("input", "1"), ("output", "10")))
        made = World(provider, path)
        for _ in range(2):
            with GatewayProcess(settings) as gateway:
                async with session() as client:
                    await uncapped(client, gateway.url)
        newest, oldest = made.holds()
        assert oldest.held.input_tokens == pytest.approx(1500, abs=50)  # cold: bytes/2 + 1,500
        assert newest.held.input_tokens == pytest.approx(4000 * 1.15 + 32, abs=2)
        assert (oldest.note.cap, newest.note.cap) == (4 * 4096, 4 * 1024)


async def uncapped(client: aiohttp.ClientSession, url: str) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    async with client.post(f"{url}/v1/chat/completions", json=body) as response:
        assert response.status == 200


async def test_every_reply_tells_its_call_its_cost_and_what_is_left(tmp_path: Path) -> None:
    with ProviderProcess({"*": SCRIPT}) as provider:
        settings = scripted_settings(provider.url, tmp_path / "bursar.db", [usd(10**9)])
        with GatewayProcess(settings) as gateway:
            made = World(provider, tmp_path / "bursar.db", [gateway])
            async with session() as client:
                whole = await ask(client, gateway.url)
                body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
                async with client.post(f"{gateway.url}/v1/chat/completions", json=body) as stream:
                    told = await stream.text()
            assert whole.headers["x-bursar-cost-usd"] == "0.01"
            assert whole.headers["x-bursar-remaining-usd"] == "0.99"
            assert whole.headers["x-bursar-budget"] == stream.headers["x-bursar-budget"] == "one"
            assert "x-bursar-cost-usd" not in stream.headers
            call = stream.headers["x-bursar-call"]
            assert told.endswith(f"data: [DONE]\n\n: bursar cost-usd=0.01 call={call}\n\n")
            assert '"usage":{' not in told  # the client did not ask for it
        assert {hold.id for hold in made.holds()} == {call, whole.headers["x-bursar-call"]}
        with made.ledger() as ledger:
            assert len(ledger.holds("default", ALL_STATES, 10)) == 2


@pytest.mark.parametrize(("since", "status"), [(-3, 200), (-40, 402), (5, 402)], ids=["now", "over", "to-come"])
async def test_a_sum_for_thirty_days_is_for_these_days_only(tmp_path: Path, since: int, status: int) -> None:
    first = datetime.now(tz=UTC).date() + timedelta(days=since)
    window = Window(WindowKind.DAYS, days=30, since=first)
    budget = Budget("term", (Limit(Unit.USD, 10**9),), window)
    with ProviderProcess({"*": SCRIPT}) as provider:
        settings = scripted_settings(provider.url, tmp_path / "bursar.db", [budget])
        with GatewayProcess(settings) as gateway:
            async with session() as client:
                response = await ask(client, gateway.url)
                told = await response.text()
        assert response.status == status
        if status == 402:
            assert f"30 days from {first}" in told
