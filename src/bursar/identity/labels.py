"""Labels out of what clients send (DESIGN §9).

Owns the reading of headers. Sources in order of trust: our own `x-bursar-*`, W3C baggage, then what clients and other
gateways' clients already send, then the body. The first source that names a label wins. Never a credential.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote

from bursar.core.labels import LABEL_NAMES, Labels

__all__ = ["CLAUDE", "is_label_header", "labels_of"]

Headers = Mapping[str, str]
Found = Iterator[tuple[str, str]]

_OWN = {
    f"x-bursar-{name.replace('_', '-')}": name
    for name in ("agent", "task", "task_type", "run", "step", "user", "session", "team")
}
_TAGS = "x-bursar-tags"
_OURS = frozenset({*_OWN, _TAGS})
_PROPERTY = "helicone-property-"
_NONE = Labels({})
_SETTABLE = tuple(name for name in LABEL_NAMES if name not in ("key", "provider", "model", "wire"))
_HEADER_BYTES_MAX = 8192
_PLAIN = {
    "x-claude-code-session-id": "session",
    # A sub-agent's name is made up for the occasion: as agent each would have a budget of its own.
    "x-claude-code-agent-id": "tag.subagent",
    "session-id": "session",
    "session_id": "session",
    "helicone-user-id": "user",
    "helicone-session-id": "session",
    "x-litellm-end-user-id": "user",
    "x-litellm-customer-id": "user",
    "x-litellm-agent-id": "agent",
    "x-litellm-session-id": "session",
    "x-litellm-trace-id": "run",
    "x-portkey-trace-id": "run",
}
CLAUDE = "claude-cli/"
"""How the user agent of Claude Code begins; no other says anything."""
_BAGGAGE = {"user.id": "user", "enduser.id": "user", "session.id": "session", "gen_ai.agent.name": "agent"}
_PORTKEY = {"_user": "user", "_session": "session", "_agent": "agent"}
_TURN = (
    ("root_turn_id", "run"),
    ("turn_id", "run"),
    ("turn-id", "run"),
    ("session_id", "session"),
    ("session-id", "session"),
)


def labels_of(headers: Headers, body_labels: Mapping[str, str]) -> Labels:
    """Collect the labels of a call from its headers (lower-case names) and what its body says."""
    found: dict[str, str] = {}
    # Most requests name nothing, or by our own headers alone; what nobody sends is not looked for one by one.
    is_known = headers.get("user-agent", "").startswith(CLAUDE) or not _HEARD.isdisjoint(headers)
    if not is_known:
        for name in headers:
            if name.startswith(_PROPERTY):
                is_known = True
    if is_known or not _OURS.isdisjoint(headers):
        for source in _SOURCES if is_known else (_own,):
            for name, value in source(headers):
                found.setdefault(name, value)
    for name, value in body_labels.items():
        found.setdefault(name, value)
    return Labels.of(found) if found else _NONE


def is_label_header(name: str) -> bool:
    """Tell whether a header (its name in lower case) can say something of a call's labels; all others are not read."""
    return name == "user-agent" or name in _OURS or name in _HEARD or name.startswith(_PROPERTY)


def _own(headers: Headers) -> Found:
    for header, label in _OWN.items():
        value = headers.get(header)
        if value:
            yield label, value
    if _TAGS in headers:
        yield from _tags(headers[_TAGS])


def _tags(text: str) -> Found:
    """Read `project=alpha, nightly`: a tag without a value is `true`."""
    for item in text[:_HEADER_BYTES_MAX].split(","):
        name, _, value = item.strip().partition("=")
        if name.strip():
            yield f"tag.{name.strip()}", value.strip() or "true"


def _baggage(headers: Headers) -> Found:
    for item in headers.get("baggage", "")[:_HEADER_BYTES_MAX].split(","):
        name, _, value = item.partition(";")[0].partition("=")
        name = unquote(name.strip())
        label = _BAGGAGE.get(name, name.removeprefix("bursar."))
        if label in _SETTABLE:
            yield label, unquote(value.strip())


def _clients(headers: Headers) -> Found:
    for header, label in _PLAIN.items():
        value = headers.get(header)
        if value:
            yield label, value
    for name, value in _json(headers.get("x-portkey-metadata", "")):
        label = _PORTKEY.get(name, name)
        yield (label if label in _SETTABLE else f"tag.{name}"), value
    yield from _tags(headers.get("x-litellm-tags", ""))
    for header, value in headers.items():
        if header.startswith(_PROPERTY):
            yield f"tag.{header.removeprefix(_PROPERTY)}", value


def _json(text: str) -> Found:
    """Read a JSON object of strings; anything else says nothing."""
    if not text or len(text) > _HEADER_BYTES_MAX:
        return
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(parsed, dict):
        for name, value in parsed.items():
            if isinstance(value, str):
                yield name, value


def _programs(headers: Headers) -> Found:
    """Name the programs that everybody knows, when nobody has named the agent."""
    # A part of Codex has a turn of its own; the root turn is what the person asked for, and that is one run.
    turn = dict(_json(headers.get("x-codex-turn-metadata", "")))
    for name, label in _TURN:
        if turn.get(name):
            yield label, turn[name]
    if headers.get("originator", "").lower().startswith("codex"):
        yield "agent", "codex"
    elif headers.get("user-agent", "").startswith(CLAUDE) or "x-claude-code-session-id" in headers:
        yield "agent", "claude-code"


_HEARD = frozenset({"baggage", "x-portkey-metadata", "x-litellm-tags", "x-codex-turn-metadata", "originator", *_PLAIN})
_SOURCES: tuple[Callable[[Headers], Found], ...] = (_own, _baggage, _clients, _programs)
