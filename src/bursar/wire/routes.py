"""The table of routes: every path of the model APIs that is known, and whether it is billable.

Owns the table, which both doors share. What is not in it is not answered; a billable route goes through the pipeline
and so through a hold, and `tests/gateway/test_routes.py` fails when one does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["COMPACT", "ROUTES", "Found", "Route", "find_route", "pattern"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path, with names in braces."""

    method: str
    path: str
    wire: str
    upstream: str = ""
    """The path of a free route below the provider's base URL; where a billable one goes, its wire says."""
    is_billable: bool = False
    query: frozenset[str] = frozenset()
    """Query parameters that go upstream; others are refused."""
    is_stream: bool = False
    """The path itself asks for a stream."""
    is_owned: bool = False
    """It is about an earlier response, which must be the asking tenant's own."""


@dataclass(frozen=True, slots=True)
class Found:
    """A route, with what its path names."""

    route: Route
    names: Mapping[str, str] = field(default_factory=dict)


_BETA = frozenset({"beta"})
_LIST = frozenset({"limit", "after_id", "before_id"})
_ALT = frozenset({"alt"})
_SHOWN = frozenset({"include", "include[]"})
_ITEMS = _SHOWN | {"after", "before", "limit", "order"}
_PAGES = frozenset({"pageSize", "pageToken"})
COMPACT = "/v1/responses/compact"
_KEPT, _KEPT_UP = "/v1/responses/{id}", "/responses/{id}"
_GEMINI = "/{version}/models/{model}"
"""Google's own SDK asks for v1, most other clients for v1beta."""

ROUTES = (
    Route("POST", "/v1/chat/completions", "openai.chat", is_billable=True),
    Route("POST", "/v1/responses", "openai.responses", is_billable=True),
    Route("POST", COMPACT, "openai.responses", is_billable=True),
    Route("POST", "/v1/embeddings", "openai.embeddings", is_billable=True),
    Route("POST", "/v1/completions", "openai.completions", is_billable=True),
    Route("POST", "/v1/messages", "anthropic.messages", is_billable=True, query=_BETA),
    Route("POST", f"{_GEMINI}:generateContent", "gemini.generate", is_billable=True, query=_ALT),
    Route(
        "POST",
        f"{_GEMINI}:streamGenerateContent",
        "gemini.generate",
        is_billable=True,
        query=_ALT,
        is_stream=True,
    ),
    Route("POST", "/v1/messages/count_tokens", "anthropic.messages", "/v1/messages/count_tokens", query=_BETA),
    Route("POST", "/v1/responses/input_tokens", "openai.responses", "/responses/input_tokens"),
    Route("POST", f"{_GEMINI}:countTokens", "gemini.generate", f"{_GEMINI}:countTokens", query=_ALT),
    Route("GET", "/v1/models", "openai.chat", "/models"),
    Route("GET", "/v1/models", "anthropic.messages", "/v1/models", query=_LIST),
    Route("GET", "/v1/models/{model}", "openai.chat", "/models/{model}"),
    Route("GET", "/v1/models/{model}", "anthropic.messages", "/v1/models/{model}"),
    Route("GET", "/v1/models", "gemini.generate", "/v1/models", query=_PAGES),
    Route("GET", "/v1beta/models", "gemini.generate", "/v1beta/models", query=_PAGES),
    Route("GET", _GEMINI, "gemini.generate", _GEMINI),
    Route("GET", _KEPT, "openai.responses", _KEPT_UP, query=_SHOWN, is_owned=True),
    Route("DELETE", _KEPT, "openai.responses", _KEPT_UP, is_owned=True),
    Route("POST", f"{_KEPT}/cancel", "openai.responses", f"{_KEPT_UP}/cancel", is_owned=True),
    Route("GET", f"{_KEPT}/input_items", "openai.responses", f"{_KEPT_UP}/input_items", query=_ITEMS, is_owned=True),
)

_NAMES = {
    "version": "v1(?:beta)?",
    "model": r"[A-Za-z0-9][A-Za-z0-9._@-]{0,255}",
    "id": r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}",
}
"""What stands for a name in a path; no slash, so nothing of it can reach beyond its place."""


def pattern(path: str) -> re.Pattern[str]:
    """Compile a route's path; what stands in braces becomes a group of that name."""
    # Names of tuned models hold colons; where one ends a path, nothing can be taken for a verb.
    names = {**_NAMES, "model": _NAMES["model"].replace("@", ":@")} if path.endswith("{model}") else _NAMES
    pieces = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{piece}>{names[piece]})" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))
    )


_EXACT: dict[tuple[str, str], list[Found]] = {}
_NAMING: list[tuple[re.Pattern[str], Route]] = []
for _route in ROUTES:
    if "{" in _route.path:
        _NAMING.append((pattern(_route.path), _route))
    else:
        _EXACT.setdefault((_route.method, _route.path), []).append(Found(_route))


def find_route(method: str, path: str, wire_hint: str) -> Found | None:
    """Find the route of a path; where two APIs share it, the hint (a wire's name) decides."""
    found = _EXACT.get((method, path)) or [
        Found(route, match.groupdict())
        for compiled, route in _NAMING
        if route.method == method and (match := compiled.fullmatch(path)) is not None
    ]
    return next((one for one in found if one.route.wire == wire_hint), found[0] if found else None)
