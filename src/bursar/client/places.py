"""What is the same for every call to one address: which API it asks, whose prices count there, how it is spoken.

Owns that knowledge, and a bounded memory of it for the engine that is open. Nothing that a request itself says is in
it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bursar.client.recognise import COMPACT, Aimed
from bursar.core.provider import Deadlines, Provider
from bursar.errors import BadRequest
from bursar.upstream.whose import configured_at, stand_in
from bursar.wire.base import Wire
from bursar.wiring.local import LocalEngine

__all__ = ["Place", "base_of", "known_place", "place_of", "provider_at", "provider_of"]

_YEAR_S = 366 * 86_400.0
_PATIENT = Deadlines(connect_s=_YEAR_S, first_byte_s=_YEAR_S, idle_s=_YEAR_S, total_s=_YEAR_S)
"""In a program its own client's time-outs count."""
_AT_AWS = re.compile(r"https://bedrock[a-z-]*\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)(?:/|\Z)")
"""Where AWS serves other makers' APIs as well: its own prices count there, which are not always theirs."""
ADDRESSES_MAX = 1_000
"""How many addresses are remembered with whose prices count there."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address that programs ask a model API at."""

    engine: LocalEngine
    aimed: Aimed
    base: str
    """The base URL that it is below."""
    path: str
    """Without the query, decoded."""
    wire: Wire | None
    """What is spoken there; None where the request itself says more of it."""
    provider: Provider | None
    """Whose prices count; None where the wire is not known yet, or nobody speaks it."""
    spoken: Wire | None
    """The wire as the provider speaks it; None without one."""
    is_known: bool
    """Whatever is sent there asks a model: a provider that is configured is there, or AWS by its paths."""
    is_guarded: bool
    """Some guard looks at calls."""


_places: dict[object, Place] = {}


def known_place(request: Any, engine: LocalEngine | None) -> Place | None:
    """Give what is remembered of the address of a request of httpx; None where it has to be looked at."""
    try:
        place = _places.get(request.url._uri_reference)
    except AttributeError:
        return None
    return place if place is not None and place.engine is engine and request.method == "POST" else None


def place_of(engine: LocalEngine, url: Any, aimed: Aimed) -> Place:
    """Look at an address, or remember what was found there."""
    key = getattr(url, "_uri_reference", url)
    place = _places.get(key)
    if place is None or place.engine is not engine or place.aimed != aimed:
        if len(_places) >= ADDRESSES_MAX:
            _places.clear()
        place = _places[key] = _looked_at(engine, url, aimed)
    return place


def forget() -> None:
    """Remember nothing of an engine that is closed."""
    _places.clear()


def _looked_at(engine: LocalEngine, url: Any, aimed: Aimed) -> Place:
    base, wire = base_of(url, aimed), _wire_at(engine, aimed)
    provider = spoken = None
    if wire is not None:
        try:
            provider = provider_at(engine, base, wire.name)
        except BadRequest:
            pass  # It is refused when there is a request to refuse.
        else:
            spoken = engine.wires.spoken_by(wire, provider)
    return Place(
        engine,
        aimed,
        base,
        url.path,
        wire,
        provider,
        spoken,
        is_known=aimed.is_bedrock or base in engine.known_addresses,
        is_guarded=bool(engine.settings.guards),
    )


def _wire_at(engine: LocalEngine, aimed: Aimed) -> Wire | None:
    if aimed.is_bedrock or "model" in aimed.names:
        return None
    return engine.wires.compact if aimed.route.path == COMPACT else engine.wires.wire(aimed.route.wire)


def base_of(url: Any, aimed: Aimed) -> str:
    """Give the base URL that an address is below."""
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
