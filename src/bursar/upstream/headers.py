"""Which headers pass, both ways.

Owns the two lists. Only what is on the list goes up; hop-by-hop headers and our own never do, also when a client names
others in `Connection`. Down goes everything but what describes the hop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["down", "up"]

_UP = frozenset(
    {
        "accept",
        "accept-language",
        "anthropic-beta",
        "anthropic-dangerous-direct-browser-access",
        "anthropic-version",
        "authorization",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "originator",
        "user-agent",
        "x-api-key",
        "x-app",
        "x-client-request-id",
        "x-request-id",
    }
)
_UP_PREFIXES = ("x-stainless-", "x-claude-code-")
_HOP = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "alt-svc",
        "strict-transport-security",
    }
)


def up(headers: Mapping[str, str]) -> dict[str, str]:
    """Pick the client's headers (lower-case names) that a provider may see: of ASCII, since nothing else is sure to
    arrive as it was sent."""
    dropped = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {
        name: value
        for name, value in headers.items()
        if name not in dropped and (name in _UP or name.startswith(_UP_PREFIXES)) and value.isascii()
    }


def down(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pick the provider's headers that a client may see."""
    pairs = [(name.lower(), value) for name, value in headers]
    dropped = {word.strip().lower() for name, value in pairs if name == "connection" for word in value.split(",")}
    return [
        (name, value)
        for name, value in pairs
        if name not in _HOP and name not in dropped and not name.startswith("x-bursar-")
    ]
