"""The gateway of one run: for the programs of the run alone, each of whose calls counts against the run's budget.

Owns what differs from the gateway that people start: a secret in its address instead of keys, the run's budgets and
labels on every call, and telling the run of refusals. It serves no administration, and calls count as the default
tenant's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import uvicorn

from bursar.config.settings import Settings
from bursar.core.control import Role
from bursar.core.labels import Labels
from bursar.gateway.app import App
from bursar.gateway.arrival import Arrival, Place, refuse_foreign
from bursar.gateway.calls import CallMaker
from bursar.gateway.exchange import Exchange
from bursar.gateway.server import make_config
from bursar.identity.caller import Caller
from bursar.pipeline.call import Call, Reply
from bursar.pipeline.refusals import SPENT
from bursar.wire.base import Refusal
from bursar.wiring.engine import Engine
from bursar.wiring.handed import REFUSED, SHORT, OpenScope, counted
from bursar.wiring.ledger import TENANT

__all__ = ["Private", "PrivateApp", "private_server"]

STOPS = frozenset({*SPENT, "price_unknown", "usage_limit_reached"})
"""Refusals after which asking again does not help."""
GRACE_S = 2.0
"""How long the calls of a run's last programs may take to settle once the run is over."""


@dataclass(frozen=True, slots=True)
class Private:
    """What makes a gateway a run's own."""

    secret: str
    """The first part of every path."""
    scopes: tuple[OpenScope, ...]
    """The open budgets, the outermost first."""
    providers: Mapping[str, str]
    """By API (`openai`, `anthropic`, `gemini`): the provider to ask."""
    tell: Callable[[str, str, str, int], None]
    """Called for each call that is refused for good, and each answer that is ended: which of both (`wiring/handed.py`),
    the words, and the identity of the budget, if it is one."""

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for scope in self.scopes:
            found.update(scope.labels)
        return found

    @property
    def parent_run(self) -> str:
        """Name the run inside which this one began; empty for none."""
        runs = list(dict.fromkeys(scope.labels["run"] for scope in self.scopes if "run" in scope.labels))
        return runs[-2] if len(runs) > 1 else ""

    def below(self, path: str) -> str | None:
        """Give a path below the secret; None where it is not there."""
        first, slash, rest = path[1:].partition("/")
        is_ours = secrets.compare_digest(first.encode("utf-8", "replace"), self.secret.encode())
        return f"/{rest}" if is_ours and slash else None


class PrivateApp(App):
    """The application of a run's gateway."""

    def __init__(self, settings: Settings, private: Private) -> None:
        super().__init__(settings)
        self._private = private
        self._engine.on_short = self._hear_short
        self._caller = Caller(TENANT, roles=frozenset({Role.CALL}))
        self._calls = _RunCalls(self._engine, private)

    async def handle(self, exchange: Exchange) -> None:
        """Answer a request below the run's own address; to everybody else nobody is here."""
        path = self._private.below(exchange.path)
        if path is None or _api(path) not in self._private.providers:
            exchange.respond(404, b"", b"")
            return
        exchange.path = path
        await super().handle(exchange)

    async def _serve(self, exchange: Exchange, place: Place | None) -> None:
        """Answer one request of a model API, by the provider that the run has for it."""
        if place is not None and not place.forced:
            place = replace(place, forced=self._private.providers[_api(exchange.path)])
        await super()._serve(exchange, place)

    def _let_in(self, headers: Mapping[str, str]) -> Caller:
        """Let in whoever knows the address."""
        refuse_foreign(headers)
        return self._caller

    async def _answer(self, arrival: Arrival, exchange: Exchange) -> Reply:
        reply = await super()._answer(arrival, exchange)
        if reply.refusal is not None and reply.refusal.code in STOPS:
            self._private.tell(REFUSED, reply.refusal.message, reply.refusal.budget, 0)
        return reply

    def _hear_short(self, _call: Call, refusal: Refusal, share_ns: int) -> None:
        self._private.tell(SHORT, refusal.message, refusal.budget, share_ns)


def _api(path: str) -> str:
    return path[1:].partition("/")[0]


class _RunCalls(CallMaker):
    """Makes calls that count against the run's budgets under its labels."""

    def __init__(self, engine: Engine, private: Private) -> None:
        super().__init__(engine)
        self._private = private
        self._budgets = counted(private.scopes)

    async def call(self, arrival: Arrival, body: bytes, exchange: Exchange) -> Call:
        """Make the call: what the run says of itself stands before what its programs send."""
        call = await super().call(arrival, body, exchange)
        labels: Any = {**call.labels.pairs, **self._private.labels}
        known = {name: call.labels.pairs[name] for name in ("provider", "model", "wire")}
        return replace(
            call,
            labels=Labels({**labels, **known}),
            budgets=self._budgets,
            parent_run=self._private.parent_run or call.parent_run,
        )


def private_server(settings: Settings, private: Private) -> uvicorn.Server:
    """Make the server of a run's gateway: `run` it in a thread with the socket that it shall take."""
    server = replace(settings.server, workers=1, grace_s=min(GRACE_S, settings.server.grace_s))
    config = make_config(replace(settings, server=server))
    config.app = PrivateApp(replace(settings, server=server), private)
    return uvicorn.Server(config)
