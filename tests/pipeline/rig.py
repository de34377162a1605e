"""The engine without a door: calls are made by hand, and driven by the test's own event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.gateway.house import body_of, settings_for

from bursar.config.settings import Settings, StoreKind, StoreSettings
from bursar.core.admission import Balance
from bursar.core.budget import Budget, Unit
from bursar.core.hold import State
from bursar.core.labels import Labels
from bursar.core.ledger import HoldRow
from bursar.ids import new_id
from bursar.pipeline.call import Call, Reply, Target
from bursar.testing import ScriptedProvider
from bursar.wiring.engine import Engine

PATHS = {"openai.chat": "/chat/completions", "anthropic.messages": "/v1/messages"}


@dataclass
class Rig:
    """An engine that runs, and the provider it calls."""

    engine: Engine
    provider: ScriptedProvider

    def call(self, wire: str = "openai", *, client: str = "", is_gone: Any = None, **fields: Any) -> Call:
        """Make a call as a door does."""
        name = "openai.chat" if wire == "openai" else "anthropic.messages"
        wires = self.engine.wires
        request = wires.wire(name).parse(body_of(wire, **fields))
        provider, model = self.engine.choice.choose(name, request.model)
        labels = Labels({"provider": provider.name, "model": model, "wire": name})
        call_id = new_id(self.engine.clock())
        door = wires.spoken_by(wires.wire(name), provider)
        more: dict[str, Any] = {} if is_gone is None else {"is_gone": is_gone}
        others = self.engine.choice.fallbacks(provider, name, model)
        more["fallbacks"] = tuple(
            Target(other, its_model, wires.spoken_by(door, other), PATHS[name]) for other, its_model in others
        )
        return Call(
            call_id, "default", door, request, provider, model, labels, PATHS[name],
            {"content-type": "application/json"}, client, **more,
        )  # fmt: skip

    async def run(self, call: Call) -> tuple[Reply, bytes]:
        """Drive a call to the end of its reply."""
        reply = await self.engine.handle(call)
        return reply, await read_all(reply)

    async def flushed(self) -> None:
        """Wait until the ledger has done all that it was asked."""
        done = self.engine._face.run(lambda: None)
        await done

    def balance(self, unit: Unit = Unit.USD) -> Balance:
        rows = [row for row in self.engine.ledger.balances("default") if row.unit is unit]
        return rows[0].balance if rows else Balance()

    def holds(self) -> Sequence[HoldRow]:
        """All calls, oldest first."""
        return list(reversed(self.engine.ledger.holds("default", tuple(State), 10_000)))

    async def assert_sound(self) -> Balance:
        await self.flushed()
        balance = self.balance()
        assert balance.held == 0
        assert list(self.engine.ledger.verify()) == []
        return balance


async def read_all(reply: Reply) -> bytes:
    """Read a reply as a door does: to its end, and closed whatever happens."""
    if isinstance(reply.body, bytes):
        return reply.body
    pieces = []
    try:
        while piece := await reply.body.read():
            pieces.append(piece)
    finally:
        await reply.body.close(is_hangup=False)
    return b"".join(pieces)


@asynccontextmanager
async def rig(
    path: Path, budgets: Sequence[Budget], *, is_memory: bool = False, scripts: Any = None, **more: Any
) -> AsyncIterator[Rig]:
    """Start an engine before a scripted provider; `more` goes to `settings_for`."""
    with ScriptedProvider(scripts) as provider:
        settings: Settings = settings_for(provider.url, path / "bursar.db", budgets, **more)
        if is_memory:
            settings = replace(settings, store=StoreSettings(StoreKind.MEMORY))
        engine = Engine(settings)
        await engine.start()
        try:
            yield Rig(engine, provider)
        finally:
            await engine.stop()


class CancelAt:
    """Run a coroutine inside the current task and cancel that task at its Nth suspension, counted from 0."""

    def __init__(self, work: Coroutine[Any, Any, Any], at: int) -> None:
        self._work = work
        self._at = at
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work.__await__()
        send: Any = work.send
        value: Any = None
        while True:
            try:
                waits_for = send(value)
            except StopIteration as stop:
                return stop.value
            if self.steps == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self.steps += 1
            try:
                value = yield waits_for
                send = work.send
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine, as the loop would
                value, send = error, work.throw


def data_of(body: bytes) -> list[Any]:
    """The data of a stream's events, parsed."""
    return [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]
