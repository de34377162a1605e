"""From a request of a program to a Call, and from a refusal to a response.

Owns that step for the library's door: whose prices count, which budgets and labels the call gets, and what it is told
when it may not be made. From here on nobody looks at the program's request.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from bursar.client.exchange import Exchange
from bursar.client.homeward import tell_run
from bursar.client.recognise import COMPACT, Aimed
from bursar.client.refused import KEY, Refused, hear, refused_by
from bursar.client.scopes import Around, Scope
from bursar.core.labels import Labels
from bursar.core.provider import Deadlines, Provider
from bursar.core.run import RunAsk
from bursar.core.value import value
from bursar.errors import BadRequest
from bursar.identity.labels import is_label_header, labels_of
from bursar.ids import new_id
from bursar.pipeline.call import Call, Reply
from bursar.pipeline.ports import Upstream
from bursar.pipeline.refusals import harmless
from bursar.upstream.whose import configured_at, stand_in
from bursar.wire.base import Refusal, Request, Wire
from bursar.wire.bedrock_common import BEDROCK_HEADER, asked_by
from bursar.wire.signed import Signed, is_signed
from bursar.wiring.driving import Way
from bursar.wiring.local import TENANT, LocalEngine
from bursar.wiring.wires import Named

__all__ = ["CallMaker", "Metering", "base_of", "headers_of", "provider_at", "provider_of", "refuse"]

_YEAR_S = 366 * 86_400.0
_PATIENT = Deadlines(connect_s=_YEAR_S, first_byte_s=_YEAR_S, idle_s=_YEAR_S, total_s=_YEAR_S)
"""In a program its own client's time-outs count."""
_AT_AWS = re.compile(r"https://bedrock[a-z-]*\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)(?:/|\Z)")
"""Where AWS serves other makers' APIs as well: its own prices count there, which are not always theirs."""
_READ_HERE = frozenset({"authorization", "content-encoding", "originator", "transfer-encoding"})
ADDRESSES_MAX = 1_000
"""How many addresses are remembered with whose prices count there."""


@value
class Metering:
    """One call that is metered."""

    engine: LocalEngine
    call: Call
    exchange: Exchange
    around: Around

    def handle(self, upstream: Upstream, way: Way) -> Coroutine[Any, Any, Reply]:
        """Run the call through the stages."""
        return self.engine.handle(self.call, upstream, way)

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

    engine: LocalEngine
    aimed: Aimed
    around: Around
    base: str
    """The base URL that the request is below."""
    headers: Mapping[str, str]
    """Those of the request's headers that something reads, read once."""
    _wire: Wire | None = None
    _parsed: Request | None = None
    """The request, where it had to be read to know whether it asks a model."""

    def read(self, exchange: Exchange) -> None:
        """Read the request now. Raises BadRequest."""
        self._parsed = self._wire_of(exchange).parse(exchange.content)

    def metering(self, exchange: Exchange, *, is_interruptible: bool) -> Metering | Any:
        """Give the call, or the response that refuses what cannot be parsed or bounded."""
        headers, around, engine = self.headers, self.around, self.engine
        wire = self._wire_of(exchange)
        stopped = around.stopped
        if stopped is not None:
            identity = stopped.budget.identity if stopped.budget is not None else ""
            return self.refuse(exchange, wire, Refusal(402, "budget_exceeded", stopped.stopped, budget=identity))
        try:
            if headers.get("content-encoding", "identity") != "identity":
                raise BadRequest("encoded request bodies cannot be bounded: send the JSON as it is")
            request = self._parsed or wire.parse(exchange.content)
            provider = provider_at(engine, self.base, wire.name)
        except BadRequest as error:
            refusal = Refusal(error.status, "bad_request", error.message, error.param)
            return self.refuse(exchange, wire, refusal)
        spoken = wire if isinstance(wire, Signed) else engine.wires.spoken_by(wire, provider)
        labels = self._labels(headers, request, provider, spoken)
        call = Call(
            new_id(engine.clock()),
            TENANT,
            spoken,
            replace(request, takes_comments=False) if request.is_stream else request,
            provider,
            request.model,
            labels,
            exchange.request.url.path,
            {},
            headers.get("originator", "").lower(),
            budgets=around.budgets,
            is_interruptible=is_interruptible,
            parent_run=around.parent_run,
            run=self._run(labels["run"]),
        )
        return Metering(engine, call, exchange, around)

    def _wire_of(self, exchange: Exchange) -> Wire:
        """Give the wire that the request speaks; it is made once."""
        wire = self._wire
        if wire is None:
            wire = self._plain_wire(exchange, self.headers)
            if is_signed(self.headers.get("authorization", "")):
                wire = Signed(wire, exchange.content)
            self._wire = wire
        return wire

    def _plain_wire(self, exchange: Exchange, headers: Mapping[str, str]) -> Wire:
        route, names = self.aimed.route, self.aimed.names
        if self.aimed.is_bedrock:
            asked = asked_by(names["model"], headers, is_stream=route.is_stream)
            return self.engine.wires.bedrock(route.wire, asked)
        if route.path == COMPACT:
            return self.engine.wires.compact
        if "model" not in names:
            return self.engine.wires.wire(route.wire)
        query = dict(parse_qsl(exchange.request.url.query.decode("latin-1")))
        is_sse = query.get("alt") == "sse"
        return self.engine.wires.naming(
            Named(names["model"], names["version"], is_stream=route.is_stream, is_sse=is_sse)
        )

    def _labels(self, headers: Mapping[str, str], request: Request, provider: Provider, wire: Wire) -> Labels:
        """Label the call: what the program says with its scopes stands before what its client sends."""
        said = labels_of(headers, request.body_labels)
        pairs = {**said.pairs, **self.around.labels}
        pairs["provider"], pairs["model"], pairs["wire"] = provider.name, request.model, wire.name
        return Labels(pairs)

    def _run(self, run: str) -> RunAsk | None:
        """Tell the guards how many tools the program has used in this run, where it counts them."""
        if not self.engine.settings.guards:
            return None
        done = self.engine.tools.done(run)
        return RunAsk(run, tool_calls=done) if done else None

    def refuse(self, exchange: Exchange, wire: Wire, refusal: Refusal) -> Any:
        """Refuse a request for which there is no call."""
        return refuse(exchange, wire.refusal(harmless(refusal)), refusal, self.around.scopes)

    def unreadable(self, exchange: Exchange) -> Any:
        """Refuse a request whose body only its client could write."""
        refusal = Refusal(400, "bad_request", "a body that is a form, a file or an iterator cannot be bounded")
        return self.refuse(exchange, self._plain_wire(exchange, {}), refusal)

    @property
    def is_known(self) -> bool:
        """Tell whether a configured provider is where the request goes."""
        return self.base in self.engine.known_addresses


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


def headers_of(request: Any) -> dict[str, str]:
    """Read those headers that something reads as text, lower-case; of one that comes again the last counts."""
    found = {}
    for name, text in request.headers.raw:
        heard = _heard_as(name)
        if heard:
            found[heard] = text.decode("latin-1")
    return found


@lru_cache(maxsize=1_000)
def _heard_as(name: bytes) -> str:
    """Give a header's name in lower case; empty where nothing reads it."""
    lower = name.decode("latin-1").lower()
    is_heard = lower in _READ_HERE or is_label_header(lower) or lower.startswith(BEDROCK_HEADER)
    return lower if is_heard else ""


def base_of(request: Any, aimed: Aimed) -> str:
    """Give the base URL that a request is below."""
    url = request.url
    return f"{url.scheme}://{url.netloc.decode('ascii')}{aimed.prefix}".rstrip("/").lower()


def provider_at(engine: LocalEngine, base: str, wire: str) -> Provider:
    """Find whose prices count at an address: the configured provider that is there, else the wire's usual one.

    At an address that nobody configured nothing is known of its speed, and no key is sent there.
    """
    known = engine.addresses.get((base, wire))
    if known is None:
        if len(engine.addresses) >= ADDRESSES_MAX:
            engine.addresses.clear()
        known = engine.addresses[base, wire] = provider_of(engine.settings.providers, base, wire)
    return known


def provider_of(configured: Sequence[Provider], base: str, wire: str) -> Provider:
    """Find whose prices count at an address, among those that are configured; without one, who speaks this API.

    Raises BadRequest where nobody does.
    """
    found = configured_at(configured, base, wire)
    if found is None and _AT_AWS.match(base) is not None:
        found = Provider("bedrock", base, (wire,))
    return replace(found or stand_in(configured, base, wire), deadlines=_PATIENT)
