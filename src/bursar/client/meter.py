"""Whether a request is metered, at the moment at which it is sent.

Owns that decision. A request that asks no model API, and one that no budget is about, passes as if nobody were here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bursar.client import awaiting, blocking
from bursar.client.awaiting import way_here
from bursar.client.calls import CallMaker, refuse, wire_of
from bursar.client.decoding import decode_within
from bursar.client.exchange import Exchange
from bursar.client.handing import handed_on
from bursar.client.heads import headers_of
from bursar.client.homeward import homeward
from bursar.client.kit import Kit
from bursar.client.places import Place, known_place, place_of
from bursar.client.recognise import Aimed, aim, is_free_at_provider, is_unbounded
from bursar.client.runtime import runtime
from bursar.client.scopes import Around, around
from bursar.errors import BadRequest, BursarError
from bursar.wire.base import Refusal
from bursar.wire.bedrock_common import bedrock_refusal
from bursar.wire.refusals import openai_refusal
from bursar.wire.strict_json import BODY_BYTES_MAX, parse
from bursar.wiring.driving import Way, drive

__all__ = ["aimed_at", "maker_of", "meter", "meter_async"]


def meter(
    original: Callable[..., Any], kit: Kit, client: Any, request: Any, stream: bool, options: Mapping[str, Any]
) -> Any:
    """Send a request of a client that blocks, metered where that is to be."""
    place = known_place(request, runtime.opened)
    if place is None:
        request = homeward(request)
    aimed = aimed_at(request) if place is None else place.aimed
    if aimed is None:
        return original(client, request, stream=stream, **options)
    content = request.read()
    turn = handed_on(client, request.url, content, kit.unsent)
    if turn is not None:
        with turn:
            response = original(client, request, stream=stream, **options)
            return turn.answered(response, response.status_code)
    sending = blocking.Sending(kit, client, request, content, options, stream, original=original, way=Way.BLOCKING)
    maker = maker_of(sending, aimed, place)
    if isinstance(maker, CallMaker):
        return drive(sending.run(maker))
    return maker if maker is not None else original(client, request, stream=stream, **options)


async def meter_async(
    original: Callable[..., Awaitable[Any]],
    kit: Kit,
    client: Any,
    request: Any,
    stream: bool,
    options: Mapping[str, Any],
) -> Any:
    """Send a request of a client that does not block, metered where that is to be."""
    place = known_place(request, runtime.opened)
    if place is None:
        request = homeward(request)
    aimed = aimed_at(request) if place is None else place.aimed
    if aimed is None:
        return await original(client, request, stream=stream, **options)
    content = await request.aread()
    turn = handed_on(client, request.url, content, kit.unsent)
    if turn is not None:
        with turn:
            response = await original(client, request, stream=stream, **options)
            return turn.answered(response, response.status_code)
    sending = awaiting.Sending(kit, client, request, content, options, stream, original=original, way=way_here())
    maker = maker_of(sending, aimed, place)
    if isinstance(maker, CallMaker):
        return await sending.run(maker)
    return maker if maker is not None else await original(client, request, stream=stream, **options)


def aimed_at(request: Any) -> Aimed | None:
    """Say which API a request may ask; None for what passes untouched."""
    if request.method != "POST":
        return None
    path = request.url.path
    aimed = aim(path)
    if aimed is not None:
        return aimed
    is_free = is_free_at_provider(path)
    return Aimed.unbounded(path) if is_unbounded(path) or (not is_free and _is_provider(request)) else None


def _is_provider(request: Any) -> bool:
    """Tell whether a request goes below the address of a provider that is configured."""
    url = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}{request.url.path}".lower()
    providers = runtime.engine().settings.providers
    return any(url.startswith(f"{provider.base_url.rstrip('/').lower()}/") for provider in providers)


def maker_of(exchange: Exchange, aimed: Aimed, place: Place | None = None) -> CallMaker | Any:
    """Give what makes the call; a response where there can be none; None where the request is nobody's business.

    `place` is its address, where that is known already.
    """
    here = around()
    if place is None:
        try:
            engine = runtime.engine()
        except BursarError as error:
            return _refused(exchange, aimed, here, Refusal(503, "store_unavailable", error.message))
        if "unknown" in aimed.names:
            what = aimed.names["unknown"]
            message = f"nothing bounds what a POST to {what} costs, so it is refused while a budget is open"
            return _refused(exchange, aimed, here, Refusal(404, "not_found", message))
        place = place_of(engine, exchange.request.url, aimed)
    headers, exchange.length_at = headers_of(exchange.request)
    exchange.headers = headers
    wire = place.wire
    if wire is None or headers:
        wire = wire_of(place, exchange, headers)
    maker = CallMaker(place, here, headers, wire)
    if place.is_known:
        return maker
    try:
        maker.parsed = wire.parse(exchange.content)
    except BadRequest:
        return maker if _is_model_call(exchange.content, headers.get("content-encoding", "identity")) else None
    return maker


def _refused(exchange: Exchange, aimed: Aimed, here: Around, refusal: Refusal) -> Any:
    body = bedrock_refusal(refusal) if aimed.is_bedrock else openai_refusal(refusal)
    return refuse(exchange, body, refusal, here.scopes)


def _is_model_call(content: bytes, encoding: str) -> bool:
    """Tell whether a body at an address that nobody configured reads like one of a model API; so may any unreadable."""
    plain = content if encoding == "identity" else decode_within(encoding, content, BODY_BYTES_MAX)
    if plain is None:
        return True
    try:
        body = parse(plain)
    except BursarError:
        wide = plain.replace(b"\0", b"")  # Servers read JSON in UTF-16 as well.
        return b'"model"' in wide or b'"contents"' in wide
    return isinstance(body.get("model"), str) or "contents" in body
