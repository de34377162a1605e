"""From a request to a Call: parsed once, labelled, and sent on its way to a provider.

Owns that step. From here on nobody looks at a client's bytes.
"""

from __future__ import annotations

from bursar.core.labels import Labels
from bursar.core.provider import Provider
from bursar.gateway.arrival import Arrival
from bursar.gateway.body import parsed
from bursar.gateway.exchange import Exchange
from bursar.gateway.routes import COMPACT
from bursar.identity.labels import labels_of
from bursar.identity.runs import parent_run
from bursar.ids import new_id
from bursar.pipeline.call import Call, Target
from bursar.upstream.headers import up
from bursar.wire.base import Request, Wire
from bursar.wiring.engine import Engine
from bursar.wiring.wires import Named

__all__ = ["CallMaker"]


class CallMaker:
    """Makes calls for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def call(self, arrival: Arrival, body: bytes, exchange: Exchange) -> Call:
        """Make the call of a billable request. Raises BadRequest for what cannot be parsed or bounded."""
        wire = self._wire(arrival)
        request = await parsed(wire.parse, body)
        provider, model = self._engine.choice.choose(wire.name, request.model, arrival.place.forced)
        target = self._target(arrival, wire, provider, model)
        others = self._engine.choice.fallbacks(provider, wire.name, model)
        return Call(
            new_id(self._engine.clock()),
            arrival.caller.tenant,
            target.wire,
            request,
            provider,
            model,
            _labels(arrival, request, target),
            target.path,
            {**up(arrival.headers, arrival.caller.secret), "content-type": "application/json"},
            arrival.headers.get("originator", "").lower(),
            lambda: exchange.is_gone,
            fallbacks=tuple(self._target(arrival, wire, *other) for other in others),
            parent_run=parent_run(arrival.headers, arrival.caller),
        )

    def _wire(self, arrival: Arrival) -> Wire:
        """Give the wire that reads this request; of one that names model and stream in its path, a new one."""
        route, names = arrival.route, arrival.place.names
        if route.path == COMPACT:
            return self._engine.wires.compact
        if "model" not in names:
            return self._engine.wires.wire(route.wire)
        is_sse = dict(arrival.pairs).get("alt") == "sse"
        named = Named(names["model"], names["version"], is_stream=route.is_stream, is_sse=is_sse)
        return self._engine.wires.naming(named)

    def _target(self, arrival: Arrival, wire: Wire, provider: Provider, model: str) -> Target:
        spoken = self._engine.wires.spoken_by(wire, provider)
        # A path that names model and kind of answer is written anew by its wire, query and all.
        query = "" if "model" in arrival.place.names else arrival.query
        return Target(provider, model, spoken, spoken.path(model) + query)


def _labels(arrival: Arrival, request: Request, target: Target) -> Labels:
    said = arrival.caller.labelled(labels_of(arrival.headers, request.body_labels))
    return Labels({**said.pairs, "provider": target.provider.name, "model": target.model, "wire": target.wire.name})
