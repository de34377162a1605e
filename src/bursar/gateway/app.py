"""The gateway's application: from a request to a Reply, and from a Reply to bytes.

Owns the outermost frame of a request, in which an unforeseen error becomes a plain 500 without a secret in it, and what
is looked at first. It knows no budget; the pipeline does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from bursar.actions.links import PATH as LINKS
from bursar.config.settings import Settings
from bursar.core.control import Role
from bursar.errors import BursarError, NotFound, StoreUnavailable
from bursar.gateway.admin.api import AdminApi
from bursar.gateway.alone import settle_in
from bursar.gateway.arrival import Arrival, Place, hint_of, place_of, query_of, refuse_foreign
from bursar.gateway.body import read_body
from bursar.gateway.calls import CallMaker
from bursar.gateway.doorkeeper import Doorkeeper
from bursar.gateway.exchange import Exchange, Receive, Send
from bursar.gateway.free import FreeRoutes
from bursar.gateway.health import Readiness, health, metrics
from bursar.gateway.links import BODY_BYTES_MAX as LINK_BODY_BYTES_MAX
from bursar.gateway.links import RunLinks
from bursar.gateway.protocol import IdleConnections
from bursar.gateway.relay import relay
from bursar.gateway.shares import RETRY_S, Shares
from bursar.identity.caller import Caller
from bursar.pipeline.call import Reply
from bursar.pipeline.refusals import harmless, refuse_store_down
from bursar.wire.base import Refusal, Wire
from bursar.wiring.engine import Engine

__all__ = ["App"]

log = logging.getLogger("bursar.gateway")

ADMIN = "/bursar/"
PAGES = frozenset({"/healthz", "/readyz", "/metrics"})
CLOSING_S = 5.0
"""How long a stop waits for calls that were cancelled at the end of the grace to settle."""
Scope = MutableMapping[str, Any]
_JSON = (("content-type", "application/json"),)
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "too_large",
    429: "contended",
    502: "upstream_failed",
    503: "store_unavailable",
}


class App:
    """One application: ASGI for the server's start and stop, `handle` for each request.

    It holds settings only (and so can be pickled) until its worker starts it.
    """

    def __init__(self, settings: Settings, *, is_alone: bool = False) -> None:
        """`is_alone`: its process serves and does nothing else, and is set up for that."""
        self.limits = settings.limits
        self._is_alone = is_alone
        self.idle = IdleConnections()
        self._engine = Engine(settings)
        self._door = Doorkeeper(settings, self._engine)
        self._admin = AdminApi(self._engine, settings)
        self._links = RunLinks(self._engine, settings)
        self._ready = Readiness(self._is_ready)
        self._calls = CallMaker(self._engine)
        self._free = FreeRoutes(self._engine, settings.limits)
        self._shares = Shares(settings.limits.calls_per_tenant_max)
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan", "requests come by `handle`"
        await self._lifespan(receive, send)

    async def _is_ready(self) -> bool:
        return await self._engine.scraper.probe()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._engine.start()
        except BursarError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        if self._is_alone:
            settle_in()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ready.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSING_S)
        await asyncio.to_thread(self._admin.close)
        await self._engine.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request, and let a stop wait for its end."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._exchange(exchange)
        finally:
            self._running.discard(task)
            if not (exchange.is_ended or exchange.is_gone):
                exchange.abort()

    async def _exchange(self, exchange: Exchange) -> None:
        """Be the outermost frame of one request."""
        place = place_of(exchange.method, exchange.path, exchange.headers, self._engine.choice.names)
        try:
            await self._serve(exchange, place)
        except BursarError as error:
            await relay(_refused(self._wire(exchange, place), error), exchange, self.limits)
        except asyncio.CancelledError:
            # The grace of a stop is over. What was sent stays counted: a client that tries again would pay twice.
            if not exchange.is_started:
                failure = Refusal(503, "stopping", "bursar is stopping; what may be billed of this call is counted")
                refused = self._wire(exchange, place).refusal(failure)
                await relay(Reply(503, (*_JSON, ("x-should-retry", "false")), refused), exchange, self.limits)
        except Exception:
            log.exception("unforeseen error")
            if not exchange.is_started:
                failure = Refusal(500, "internal", "bursar failed; the log of the gateway says more")
                reply = Reply(500, _JSON, self._wire(exchange, place).refusal(failure))
                await relay(reply, exchange, self.limits)

    def _wire(self, exchange: Exchange, place: Place | None) -> Wire:
        """Say in whose shape a client expects to be refused."""
        return self._engine.wires.wire(place.route.wire if place else hint_of(exchange.path, exchange.headers))

    async def _serve(self, exchange: Exchange, place: Place | None) -> None:
        """Answer one request: of the gateway itself, of its administration, or of a model API."""
        headers = exchange.headers
        page = await self._page(exchange) if exchange.path in PAGES else None
        if page is not None:
            await relay(page, exchange, self.limits)
            return
        if exchange.path.startswith(LINKS) and exchange.method in ("GET", "POST"):
            # Whoever has the link may: it is asked for before a key is.
            await relay(await self._decide(exchange), exchange, self.limits)
            return
        if exchange.path.startswith(ADMIN):
            await self._administer(exchange)
            return
        # Whoever has no credentials learns no more than that it needs some.
        caller = self._let_in(headers)
        if place is None:
            raise NotFound(f"bursar does not serve {exchange.method} {exchange.path[:200]}")
        self._door.admit(caller, Role.CALL)
        arrival = Arrival(place, headers, query_of(exchange.query, place.route), caller)
        self._shares.take(caller.tenant)
        try:
            await relay(await self._answer(arrival, exchange), exchange, self.limits)
        finally:
            self._shares.give_back(caller.tenant)

    async def _decide(self, exchange: Exchange) -> Reply:
        limits = replace(self.limits, body_bytes_max=min(LINK_BODY_BYTES_MAX, self.limits.body_bytes_max))
        body = await read_body(exchange, limits) if exchange.method == "POST" else b""
        return await self._links(exchange.method, exchange.path, body)

    def _let_in(self, headers: Mapping[str, str]) -> Caller:
        """Say who sends a request. Raises BadRequest, Unauthorized."""
        refuse_foreign(headers)
        return self._door.caller(headers)

    async def _administer(self, exchange: Exchange) -> None:
        try:
            caller = self._let_in(exchange.headers)
        except BursarError as error:
            await self._admin.refuse(error, exchange)
            return
        await self._admin(exchange, caller)

    async def _answer(self, arrival: Arrival, exchange: Exchange) -> Reply:
        body = await read_body(exchange, self.limits)
        if arrival.route.is_billable:
            return await self._engine.handle(await self._calls.call(arrival, body, exchange))
        return await self._free.answer(arrival, body)

    async def _page(self, exchange: Exchange) -> Reply | None:
        """Answer what watches the gateway itself; None for every other path."""
        path = exchange.path if exchange.method == "GET" else ""
        if path == "/healthz":
            return await health()
        if path == "/readyz":
            return await self._ready()
        if path == "/metrics":
            self._door.admit_scraper(exchange.headers)
            return await metrics(self._engine.scraper.page)
        return None


def _refused(wire: Wire, error: BursarError) -> Reply:
    if isinstance(error, StoreUnavailable):
        refusal = refuse_store_down(error)
    else:
        code = _CODES.get(error.status, "internal")
        refusal = Refusal(error.status, code, error.message, getattr(error, "param", None))
    again = (("retry-after", str(RETRY_S)),) if error.status == 429 else ()
    return Reply(error.status, (*_JSON, *again), wire.refusal(harmless(refusal)))
