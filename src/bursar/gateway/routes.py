"""What may stand before a path at the gateway: the name of an API or of a provider.

Owns the prefixes. The paths themselves are in `wire/routes.py`, which the library's door shares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bursar.wire.routes import COMPACT, ROUTES, Found, Route, find_route

__all__ = ["COMPACT", "FAMILIES", "ROUTES", "Found", "Route", "find_route", "split_prefix"]

FAMILIES: Mapping[str, str] = {
    "openai": "openai.chat",
    "anthropic": "anthropic.messages",
    "gemini": "gemini.generate",
}
"""The prefixes that say which API is meant, and no provider; each with the wire that stands for it."""


def split_prefix(path: str, providers: Collection[str]) -> tuple[str, str]:
    """Split `/groq/v1/…` into what stands before and the path itself; "" where nothing does."""
    name, slash, rest = path[1:].partition("/")
    return (name, f"/{rest}") if slash and (name in FAMILIES or name in providers) else ("", path)
