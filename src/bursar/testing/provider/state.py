"""What a running provider remembers: scripts, faults still to come, the invoice, the last requests, and who waits.

Owns all memory of the provider, every part of it bounded. Used by one event loop only. It must never know a wire.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from bursar.testing.provider.connection import Connection
from bursar.testing.provider.invoice import Invoice
from bursar.testing.provider.script import Script

__all__ = ["DEFAULT_MODEL", "REQUESTS_MAX", "State"]

DEFAULT_MODEL = "*"
REQUESTS_MAX = 500
REQUEST_BODY_BYTES_MAX = 1024 * 1024
REQUEST_LOG_BYTES_MAX = 64 * 1024 * 1024
SCRIPTS_MAX = 10_000


class State:
    """The memory of one provider."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        """Begin with `scripts` by model; "*" is the script of every model that has none."""
        self._scripts: dict[str, Script] = {DEFAULT_MODEL: Script()}
        self._faults_left: dict[str, int | None] = {}
        self._tool_calls_left: dict[str, int | None] = {}
        self._waiters: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._log: deque[dict[str, Any]] = deque()
        self._log_bytes = 0
        self._prefix = secrets.token_hex(4)
        self._count = 0
        self.invoice = Invoice(self._wake)
        for model, script in scripts.items():
            self.set_script(model, script)

    def set_script(self, model: str, script: Script) -> None:
        """Let `model` answer as `script` says from now on; its fault and tool call count from the start."""
        if model not in self._scripts and len(self._scripts) >= SCRIPTS_MAX:
            raise ValueError(f"at most {SCRIPTS_MAX} scripts")
        self._scripts[model] = script
        self._faults_left[model] = script.fault_times
        self._tool_calls_left[model] = script.tool_call_times

    def script(self, model: str) -> Script:
        """Return the script of `model`, without using up a fault."""
        return self._scripts.get(model, self._scripts[DEFAULT_MODEL])

    def take_script(self, model: str) -> Script:
        """Return the script for one request to `model`, using up one of its faults or tool calls."""
        name = model if model in self._scripts else DEFAULT_MODEL
        script = self._scripts[name]
        if script.fault != "none" and not _take(self._faults_left, name):
            script = script.without_fault()
        if script.tool_call is not None and not _take(self._tool_calls_left, name):
            script = script.without_tool_call()
        return script

    @property
    def models(self) -> list[str]:
        """The models that have a script of their own."""
        return [model for model in self._scripts if model != DEFAULT_MODEL]

    def next_id(self) -> str:
        """Return an id that no other answer has, of this provider or another."""
        self._count += 1
        return f"{self._prefix}{self._count:010d}"

    def record(self, connection: Connection, body: bytes) -> None:
        """Count a request that has arrived in full and remember it."""
        kept = body[:REQUEST_BODY_BYTES_MAX]
        entry = {
            "method": connection.method,
            "path": connection.path,
            "query": connection.query,
            "headers": connection.header_list,
            "body": kept.decode("utf-8", "replace"),
            "size_bytes": len(body),
        }
        self._log.append(entry)
        self._log_bytes += min(len(body), REQUEST_BODY_BYTES_MAX)
        while len(self._log) > REQUESTS_MAX or self._log_bytes > REQUEST_LOG_BYTES_MAX:
            self._log_bytes -= min(self._log.popleft()["size_bytes"], REQUEST_BODY_BYTES_MAX)
        self.invoice.arrive()

    def requests(self) -> bytes:
        """Return the last requests as JSON, oldest first."""
        return json.dumps(list(self._log)).encode()

    def close_period(self) -> dict[str, Any]:
        """Return the invoice, begin a new period and forget the requests."""
        self._log.clear()
        self._log_bytes = 0
        return self.invoice.close_period()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `condition` holds, and say whether it did within `timeout_s`. It is asked after every change."""
        if condition():
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = condition
        try:
            await asyncio.wait({waiter}, timeout=timeout_s)
            return waiter.done()
        finally:
            del self._waiters[waiter]

    def _wake(self) -> None:
        for waiter, condition in self._waiters.items():
            if not waiter.done() and condition():
                waiter.set_result(None)


def _take(left: dict[str, int | None], name: str) -> bool:
    """Use up one of what is left, and say whether there was one; None never ends."""
    times = left.get(name)
    if times is None:
        return True
    left[name] = max(0, times - 1)
    return times > 0
