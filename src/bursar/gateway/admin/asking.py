"""From bytes to what was asked: query and body read into their types, strictly.

Owns the limits of both and the words of what is wrong with them. It never guesses: `1e3` is no whole number here, and
a field that nobody knows is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from bursar.config.settings import Limits
from bursar.errors import BadRequest, UsageError
from bursar.gateway.body import read_body
from bursar.gateway.exchange import Exchange
from bursar.wire.strict_json import parse

__all__ = ["BODY_BYTES_MAX", "UnsupportedMedia", "read_json", "read_query", "schema_of"]

BODY_BYTES_MAX = 64 * 2**10
QUERY_FIELDS_MAX = 20
S = TypeVar("S", bound=Struct)
_WHERE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_KEYS = ("key", "api_key", "access_token", "token")


class UnsupportedMedia(BadRequest):
    """Refuse a body that is no JSON."""

    status = 415


async def read_json(kind: type[S], exchange: Exchange, limits: Limits) -> S:
    """Read the body. Raises UnsupportedMedia, TooLarge, BadRequest and UsageError that name what is wrong."""
    media = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia("send JSON: content-type: application/json")
    return _converted(parse(await read_body(exchange, limits), size_max=BODY_BYTES_MAX), kind)


def read_query(raw: bytes, kind: type[S]) -> S:
    """Read the query. Raises BadRequest and UsageError that name what is wrong."""
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise BadRequest(f"a query may have {QUERY_FIELDS_MAX} fields") from None
    readers = _readers(kind)
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name not in readers:
            if name in _KEYS:
                raise BadRequest("a key in the URL ends in logs: send it in a header", param=name)
            raise BadRequest(f"the query parameter {name[:50]!r} is not known here", param=name[:50])
        if readers[name] is _listed:
            found.setdefault(name, []).append(text)
        elif name in found:
            raise BadRequest(f"the query parameter {name} stands there twice", param=name)
        else:
            found[name] = readers[name](text)
    return _converted(found, kind)


def _converted(found: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        where, unknown = _WHERE.search(text), _UNKNOWN.search(text)
        param = ".".join(part for part in (where and where["path"], unknown and unknown["name"]) if part)
        raise UsageError(_WHERE.sub("", text)[:300], param=param[:100] or None) from None


def _listed(text: str) -> str:
    return text


def _whole(text: str) -> int | str:
    """Read a whole number; what is none stays text, and is refused as such."""
    return int(text) if _WHOLE.fullmatch(text) else text


def _truth(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


def _instant(text: str) -> str:
    return text


_BY_TYPE: Mapping[str, Callable[[str], Any]] = {"integer": _whole, "boolean": _truth, "array": _listed}


@cache
def _readers(kind: type[Struct]) -> Mapping[str, Callable[[str], Any]]:
    properties = schema_of(kind).get("properties", {})
    return {name: _BY_TYPE.get(each.get("type", ""), _instant) for name, each in properties.items()}


def schema_of(kind: type[Struct]) -> dict[str, Any]:
    """Give the JSON schema of one type's own fields."""
    _, components = msgspec.json.schema_components([kind])
    found: dict[str, Any] = components[kind.__name__]
    return found
