"""What goes upstream, written: a body with some of its fields set.

Owns the shortcut for bodies that came as bursar itself would write them: their own bytes go on, and fields that they
do not have are appended. It must never give other bytes than `dump_parsed` would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.wire.strict_json import Parsed, dump_parsed

__all__ = ["KEPT_BYTES_MAX", "KEPT_BYTES_MIN", "Canonical", "kept", "write_capped", "write_with"]

KEPT_BYTES_MIN = 512
"""A smaller body is sooner written anew than kept."""
KEPT_BYTES_MAX = 65_536
"""Larger bodies are written anew: the gateway would hold their bytes for as long as an answer streams."""


class Canonical(dict[str, Any]):
    """A parsed body with its bytes, which are those that `dump_parsed` would write. It is never changed in place."""

    __slots__ = ("raw",)
    raw: bytes


def kept(parsed: Parsed, body: dict[str, Any]) -> dict[str, Any]:
    """Give a body that was read, with its bytes where they can be used again; another one than was parsed as it is."""
    was, raw, is_canonical = parsed
    if not is_canonical or not KEPT_BYTES_MIN <= len(raw) <= KEPT_BYTES_MAX or body is not was:
        return body
    canonical = Canonical(body)
    canonical.raw = raw
    return canonical


def write_capped(body: Canonical, name: str, cap: int, more: str = "") -> bytes:
    """Write a body as it came with a cap, and with `more` behind it, both of which it does not have."""
    return body.raw[:-1] + f',"{name}":{cap}{more}}}'.encode()


def write_with(body: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
    """Write a body with some fields set: those it has in their places, the others behind them."""
    if not isinstance(body, Canonical):
        return dump_parsed({**body, **fields})
    more = {}
    for name, value in fields.items():
        if name not in body:
            more[name] = value
        elif not _is_same(body[name], value):
            return dump_parsed({**body, **fields})
    # Neither object is empty: a request has a model.
    return b"%b,%b" % (body.raw[:-1], dump_parsed(more)[1:]) if more else body.raw


def _is_same(here: object, value: object) -> bool:
    """Tell whether two values are written alike: 1 and True are equal, and are not."""
    return type(here) is type(value) and type(value) in (str, int) and here == value
