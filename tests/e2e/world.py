"""One small world for a money test: a truthful provider, a real gateway, its ledger; everything over real sockets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bursar.config.settings import Limits, PriceRow, ServerSettings, Settings, StoreSettings
from bursar.core.admission import Balance
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.core.provider import Deadlines, Provider
from bursar.core.window import Window, WindowKind
from bursar.stores.sqlite import SqliteLedger
from bursar.testing import ProviderProcess, Script
from bursar.testing.gateway import GatewayProcess

ALL_STATES = tuple(State)


def usd(nano: int, name: str = "one", **more: Any) -> Budget:
    """A budget in USD over everything, for ever."""
    return Budget(name, (Limit(Unit.USD, nano),), Window(WindowKind.TOTAL), **more)


def scripted_settings(provider_url: str, ledger: Path, budgets: Sequence[Budget], **more: Any) -> Settings:
    """Settings of a gateway before a scripted provider; `rates` are its prices, the rest goes to the providers."""
    rates = more.pop("rates", (("input", "0"), ("output", "10")))
    limits = more.pop("limits", Limits())
    more.setdefault("deadlines", Deadlines())
    return Settings(
        server=ServerSettings(port=0, grace_s=5),
        store=StoreSettings(path=ledger),
        providers=(
            Provider("openai", f"{provider_url}/v1", ("openai.chat",), **more),
            Provider("anthropic", provider_url, ("anthropic.messages",), **more),
        ),
        prices=(PriceRow("*", "*", False, rates),),
        budgets=tuple(budgets),
        limits=limits,
    )


@dataclass
class World:
    """What a test sees: the gateways' addresses, the provider's invoice, the ledger's rows."""

    provider: ProviderProcess
    ledger_path: Path
    gateways: list[GatewayProcess] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.gateways[0].url

    def invoice_nano(self) -> int:
        return int(self.provider.invoice(calls=0)["total_nano"])

    @contextlib.contextmanager
    def ledger(self) -> Iterator[SqliteLedger]:
        """Open the ledger beside the gateways."""
        ledger = SqliteLedger(self.ledger_path)
        try:
            yield ledger
        finally:
            ledger.close_store()

    def balance(self, unit: Unit = Unit.USD) -> Balance:
        """Read the one balance in this unit; nothing at all while no call has come."""
        with self.ledger() as ledger:
            rows = [row.balance for row in ledger.balances("default") if row.unit is unit]
        assert len(rows) <= 1
        return rows[0] if rows else Balance()

    def holds(self, most: int = 10_000) -> Sequence[HoldRow]:
        with self.ledger() as ledger:
            return ledger.holds("default", ALL_STATES, most)

    def assert_sound(self) -> Balance:
        """Nothing held at rest, every balance the fold of its entries."""
        balance = self.balance()
        assert balance.held == 0
        with self.ledger() as ledger:
            assert list(ledger.verify()) == []
        return balance


@contextlib.contextmanager
def world(path: Path, script: Script, budgets: Sequence[Budget], gateways: int = 1, **more: Any) -> Iterator[World]:
    """Start a provider with one script and `gateways` processes on one ledger."""
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(ProviderProcess({"*": script}))
        made = World(provider, path / "bursar.db")
        settings = scripted_settings(provider.url, made.ledger_path, budgets, **more)
        for _ in range(gateways):
            made.gateways.append(stack.enter_context(GatewayProcess(settings)))
        yield made


@dataclass(frozen=True)
class Told:
    """What a client got: status, the reason its answer ended, the raw bytes."""

    status: int
    reason: str
    body: bytes


async def chat(session: aiohttp.ClientSession, url: str, *, cap: int | None, is_stream: bool, **more: Any) -> Told:
    """Make one chat call without an SDK, so that a thousand at once cost little."""
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **more}
    if cap is not None:
        body["max_tokens"] = cap
    if is_stream:
        body["stream"] = True
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        told = await response.read()
        if response.status != 200:
            return Told(response.status, "", told)
        if not is_stream:
            return Told(200, json.loads(told)["choices"][0]["finish_reason"], told)
        chunks = [json.loads(line[6:]) for line in told.split(b"\n") if line.startswith(b"data: {")]
        reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
        return Told(200, next(reason for reason in reasons if reason), told)


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120))
