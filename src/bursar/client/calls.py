"""From a request of a program to a Call, and from a refusal to a response.

Owns that step for the library's door: whose prices count, which budgets and labels the call gets, and what it is told
when it may not be made. From here on nobody looks at the program's request.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from bursar.client.exchange import Exchange
from bursar.client.homeward import tell_run
from bursar.client.places import Place, provider_at
from bursar.client.refused import KEY, Refused, hear, refused_by
from bursar.client.scopes import Around, Scope
from bursar.core.labels import Labels
from bursar.core.run import RunAsk
from bursar.core.value import value
from bursar.errors import BadRequest
from bursar.identity.labels import labels_of
from bursar.ids import new_id
from bursar.pipeline.call import Call, Reply
from bursar.pipeline.ports import Upstream
from bursar.pipeline.refusals import harmless
from bursar.wire.base import Refusal, Request, Wire
from bursar.wire.bedrock_common import asked_by
from bursar.wire.signed import Signed, is_signed
from bursar.wiring.driving import Way
from bursar.wiring.local import TENANT, LocalEngine
from bursar.wiring.wires import Named

__all__ = ["CallMaker", "Metering", "refuse", "wire_of"]


@value
class Metering:
    """One call that is metered."""

    engine: LocalEngine
    call: Call
    exchange: Exchange
    around: Around

    def handle(self, upstream: Upstream, way: Way) -> Coroutine[Any, Any, Reply]:
        """Run the call through the stages, once it is awaited, and send it by `upstream`."""
        return self.engine.handle(replace(self.call, upstream=upstream), way)

    @property
    def failure(self) -> Exception | None:
        return self.exchange.failure

    def adopt(self, ending: Coroutine[Any, Any, None]) -> None:
        """Let the engine's own thread end a stream that nobody reads any more."""
        self.engine.adopt(ending)

    def uncode(self, response: Any) -> None:
        """Give a stream as it is read: what may be cut or left out of it cannot stay inside an encoding."""
        if response.headers.get("content-encoding"):
            del response.headers["content-encoding"]

    def refused(self, reply: Reply) -> Any:
        """Make the response of a refusal."""
        assert reply.refusal is not None and isinstance(reply.body, bytes)
        return told(self.exchange, reply, refused_by(reply.refusal, self.around.scopes))


@dataclass(slots=True)
class CallMaker:
    """Makes the call of one request."""

    place: Place
    around: Around
    headers: Mapping[str, str]
    """Those of the request's headers that something reads, read once."""
    wire: Wire
    """The one that the request speaks."""
    parsed: Request | None = None
    """The request, where it had to be read to know whether it asks a model."""

    def metering(
        self, exchange: Exchange, *, is_interruptible: bool, upstream: Upstream | None = None
    ) -> Metering | Any:
        """Give the call, or the response that refuses what cannot be parsed or bounded."""
        place, headers, around = self.place, self.headers, self.around
        wire = self.wire
        for scope in around.scopes:
            if scope.stopped:
                return self._stopped(exchange, wire, scope)
        try:
            if headers and headers.get("content-encoding", "identity") != "identity":
                raise BadRequest("encoded request bodies cannot be bounded: send the JSON as it is")
            request = self.parsed or wire.parse(exchange.content)
            provider, spoken = place.provider, place.spoken
            if provider is None or spoken is None or wire is not place.wire:
                provider = provider_at(place.engine, place.base, wire.name)
                spoken = wire if isinstance(wire, Signed) else place.engine.wires.spoken_by(wire, provider)
        except BadRequest as error:
            refusal = Refusal(error.status, "bad_request", error.message, error.param)
            return self.refuse(exchange, wire, refusal)
        labels = around.labels_of(provider.name, request.model, spoken.name)
        if headers or request.body_labels:
            labels = self._labels(request, labels)
        engine = place.engine
        call = Call(
            new_id(engine.clock()),
            TENANT,
            spoken,
            replace(request, takes_comments=False) if request.is_stream else request,
            provider,
            request.model,
            labels,
            place.path,
            {},
            headers.get("originator", "").lower() if headers else "",
            budgets=around.budgets,
            is_interruptible=is_interruptible,
            parent_run=around.parent_run,
            run=self._run(labels["run"]) if place.is_guarded else None,
            upstream=upstream,
        )
        return Metering(engine, call, exchange, around)

    def _stopped(self, exchange: Exchange, wire: Wire, scope: Scope) -> Any:
        """Refuse a call inside a scope in which no call is let through any more."""
        identity = scope.budget.identity if scope.budget is not None else ""
        return self.refuse(exchange, wire, Refusal(402, "budget_exceeded", scope.stopped, budget=identity))

    def _labels(self, request: Request, own: Labels) -> Labels:
        """Label a call whose request says something: what the program says with its scopes stands before that."""
        said = labels_of(self.headers, request.body_labels)
        return Labels({**said.pairs, **own.pairs}) if said.pairs else own

    def _run(self, run: str) -> RunAsk | None:
        """Tell the guards how many tools the program has used in this run, where it counts them."""
        done = self.place.engine.tools.done(run)
        return RunAsk(run, tool_calls=done) if done else None

    def refuse(self, exchange: Exchange, wire: Wire, refusal: Refusal) -> Any:
        """Refuse a request for which there is no call."""
        return refuse(exchange, wire.refusal(harmless(refusal)), refusal, self.around.scopes)

    def unreadable(self, exchange: Exchange) -> Any:
        """Refuse a request whose body only its client could write."""
        refusal = Refusal(400, "bad_request", "a body that is a form, a file or an iterator cannot be bounded")
        return self.refuse(exchange, self.wire, refusal)


def wire_of(place: Place, exchange: Exchange, headers: Mapping[str, str]) -> Wire:
    """Give the wire that a request speaks, about which it itself says more than its address does."""
    wire = place.wire or _said_wire(place, exchange.request.url, headers)
    return Signed(wire, exchange.content) if is_signed(headers.get("authorization", "")) else wire


def _said_wire(place: Place, url: Any, headers: Mapping[str, str]) -> Wire:
    wires, route, names = place.engine.wires, place.aimed.route, place.aimed.names
    if place.aimed.is_bedrock:
        return wires.bedrock(route.wire, asked_by(names["model"], headers, is_stream=route.is_stream))
    is_sse = dict(parse_qsl(url.query.decode("latin-1"))).get("alt") == "sse"
    return wires.naming(Named(names["model"], names["version"], is_stream=route.is_stream, is_sse=is_sse))


def refuse(exchange: Exchange, body: bytes, refusal: Refusal, scopes: tuple[Scope, ...]) -> Any:
    """Make the response of a refusal for which there is no call."""
    headers = (("x-should-retry", "false"), ("content-type", "application/json"))
    return told(exchange, Reply(refusal.status, headers, body, refusal), refused_by(refusal, scopes))


def told(exchange: Exchange, reply: Reply, refused: Refused) -> Any:
    """Make a response that says no; its extensions carry why, for whoever makes an error of it."""
    if refused.is_stop:
        tell_run(refused.message, refused.own)
    hear(refused)
    return exchange.kit.response(
        reply.status,
        headers=list(reply.headers),
        content=reply.body,
        request=exchange.request,
        extensions={KEY: refused},
    )
