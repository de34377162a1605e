"""Bodies of all six APIs through the whole application, in this process, before a truthful provider.

Owns one application with a ledger in memory. Each request must be answered in time, never with a 500, and leave nothing
behind: no hold, no task, no place in a queue; and what the provider bills is counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import MutableMapping
from pathlib import Path
from random import Random
from typing import Any, Self

from tests.gateway.client import Client, exchange_with
from tests.gateway.house import PATHS, settings_for, usd
from tests.security.fuzzed.mutate import broken_bytes, mutated, written
from tests.security.fuzzed.samples import BODIES

from bursar.config.settings import StoreKind, StoreSettings
from bursar.core.money import AMOUNT_MAX
from bursar.gateway.app import App
from bursar.testing import Script, ScriptedProvider

__all__ = ["BodyFuzz"]

ANSWER_S = 20.0
SHORT = Script(output_tokens=4)
ALLOWED = frozenset({200, 400, 402, 404, 413, 422, 429, 502})
"""502: the provider itself gave up on a body that passed here."""
STREAMED = "/v1beta/models/m:streamGenerateContent"


class BodyFuzz:
    """Open an application; `check` sends it one request."""

    def __init__(self) -> None:
        self._provider = ScriptedProvider({"m": SHORT})
        self._loop = asyncio.new_event_loop()
        self._failures = _Failures()

    def __enter__(self) -> Self:
        self._provider.__enter__()
        store = StoreSettings(kind=StoreKind.MEMORY, path=Path("never.db"))
        settings = settings_for(self._provider.url, store.path, [usd(AMOUNT_MAX)], store=store)
        self.app = App(settings)
        self._loop.set_exception_handler(lambda _, context: self._failures.found.append(str(context)))
        logging.getLogger("bursar").addHandler(self._failures)
        self._lifespan = _Lifespan(self.app)
        self._loop.run_until_complete(self._lifespan.start(self._loop))
        self._loop.run_until_complete(self._send("/v1/chat/completions", b"", json.dumps(BODIES["openai"][0]).encode()))
        self._tasks = self._task_count()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._assert_sound()
            self._loop.run_until_complete(self._lifespan.stop())
        finally:
            logging.getLogger("bursar").removeHandler(self._failures)
            self._loop.close()
            self._provider.__exit__(None, None, None)

    def check(self, random: Random) -> str:
        """Send one request that is nearly right."""
        wire = random.choice(tuple(BODIES))
        path, query = PATHS[wire], b""
        if wire == "gemini" and random.random() < 0.4:
            path, query = STREAMED, random.choice((b"alt=sse", b"alt=sse", b"alt=json", b""))
        value = mutated(random, random.choice(BODIES[wire]), random.randrange(4))
        body = written(random, value)
        if random.random() < 0.2:
            body = broken_bytes(random, body)
        status, answer = self._loop.run_until_complete(self._send(path, query, body))
        assert status in ALLOWED, (status, answer[:300])
        assert not self._failures.found, self._failures.taken()
        assert self._task_count() <= self._tasks, "a task was left behind"
        assert status == 200 or _is_error(answer), answer[:300]
        return f"bodies: {wire}: {status}"

    async def _send(self, path: str, query: bytes, body: bytes) -> tuple[int, bytes]:
        """Be the server of one request, its client away as soon as it is answered."""
        client = Client()
        exchange = exchange_with(client, "POST", path, body, query)
        async with asyncio.timeout(ANSWER_S):
            await self.app.handle(exchange)
        await asyncio.sleep(0)  # What was left to the next turn of the loop is done.
        return client.status, client.body

    def _task_count(self) -> int:
        return len(asyncio.all_tasks(self._loop))

    def _assert_sound(self) -> None:
        """Nothing is held, the sums are those of the entries, and all that was billed is counted."""
        ledger = self.app._engine.ledger
        assert list(ledger.verify()) == []
        (row,) = [row for row in ledger.balances("default") if row.balance.settled]
        assert row.balance.held == 0
        billed = int(self._provider.invoice(calls=0)["total_nano"])
        assert billed <= row.balance.settled + row.balance.presumed, (billed, row.balance)


def _is_error(answer: bytes) -> bool:
    """Every refusal is JSON with an error that has a message."""
    value = json.loads(answer)
    error = value["error"] if isinstance(value, dict) else value[0]["error"]
    return isinstance(error["message"], str) and bool(error["message"])


class _Lifespan:
    """The application's start and stop."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._in: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._out: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._app({"type": "lifespan"}, self._in.get, self._out.put))
        await self._in.put({"type": "lifespan.startup"})
        assert (await self._out.get())["type"] == "lifespan.startup.complete"

    async def stop(self) -> None:
        await self._in.put({"type": "lifespan.shutdown"})
        assert (await self._out.get())["type"] == "lifespan.shutdown.complete"
        await self._task


class _Failures(logging.Handler):
    """What the gateway logs as an error, and what its event loop cannot deliver."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))

    def taken(self) -> list[str]:
        found, self.found = self.found, []
        return found
