"""The table of routes: every path that is answered, and whether it is billable.

Owns the table. What is not in it is 404; a billable route goes through the pipeline and so through a hold, and
`tests/gateway/test_routes.py` fails when one does not.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROUTES", "Route", "find_route"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path. `upstream` is the path below the provider's base URL."""

    method: str
    path: str
    wire: str
    upstream: str
    is_billable: bool
    query: frozenset[str] = frozenset()
    """Query parameters that go upstream; others are refused."""


_BETA = frozenset({"beta"})
_LIST = frozenset({"limit", "after_id", "before_id"})

ROUTES = (
    Route("POST", "/v1/chat/completions", "openai.chat", "/chat/completions", is_billable=True),
    Route("POST", "/v1/messages", "anthropic.messages", "/v1/messages", is_billable=True, query=_BETA),
    Route(
        "POST",
        "/v1/messages/count_tokens",
        "anthropic.messages",
        "/v1/messages/count_tokens",
        is_billable=False,
        query=_BETA,
    ),
    Route("GET", "/v1/models", "openai.chat", "/models", is_billable=False),
    Route("GET", "/v1/models", "anthropic.messages", "/v1/models", is_billable=False, query=_LIST),
)

_BY_PLACE: dict[tuple[str, str], list[Route]] = {}
for _route in ROUTES:
    _BY_PLACE.setdefault((_route.method, _route.path), []).append(_route)


def find_route(method: str, path: str, wire_hint: str) -> Route | None:
    """Find the route of an exact path; where two APIs share it, the hint (a wire's name) decides."""
    routes = _BY_PLACE.get((method, path), [])
    return next((route for route in routes if route.wire == wire_hint), routes[0] if routes else None)
