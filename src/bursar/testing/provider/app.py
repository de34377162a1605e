"""The provider as an ASGI application: routes, refusals, and the start of every call.

Owns which path is which wire, and that every request is counted before it is answered. It must never write a wire's
JSON itself nor decide a bill.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bursar.testing.provider.answer import Answer, Ask, plan, prompt_tokens, text_bytes
from bursar.testing.provider.anthropic_shape import AnthropicShape
from bursar.testing.provider.connection import BodyTooLarge, Connection, Receive, Scope, Send
from bursar.testing.provider.control import control
from bursar.testing.provider.delivery import Delivery
from bursar.testing.provider.generation import Generation
from bursar.testing.provider.invoice import OpenCall
from bursar.testing.provider.openai_shape import OpenAIShape
from bursar.testing.provider.script import Rates, Script
from bursar.testing.provider.shape import Problem, Shape, compact, required
from bursar.testing.provider.state import State

__all__ = ["ProviderApp"]

OPENAI = OpenAIShape()
ANTHROPIC = AnthropicShape()
GENERATE: Mapping[tuple[str, str], Shape] = {
    ("POST", "/v1/chat/completions"): OPENAI,
    ("POST", "/v1/messages"): ANTHROPIC,
}
COUNT_TOKENS = ("POST", "/v1/messages/count_tokens")
MODELS = ("GET", "/v1/models")
JSON = (b"content-type", b"application/json")
NOT_KEPT = ("x-api-key", "x-stainless-")
"""Prefixes of headers that do not go on the invoice: keys, and the noise of SDKs."""
NS_PER_S = 1_000_000_000


class ProviderApp:
    """Answer as the scripts say."""

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        """Begin with `scripts` by model."""
        self._state = State(scripts or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served, not {scope['type']}")
        connection = Connection(scope, receive, send)
        try:
            body = await connection.body()
        except BodyTooLarge:
            shape = _shape_of(connection)
            await self._refuse(connection, shape, shape.scripted_error(413))
            return
        if body is None:
            return
        if connection.path.startswith("/_"):
            await control(self._state, connection, body)
            return
        self._state.record(connection, body)
        await self._serve(connection, body)

    async def _serve(self, connection: Connection, body: bytes) -> None:
        route = (connection.method, connection.path)
        if route in GENERATE:
            await self._generate(connection, GENERATE[route], body)
            return
        shape = _shape_of(connection)
        if route == COUNT_TOKENS:
            await self._count_tokens(connection, body)
        elif route == MODELS:
            headers = shape.id_headers(f"req_{self._state.next_id()}")
            await connection.respond(200, [*headers, JSON], _models(shape, self._state.models))
        else:
            text = f"Invalid URL ({connection.method} {connection.path})" if shape is OPENAI else "Not found"
            await self._refuse(connection, shape, Problem(404, text))

    async def _refuse(self, connection: Connection, shape: Shape, problem: Problem) -> None:
        request_id = f"req_{self._state.next_id()}"
        headers = [*shape.id_headers(request_id), JSON]
        await connection.respond(problem.status, headers, shape.error(problem, request_id))

    async def _generate(self, connection: Connection, shape: Shape, body: bytes) -> None:
        unique, started_ns, started_s = self._state.next_id(), time.time_ns(), _loop_now_s()
        try:
            ask = shape.ask(_parse(body))
            script = self._admit(connection, shape, ask)
        except Problem as problem:
            self._list_refused(connection, shape, body, unique, started_ns, problem)
            await self._refuse(connection, shape, problem)
            return
        answer = plan(ask, script, shape.answer_id(unique), started_ns // NS_PER_S)
        first_byte_s = script.fault_after_s if script.fault == "slow" else script.first_byte_s
        generation = Generation(started_s, first_byte_s, script.tokens_per_s, answer.total_tokens, answer.stop_tokens)
        self._state.invoice.begin(_open_call(connection, answer, generation, started_ns))
        delivery = Delivery(shape, answer, generation, self._state.invoice)
        await delivery.run(connection, f"req_{unique}")

    def _admit(self, connection: Connection, shape: Shape, ask: Ask) -> Script:
        """Return the script that answers, or raise Problem when the provider refuses the request itself."""
        script = self._state.script(ask.model)
        if script.needs_key and not shape.has_key(connection.headers):
            raise shape.missing_key()
        shape.check_cap(ask, script)
        return self._state.take_script(ask.model)

    def _list_refused(
        self, connection: Connection, shape: Shape, body: bytes, unique: str, started_ns: int, problem: Problem
    ) -> None:
        """Put a refused request on the invoice, unbilled, with as much as can be read of it."""
        model, cap, is_stream = _what_can_be_read(body)
        call = OpenCall(
            id=shape.answer_id(unique),
            wire=shape.wire,
            model=model,
            at=_utc_text(started_ns),
            stream=is_stream,
            cap=cap,
            request_headers=_kept_headers(connection),
            rates=Rates(),
            generated=lambda: 0,
        )
        self._state.invoice.begin(call)
        self._state.invoice.end_unbilled(call.id, "error", problem.status)

    async def _count_tokens(self, connection: Connection, body: bytes) -> None:
        try:
            request = _parse(body)
            model = required(request, "model", str, Problem(400, "model: Field required"))
            messages = required(request, "messages", list, Problem(400, "messages: Field required"))
        except Problem as problem:
            await self._refuse(connection, ANTHROPIC, problem)
            return
        size_bytes = text_bytes(messages, request.get("system"), request.get("tools"))
        tokens = prompt_tokens(self._state.script(model), size_bytes)
        headers = [*ANTHROPIC.id_headers(f"req_{self._state.next_id()}"), JSON]
        await connection.respond(200, headers, compact({"input_tokens": tokens}))


def _loop_now_s() -> float:
    return asyncio.get_running_loop().time()


def _parse(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise Problem(400, "We could not parse the JSON body of your request.") from problem
    if not isinstance(value, dict):
        raise Problem(400, "The JSON body of a request must be an object.")
    return value


def _what_can_be_read(body: bytes) -> tuple[str, int | None, bool]:
    """Return model, cap and stream of a refused request, each neutral when it cannot be read."""
    try:
        request = _parse(body)
    except Problem:
        return "", None, False
    model, cap = request.get("model"), request.get("max_completion_tokens", request.get("max_tokens"))
    is_count = isinstance(cap, int) and not isinstance(cap, bool)
    return model if isinstance(model, str) else "", cap if is_count else None, request.get("stream") is True


def _shape_of(connection: Connection) -> Shape:
    """Return the wire in which to answer a path that both could have."""
    is_anthropic = connection.path.startswith("/v1/messages") or "anthropic-version" in connection.headers
    return ANTHROPIC if is_anthropic else OPENAI


def _open_call(connection: Connection, answer: Answer, generation: Generation, started_ns: int) -> OpenCall:
    ask = answer.ask
    return OpenCall(
        id=answer.id,
        wire=ask.wire,
        model=ask.model,
        at=_utc_text(started_ns),
        stream=ask.is_stream,
        cap=ask.cap_tokens,
        request_headers=_kept_headers(connection),
        rates=answer.script.rates,
        generated=lambda: generation.generated(_loop_now_s()) * ask.choices,
    )


def _kept_headers(connection: Connection) -> dict[str, str]:
    headers = connection.headers.items()
    return {name: value for name, value in headers if name.startswith("x-") and not name.startswith(NOT_KEPT)}


def _utc_text(now_ns: int) -> str:
    """Return an instant as ISO 8601 in UTC, to the microsecond."""
    seconds, rest_ns = divmod(now_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000).isoformat()


def _models(shape: Shape, names: list[str]) -> bytes:
    if shape.wire == "openai":
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in names]
        return compact({"object": "list", "data": data})
    entries = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
    ]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return compact({"data": entries, "has_more": False, **ends})
