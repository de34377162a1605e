"""A request as it arrives: its route, its headers, who sends it, before its body is read.

Owns what is looked at first, and in which order: the path, the encoding, the origin, the credentials, the query. It
never reads a body and never asks a provider.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from bursar.core.value import value
from bursar.errors import BadRequest
from bursar.gateway.routes import FAMILIES, Found, Route, find_route, split_prefix
from bursar.identity.caller import Caller

__all__ = ["Arrival", "Place", "hint_of", "place_of", "query_of", "refuse_foreign"]

QUERY_FIELDS_MAX = 20


@value
class Place:
    """Where a request wants to go: its route, the names in its path, and the provider before it ("" for none)."""

    route: Route
    names: Mapping[str, str]
    forced: str


@value
class Arrival:
    """A request before its body was read."""

    place: Place
    headers: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]
    """The query."""
    caller: Caller

    @property
    def route(self) -> Route:
        return self.place.route

    @property
    def query(self) -> str:
        """The query as it goes upstream, with its question mark."""
        return f"?{urlencode(self.pairs)}" if self.pairs else ""


def place_of(method: str, path: str, headers: Mapping[str, str], providers: Collection[str]) -> Place | None:
    """Find the route of a path, with or without a prefix; None when there is none."""
    prefix, rest = split_prefix(path, providers)
    found = find_route(method, rest, hint_of(path, headers))
    return None if found is None else _placed(found, prefix)


def _placed(found: Found, prefix: str) -> Place:
    return Place(found.route, found.names, "" if prefix in FAMILIES else prefix)


def hint_of(path: str, headers: Mapping[str, str]) -> str:
    """Name the wire in whose shape a client expects to be answered, before its route is known."""
    first = path[1:].partition("/")[0]
    if first in FAMILIES:
        return FAMILIES[first]
    if "/v1beta/" in path:
        return FAMILIES["gemini"]
    if "anthropic-version" in headers:
        return FAMILIES["anthropic"]
    return FAMILIES["gemini" if "x-goog-api-key" in headers else "openai"]


def refuse_foreign(headers: Mapping[str, str]) -> None:
    """Refuse what is encoded, and what comes from a web page of another machine. Raises BadRequest."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise BadRequest("encoded request bodies are not accepted: send the JSON as it is")
    if not _is_local(headers.get("origin")):
        raise BadRequest("requests from web pages are not accepted: any page could spend in your name")


def _is_local(origin: str | None) -> bool:
    """Tell whether a request comes from a program (no origin), or from a page that this machine serves."""
    if origin is None:
        return True
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def query_of(raw: bytes, route: Route) -> tuple[tuple[str, str], ...]:
    """Read the query. Raises BadRequest for a parameter that the route does not know; a key never belongs there."""
    if not raw:
        return ()
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise BadRequest(f"a query may have {QUERY_FIELDS_MAX} fields") from None
    for name, _ in pairs:
        if name in ("key", "api_key", "access_token") and name not in route.query:
            raise BadRequest("a key in the URL ends in logs: send it in a header", param=name)
        if name not in route.query:
            raise BadRequest(f"the query parameter {name[:50]!r} is not accepted here", param=name[:50])
    return tuple(pairs)
