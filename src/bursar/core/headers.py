"""Names of HTTP headers that mean something to bursar: those of a hop, those that say who pays.

Owns the lists, all in lower case, for whoever passes headers on and for whoever checks a configuration.
"""

from __future__ import annotations

__all__ = ["CREDENTIALS", "HOP", "is_settable"]

CREDENTIALS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "cookie2",
        "openai-organization",
        "openai-project",
        "proxy-authorization",
        "x-api-key",
        "x-bursar-key",
        "x-goog-api-key",
        "x-goog-user-project",
    }
)
"""They say who pays."""
HOP = frozenset(
    {
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They describe one connection, and never pass to another."""
_OURS = frozenset({"accept-encoding", "content-type", "expect", "host"})
"""What bursar itself says to a provider."""


def is_settable(name: str) -> bool:
    """Tell whether an operator may set this header (lower-case) for a provider."""
    return not name.startswith(("x-bursar-", "proxy-")) and name not in HOP | CREDENTIALS | _OURS
