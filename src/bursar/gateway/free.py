"""Routes that cost nothing: models, token counts, and what a provider keeps of a tenant's own responses.

Owns which provider they go to, and that a response is shown to nobody but the tenant whose call it came from. What is
billable never passes here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bursar.config.settings import Limits
from bursar.core.provider import Provider
from bursar.errors import BadRequest, NotFound, TooLarge, UpstreamFailed
from bursar.gateway.arrival import Arrival
from bursar.gateway.body import parsed
from bursar.pipeline.call import Reply
from bursar.pipeline.earlier import answerer
from bursar.upstream.headers import authorize, down, up
from bursar.wire.fields import model_field
from bursar.wire.strict_json import dump, parse
from bursar.wiring.engine import Engine

__all__ = ["FreeRoutes"]


class FreeRoutes:
    """Relays what is free; what names a model goes where a call of that model would."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    async def answer(self, arrival: Arrival, body: bytes) -> Reply:
        """Relay one request. Raises NotFound, BadRequest and UpstreamFailed."""
        route, names = arrival.route, dict(arrival.place.names)
        asked = await self._asked(arrival, body)
        provider = await self._provider(arrival, names, asked)
        headers = {**up(arrival.headers, arrival.caller.secret), "content-type": "application/json"}
        headers = authorize(headers, provider, route.wire)
        path = route.upstream.format(**names) + arrival.query
        sent = b"" if asked is None else dump(asked)
        answer = await self._engine.upstream.send(provider, route.method, path, headers, sent)
        is_whole = False
        try:
            told = await answer.body(self._limits.answer_bytes_max)
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

    async def _asked(self, arrival: Arrival, body: bytes) -> dict[str, Any] | None:
        """Parse the body of what has one, so that nobody reads another than the one that was looked at."""
        if arrival.route.method != "POST" or arrival.route.is_owned:
            return None
        return await parsed(partial(parse, size_max=self._limits.body_bytes_max), body)

    async def _provider(self, arrival: Arrival, names: dict[str, str], asked: dict[str, Any] | None) -> Provider:
        """Pick the provider, and write the model as that one knows it."""
        route, choice, forced = arrival.route, self._engine.choice, arrival.place.forced
        if route.is_owned:
            return await self._owner(arrival.caller.tenant, names["id"], route.wire)
        if "model" in names:
            provider, names["model"] = choice.choose(route.wire, names["model"], forced)
            return provider
        if asked is None:
            return choice.first(route.wire, forced)
        provider, asked["model"] = choice.choose(route.wire, model_field(asked), forced)
        return provider

    async def _owner(self, tenant: str, response_id: str, wire: str) -> Provider:
        row = await self._engine.store.response(tenant, response_id)
        if row is None:
            raise NotFound(f"no response {response_id} of yours is known here")
        try:
            return self._engine.choice.named(answerer(row), wire)
        except BadRequest as error:
            raise NotFound(f"the provider of response {response_id} is no longer configured") from error
