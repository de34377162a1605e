"""The provider as an ASGI application: refusals, and the start of every call.

Owns that every request is counted before it is answered, and which of its parts answers. It must never write a wire's
JSON itself nor decide a bill.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bursar.testing.provider.answer import Answer, Ask, plan
from bursar.testing.provider.connection import BodyTooLarge, Connection, Receive, Scope, Send
from bursar.testing.provider.control import control
from bursar.testing.provider.delivery import Delivery
from bursar.testing.provider.free import count_body, model_body, models_body, stored_body
from bursar.testing.provider.generation import Generation
from bursar.testing.provider.invoice import OpenCall
from bursar.testing.provider.responses_kept import KeptResponses
from bursar.testing.provider.responses_object import response_object
from bursar.testing.provider.routes import Route, find
from bursar.testing.provider.script import Rates, Script
from bursar.testing.provider.shape import Problem, compact
from bursar.testing.provider.state import State

__all__ = ["ProviderApp"]

JSON = (b"content-type", b"application/json")
NOT_KEPT = ("x-api-key", "x-goog-api-key", "x-stainless-", "x-amz-security-token")
"""Prefixes of headers that do not go on the invoice: keys, and the noise of SDKs."""
CAP_NAMES = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens")
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request to generate, as it arrived. `started_s` is the loop's time."""

    connection: Connection
    route: Route
    body: bytes
    unique: str
    started_ns: int
    started_s: float


class ProviderApp:
    """Answer as the scripts say."""

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        """Begin with `scripts` by model."""
        self._state = State(scripts or {})
        self._kept = KeptResponses(self._state.invoice)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served, not {scope['type']}")
        connection = Connection(scope, receive, send)
        try:
            body = await connection.body()
        except BodyTooLarge:
            route = find(connection)
            await self._refuse(connection, route, route.shape.scripted_error(413))
            return
        if body is None:
            return
        if connection.path.startswith("/_"):
            await control(self._state, connection, body)
            return
        self._state.record(connection, body)
        await self._serve(connection, body)

    async def _serve(self, connection: Connection, body: bytes) -> None:
        route = find(connection)
        if route.action == "generate":
            await self._generate(Arrival(connection, route, body, self._state.next_id(), time.time_ns(), _loop_now_s()))
            return
        try:
            answer = self._free(connection, route, body)
        except Problem as problem:
            await self._refuse(connection, route, problem)
            return
        headers = [*route.shape.id_headers(f"req_{self._state.next_id()}"), JSON]
        await connection.respond(200, headers, answer)

    def _free(self, connection: Connection, route: Route, body: bytes) -> bytes:
        """Return the answer to a request that costs nothing. Raises Problem when it is refused."""
        wire = route.shape.wire
        if route.action == "models":
            return models_body(wire, {name: self._state.script(name) for name in self._state.models})
        if route.action == "model":
            name = str(route.fields["model"])
            return model_body(wire, name, self._state.script(name))
        if route.action == "count":
            return count_body(wire, {**_parse(body), **route.fields}, self._state.script)
        if route.action == "unknown":
            is_openai = wire not in ("anthropic", "gemini", "bedrock")
            text = f"Invalid URL ({connection.method} {connection.path})" if is_openai else "Not found"
            raise Problem(404, text)
        return stored_body(self._kept, route, connection.headers, _loop_now_s())

    async def _refuse(self, connection: Connection, route: Route, problem: Problem) -> None:
        request_id = f"req_{self._state.next_id()}"
        headers = [*route.shape.id_headers(request_id), JSON]
        await connection.respond(problem.status, headers, route.shape.error(problem, request_id))

    async def _generate(self, arrival: Arrival) -> None:
        shape = arrival.route.shape
        try:
            ask, script = self._admit(arrival)
        except Problem as problem:
            self._list_refused(arrival, problem)
            await self._refuse(arrival.connection, arrival.route, problem)
            return
        answer = plan(ask, script, shape.answer_id(arrival.unique), arrival.started_ns // NS_PER_S)
        first_byte_s = script.fault_after_s if script.fault == "slow" else script.first_byte_s
        pace = (first_byte_s, script.tokens_per_s)
        generation = Generation(arrival.started_s, *pace, answer.total_tokens, answer.stop_tokens)
        self._state.invoice.begin(_open_call(arrival, answer, generation))
        on_end = self._kept.begin(answer, generation, len(arrival.body))
        if ask.is_background and script.fault not in ("status", "reset_before"):
            await self._begin_background(arrival, answer)
            return
        delivery = Delivery(shape, answer, generation, self._state.invoice, on_end)
        await delivery.run(arrival.connection, f"req_{arrival.unique}")

    async def _begin_background(self, arrival: Arrival, answer: Answer) -> None:
        """Let a response run on its own, and say that it is queued."""
        self._kept.run(answer)
        headers = [*arrival.route.shape.id_headers(f"req_{arrival.unique}"), JSON]
        await arrival.connection.respond(200, headers, compact(response_object(answer, "queued")))

    def _admit(self, arrival: Arrival) -> tuple[Ask, Script]:
        """Return the request and the script that answers it, or raise Problem when the provider refuses it itself."""
        shape = arrival.route.shape
        ask = shape.ask({**_parse(arrival.body), **arrival.route.fields})
        script = self._state.script(ask.model)
        if script.needs_key and not shape.has_key(arrival.connection.headers):
            raise shape.missing_key()
        shape.check_cap(ask, script)
        return self._kept.with_prior(ask), self._state.take_script(ask.model)

    def _list_refused(self, arrival: Arrival, problem: Problem) -> None:
        """Put a refused request on the invoice, unbilled, with as much as can be read of it."""
        shape = arrival.route.shape
        model, cap, is_stream = _what_can_be_read(arrival)
        call = OpenCall(
            id=shape.answer_id(arrival.unique),
            wire=shape.wire,
            model=model,
            at=_utc_text(arrival.started_ns),
            stream=is_stream,
            cap=cap,
            request_headers=_kept_headers(arrival.connection),
            rates=Rates(),
            generated=lambda: 0,
        )
        self._state.invoice.begin(call)
        self._state.invoice.end_unbilled(call.id, "error", problem.status)


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


def _what_can_be_read(arrival: Arrival) -> tuple[str, int | None, bool]:
    """Return model, cap and stream of a refused request, each neutral when it cannot be read."""
    request = dict(arrival.route.fields)
    with contextlib.suppress(Problem):
        request = {**_parse(arrival.body), **request}
    config = request.get("generationConfig") or request.get("inferenceConfig")
    places = {**config, **request} if isinstance(config, dict) else request
    model, caps = request.get("model"), [places[name] for name in CAP_NAMES if name in places]
    cap = caps[0] if caps and isinstance(caps[0], int) and not isinstance(caps[0], bool) else None
    return model if isinstance(model, str) else "", cap, request.get("stream") is True


def _open_call(arrival: Arrival, answer: Answer, generation: Generation) -> OpenCall:
    ask = answer.ask
    return OpenCall(
        id=answer.id,
        wire=ask.wire,
        model=ask.model,
        at=_utc_text(arrival.started_ns),
        stream=ask.is_stream,
        cap=ask.cap_tokens,
        request_headers=_kept_headers(arrival.connection),
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
