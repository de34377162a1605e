"""The control API: scripts in; the invoice, the requests and the waiting out.

Owns the paths that begin with `/_`. Nothing here is billed or counted. It must never touch a model's answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from bursar.testing.provider.connection import Connection
from bursar.testing.provider.invoice import CALLS_MAX
from bursar.testing.provider.script import Script
from bursar.testing.provider.state import State

__all__ = ["WAIT_S_MAX", "control"]

WAIT_S_MAX = 120.0
SCRIPTS_PATH = "/_scripts/"
JSON = [(b"content-type", b"application/json")]
COUNTS = ("billed", "ended", "requests", "open")


async def control(state: State, connection: Connection, body: bytes) -> None:
    """Answer one request to the control API."""
    try:
        status, answer = await _answer(state, connection, body)
    except ValueError as problem:
        status, answer = 400, {"error": str(problem)}
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    await connection.respond(status, JSON, data)


async def _answer(state: State, connection: Connection, body: bytes) -> tuple[int, Any]:
    query = {name: values[-1] for name, values in parse_qs(connection.query).items()}
    path = connection.path
    match connection.method, path:
        case "GET", "/_health":
            return 200, {"ok": True}
        case "GET", "/_invoice":
            return 200, state.invoice.report(int(query.get("calls", CALLS_MAX)))
        case "DELETE", "/_invoice":
            return 200, state.close_period()
        case "GET", "/_requests":
            return 200, state.requests()
        case "GET", "/_wait":
            return await _wait(state, query)
        case "PUT", _ if path.startswith(SCRIPTS_PATH) and path != SCRIPTS_PATH:
            script = Script.from_json(_object(body))
            state.set_script(path.removeprefix(SCRIPTS_PATH), script)
            return 200, script.to_json()
        case _:
            return 404, {"error": f"no control route {connection.method} {path}"}


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    return value


async def _wait(state: State, query: dict[str, str]) -> tuple[int, Any]:
    """Answer once every count asked for is reached in this period, or 408 after `timeout_s`.

    `open=0` waits until nothing is in flight; every other number is a least number.
    """
    wanted = {name: int(query[name]) for name in COUNTS if name in query}
    if not wanted:
        raise ValueError(f"say what to wait for: {', '.join(COUNTS)}")
    timeout_s = min(WAIT_S_MAX, max(0.0, float(query.get("timeout_s", "10"))))
    is_reached = await state.until(_reached(state, wanted), timeout_s)
    counts = {name: getattr(state.invoice, name) for name in COUNTS}
    return (200 if is_reached else 408), counts


def _reached(state: State, wanted: dict[str, int]) -> Callable[[], bool]:
    def is_reached() -> bool:
        counts = {name: getattr(state.invoice, name) for name in wanted}
        return all(counts[name] == 0 if least == 0 else counts[name] >= least for name, least in wanted.items())

    return is_reached
