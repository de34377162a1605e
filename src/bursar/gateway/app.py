"""The gateway's ASGI application: from a request's bytes to a Call, and from a Reply to bytes.

Owns the edge: what is read of a request, within which limits, and the outermost frame in which an unforeseen error
becomes a plain 500 without a secret in it. It knows no budget; the pipeline does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from bursar.config.settings import Settings
from bursar.core.labels import Labels
from bursar.core.provider import Provider
from bursar.errors import BadRequest, BursarError, NotFound, TooLarge, UpstreamFailed
from bursar.gateway.protocol import IdleConnections
from bursar.gateway.relay import Receive, Send, relay
from bursar.gateway.routes import Route, find_route
from bursar.identity.labels import labels_of
from bursar.ids import new_id
from bursar.pipeline.call import Call, Reply
from bursar.pipeline.refusals import harmless
from bursar.upstream.headers import down, up
from bursar.wire.base import Refusal, Request, Wire
from bursar.wire.fields import model_field
from bursar.wire.strict_json import dump, parse
from bursar.wiring.engine import Engine
from bursar.wiring.ledger import TENANT

__all__ = ["App"]

log = logging.getLogger("bursar.gateway")

QUERY_FIELDS_MAX = 20
PARSED_AT_ONCE_BYTES = 2**18
CLOSING_S = 5.0
"""How long a stop waits for calls that were cancelled at the end of the grace to settle."""
Scope = MutableMapping[str, Any]
T = TypeVar("T")
_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it arrived, before its body was read."""

    route: Route
    wire: Wire
    headers: dict[str, str]
    query: str


class App:
    """One ASGI application. It holds settings only (and so can be pickled) until its worker starts it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.limits = settings.limits
        self.idle = IdleConnections()
        self._engine = Engine(settings)
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._engine.start()
        except BursarError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSING_S)
        await self._engine.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and let a stop wait for its end."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._exchange(scope, receive, send)
        finally:
            self._running.discard(task)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the outermost frame of one request."""
        wire = self._engine.wire("openai.chat")
        has_started = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            headers = _headers(scope)
            hint = "anthropic.messages" if "anthropic-version" in headers else "openai.chat"
            wire = self._engine.wire(hint)
            arrival = self._arrive(scope, headers, hint)
            wire = arrival.wire
            reply = await self._answer(arrival, receive)
            await relay(reply, receive, sending, self.limits)
        except BursarError as error:
            await relay(_refused(wire, error), receive, sending, self.limits)
        except asyncio.CancelledError:
            # The grace of a stop is over. What was sent stays counted: a client that tries again would pay twice.
            if not has_started:
                failure = Refusal(503, "stopping", "bursar is stopping; what may be billed of this call is counted")
                reply = Reply(503, (*_JSON, ("x-should-retry", "false")), wire.refusal(failure))
                await relay(reply, receive, sending, self.limits)
        except Exception:
            log.exception("unforeseen error")
            if has_started:
                raise
            failure = Refusal(500, "internal", "bursar failed; the log of the gateway says more")
            reply = Reply(500, _JSON, wire.refusal(failure))
            await relay(reply, receive, sending, self.limits)

    def _arrive(self, scope: Scope, headers: dict[str, str], hint: str) -> Arrival:
        route = find_route(scope["method"], scope["path"], hint)
        if route is None:
            raise NotFound(f"bursar does not serve {scope['method']} {scope['path'][:200]}")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise BadRequest("encoded request bodies are not accepted: send the JSON as it is")
        if not _is_local(headers.get("origin")):
            raise BadRequest("requests from web pages are not accepted: any page could spend in your name")
        pairs = _query(scope["query_string"])
        unknown = next((name for name, _ in pairs if name not in route.query), None)
        if unknown is not None:
            raise BadRequest(f"the query parameter {unknown[:50]!r} is not accepted here", param=unknown[:50])
        return Arrival(route, self._engine.wire(route.wire), headers, f"?{urlencode(pairs)}" if pairs else "")

    async def _answer(self, arrival: Arrival, receive: Receive) -> Reply:
        body = await self._body(arrival.headers, receive)
        if arrival.route.is_billable:
            # Parsed once: from here on nobody looks at bytes.
            request = await _parsed(arrival.wire.parse, body)
            return await self._engine.handle(self._call(arrival, request, receive))
        return await self._free(arrival, body)

    def _call(self, arrival: Arrival, request: Request, receive: Receive) -> Call:
        provider, model = self._engine.choice.choose(arrival.wire.name, request.model)
        labels = labels_of(arrival.headers, request.body_labels)
        labels = Labels({**labels.pairs, "provider": provider.name, "model": model, "wire": arrival.wire.name})
        return Call(
            new_id(self._engine.clock()),
            TENANT,
            self._engine.wire(arrival.wire.name, provider),
            request,
            provider,
            model,
            labels,
            arrival.route.upstream + arrival.query,
            _upstream_headers(arrival, provider.api_key),
            arrival.headers.get("originator", "").lower(),
            _Presence(receive).is_gone,
        )

    async def _free(self, arrival: Arrival, body: bytes) -> Reply:
        """Relay a route that costs nothing; what names a model goes where a call of that model would."""
        provider, body = await self._free_choice(arrival, body)
        headers = _upstream_headers(arrival, provider.api_key)
        path = arrival.route.upstream + arrival.query
        answer = await self._engine.upstream.send(provider, arrival.route.method, path, headers, body)
        is_whole = False
        try:
            told = await answer.body(self.limits.answer_bytes_max)
            is_whole = True
        except TooLarge as error:
            raise UpstreamFailed(error.message, is_sent=True) from error
        finally:
            if is_whole:
                answer.finish()
            else:
                answer.abort()
        if 300 <= answer.status < 400:
            raise UpstreamFailed(f"{provider.name} answered with a redirect, which is not followed", is_sent=True)
        return Reply(answer.status, tuple(down(answer.headers)), told)

    async def _free_choice(self, arrival: Arrival, body: bytes) -> tuple[Provider, bytes]:
        """Pick the provider of a free route, and write its body anew so that nobody reads another one."""
        if arrival.route.method == "GET":
            return self._engine.choice.first(arrival.route.wire), b""
        asked = await _parsed(partial(parse, size_max=self.limits.body_bytes_max), body)
        provider, asked["model"] = self._engine.choice.choose(arrival.route.wire, model_field(asked))
        return provider, dump(asked)

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        """Read the request's body within its limits of size and time."""
        most = self.limits.body_bytes_max
        if int(headers.get("content-length") or 0) > most:
            raise TooLarge(f"a request body may have {most:,} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise BadRequest("the client went away before its request was complete")
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise TooLarge(f"a request body may have {most:,} bytes")
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise BadRequest("the request's body did not arrive in time") from None


class _Presence:
    """Whether the client is still there; it is watched only from the first question on."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Task[MutableMapping[str, Any]] | None = None

    def is_gone(self) -> bool:
        if self._watch is None:
            self._watch = asyncio.ensure_future(_next_message(self._receive))
        return self._watch.done() and not self._watch.cancelled()


async def _next_message(receive: Receive) -> MutableMapping[str, Any]:
    return await receive()


def _headers(scope: Scope) -> dict[str, str]:
    """Read the headers as text, lower-case; one that comes more than once is joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _parsed(read: Callable[[bytes], T], body: bytes) -> T:
    """Parse a body; a large one in a thread of its own, since it can take seconds and others are waiting."""
    return read(body) if len(body) <= PARSED_AT_ONCE_BYTES else await asyncio.to_thread(read, body)


def _query(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise BadRequest(f"a query may have {QUERY_FIELDS_MAX} fields") from None


def _is_local(origin: str | None) -> bool:
    """Tell whether a request comes from a program (no origin), or from a page that this machine serves."""
    if origin is None:
        return True
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _upstream_headers(arrival: Arrival, api_key: str) -> dict[str, str]:
    headers = up(arrival.headers)
    headers["content-type"] = "application/json"
    if api_key:
        # Whose key it is decides who pays: neither a key nor an organization of the client's may stand beside it.
        for name in ("authorization", "x-api-key", "openai-organization", "openai-project"):
            headers.pop(name, None)
        name, value = (
            ("x-api-key", api_key)
            if arrival.route.wire.startswith("anthropic")
            else ("authorization", f"Bearer {api_key}")
        )
        headers[name] = value
    return headers


def _refused(wire: Wire, error: BursarError) -> Reply:
    codes = {400: "bad_request", 404: "not_found", 413: "too_large", 502: "upstream_failed", 503: "store_unavailable"}
    refusal = Refusal(error.status, codes.get(error.status, "internal"), error.message, getattr(error, "param", None))
    return Reply(error.status, _JSON, wire.refusal(harmless(refusal)))
