"""The admin API as one ASGI application below `/bursar/`.

Owns the way of a request from its path to its answer: found, allowed, read, done, answered as JSON. Who is asking has
been found out before. No error of a database and no trace of a bug stands in an answer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from bursar.config.settings import Limits, Settings
from bursar.errors import BursarError, ConfigError, NotFound, StoreUnavailable
from bursar.gateway.admin.asking import BODY_BYTES_MAX, read_json, read_query
from bursar.gateway.admin.desk import Answer, Asked, Desk
from bursar.gateway.admin.openapi import document
from bursar.gateway.admin.rights import NEEDS, authorise, tenant_of
from bursar.gateway.admin.routes import PREFIX, Operation, operations
from bursar.gateway.admin.system import LiveViews
from bursar.gateway.exchange import Exchange, Receive, Send
from bursar.identity.caller import Caller
from bursar.wiring.engine import Engine

__all__ = ["AdminApi"]

log = logging.getLogger("bursar.admin")

Scope = MutableMapping[str, Any]
PRIVATE = {"cache-control": "private, no-store", "vary": "authorization, x-api-key, x-bursar-key"}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    503: "store_unavailable",
}
_CALLER = "bursar.caller"
_EXCHANGE = "bursar.exchange"
NAME_LENGTH_MAX = 300


class AdminApi:
    """Answers every path that begins with `/bursar/`. `close()` when the gateway stops.

    It holds settings only (and so can be pickled) until the first request.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._desk: Desk | None = None
        self._router: Router | None = None

    async def __call__(self, exchange: Exchange, caller: Caller) -> None:
        """Answer one request of a caller that has been let in."""
        scope, receive, send = exchange.asgi()
        try:
            await self._opened()({**scope, _CALLER: caller, _EXCHANGE: exchange}, receive, send)
        except BursarError as error:
            await self.refuse(error, exchange)

    async def refuse(self, error: BursarError, exchange: Exchange) -> None:
        """Say what is wrong with a request, whoever found it."""
        await _error(error)(*exchange.asgi())

    def close(self) -> None:
        """Wait for the reports that run, and let go of the ledger's file. Blocks; harmless when nothing was asked."""
        if self._desk is not None:
            self._desk.readers.close()

    def _opened(self) -> Router:
        if self._router is None:
            desk = self._desk = Desk(self._engine, self._settings)
            self._router = _router(desk, operations(_Document(), LiveViews()))
        return self._router


class _Document:
    """The OpenAPI document, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: Answer | None = None

    async def __call__(self, desk: Desk, asked: Asked[None, None]) -> Answer:
        if self._made is None:
            self._made = document(operations(self, LiveViews()))
        return self._made


def _router(desk: Desk, table: Sequence[Operation]) -> Router:
    assert {(each.method, each.path) for each in table} == NEEDS.keys()
    limits = desk.settings.limits
    limits = replace(limits, body_bytes_max=min(BODY_BYTES_MAX, limits.body_bytes_max))
    by_path: dict[str, dict[str, Operation]] = {}
    for each in table:
        by_path.setdefault(each.path, {})[each.method] = each
    routes = [Route(PREFIX + _pattern(path), _Resource(desk, methods, limits)) for path, methods in by_path.items()]
    return Router(sorted(routes, key=_rank), redirect_slashes=False, default=_unknown)


class _Resource:
    """One path, as Starlette calls it."""

    def __init__(self, desk: Desk, methods: Mapping[str, Operation], limits: Limits) -> None:
        self._desk = desk
        self._methods = methods
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._methods.get(scope["method"])
        if operation is None:
            answer = _refused(405, f"there is no {scope['method'][:20]} here")
            answer.headers["allow"] = ", ".join(sorted(self._methods))
        else:
            answer = await self._answer(operation, scope)
        await answer(scope, receive, send)

    async def _answer(self, operation: Operation, scope: Scope) -> Response:
        """Do what is asked. What may not be done is refused before anything of the request is read but its path."""
        caller: Caller = scope[_CALLER]
        exchange: Exchange = scope[_EXCHANGE]
        authorise(caller, operation.need)
        query: Any = read_query(scope["query_string"], operation.query)
        tenant = tenant_of(caller, operation.tenancy, getattr(query, "tenant", ""))
        names: dict[str, str] = scope["path_params"]
        if any(not 0 < len(name) <= NAME_LENGTH_MAX for name in names.values()):
            raise NotFound("there is nothing of this name")
        body = None
        if operation.body is not None:
            body = await read_json(operation.body, exchange, self._limits)
        asked: Asked[Any, Any] = Asked(caller, tenant, names, query, body, exchange.headers)
        return _json(await operation.handler(self._desk, asked), operation.status)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound(f"bursar does not serve {scope['method'][:20]} {scope['path'][:200]}")


def _pattern(path: str) -> str:
    """Write a path as Starlette does. Names of budgets, models and runs may hold slashes."""
    return re.sub(r"\{(name|model|run)\}", r"{\1:path}", path)


def _rank(route: BaseRoute) -> tuple[bool, int, int]:
    """Try paths without names before those with some, and longer ones first: names may hold slashes."""
    path = route.path if isinstance(route, Route) else ""
    return (":path}" in path, path.count("{"), -len(path))


def _json(answer: Answer, status: int) -> Response:
    return Response(msgspec.json.encode(answer), status, PRIVATE, "application/json")


def _refused(status: int, message: str, param: str | None = None) -> Response:
    return _json({"error": {"code": _CODES.get(status, "refused"), "message": message, "param": param}}, status)


def _error(error: BursarError) -> Response:
    """Say what went wrong, in words that tell nothing of files or databases."""
    if isinstance(error, StoreUnavailable):
        log.error("%s", error.message)
        return _refused(503, "the ledger cannot be read or written now; the log of the gateway says more")
    if isinstance(error, ConfigError):
        log.error("%s", error.message)
        return _refused(503, "the gateway is not set up for this; its log says more")
    return _refused(error.status, error.message, getattr(error, "param", None))
