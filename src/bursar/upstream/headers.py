"""Which headers pass, both ways, and whose credentials stand in them.

Owns the list of what goes up. Nothing else does; hop-by-hop headers and our own never do, also when a client names
others in `Connection`. Down goes everything but what describes the hop. Whose key it is decides who pays: beside the
operator's no credential of the client's may stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bursar.core.headers import CREDENTIALS, HOP
from bursar.core.provider import Auth, Provider

__all__ = ["authorize", "bare", "down", "up"]

_UP = frozenset(
    {
        "accept",
        "accept-language",
        "anthropic-beta",
        "anthropic-dangerous-direct-browser-access",
        "anthropic-version",
        "api-key",
        "authorization",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "originator",
        "user-agent",
        "x-api-key",
        "x-app",
        "x-client-request-id",
        "x-goog-api-client",
        "x-goog-api-key",
        "x-request-id",
    }
)
_UP_PREFIXES = ("x-stainless-", "x-claude-code-", "x-codex-beta-", "x-openai-internal-codex-")
"""What the makers' own programs tell their makers' APIs of how a body is to be read."""


def up(headers: Mapping[str, str], secret: str = "") -> dict[str, str]:
    """Pick the client's headers (lower-case names) that a provider may see: of ASCII, since nothing else is sure to
    arrive as it was sent. One whose value holds `secret`, the key with which the client came to bursar, never goes up.
    """
    named = headers.get("connection")
    dropped = {name.strip().lower() for name in named.split(",")} if named else ()
    return {
        name: value
        for name, value in headers.items()
        if (name in _UP or name.startswith(_UP_PREFIXES))
        and name not in dropped
        and value.isascii()
        and not (secret and secret in value)
    }


def bare(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave every credential out: a client's key is meant for the provider that was asked for, and for no other."""
    return {name: value for name, value in headers.items() if name not in CREDENTIALS}


def authorize(headers: Mapping[str, str], provider: Provider, wire: str) -> dict[str, str]:
    """Give the headers with which this provider is asked on this wire.

    With the operator's key every credential of the client is dropped and the key stands alone; without one the
    client's own pass, unless the provider wants none. The operator's extra headers replace the client's. Doing it
    twice does no harm.
    """
    if not (headers or provider.api_key or provider.headers):
        return {}
    if provider.api_key:
        auth = provider.auth_on(wire)
        out = bare(headers)
        if auth is Auth.BEARER:
            out["authorization"] = f"Bearer {provider.api_key}"
        elif auth is not Auth.NONE:
            out[auth.value] = provider.api_key
    else:
        out = bare(headers) if provider.auth is Auth.NONE else dict(headers)
    if provider.headers:
        out.update(provider.headers)
    return out


def down(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pick the provider's headers that a client may see."""
    found: list[tuple[str, str]] = []
    dropped: set[str] = set()
    for name, value in headers:
        lower = name.lower()
        if lower == "connection":
            dropped.update(word.strip().lower() for word in value.split(","))
        elif lower not in HOP and not lower.startswith("x-bursar-"):
            found.append((lower, value))
    return [pair for pair in found if pair[0] not in dropped] if dropped else found
