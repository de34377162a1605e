"""Acts of an agent as a conversation shows them: the model's words and tool calls, and what came back.

Owns the reading of a request's items for that, one function an API shape. Nothing here decides money, so it never
refuses a body: what it does not understand, it leaves out. It must never keep a text longer than its caller does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from bursar.wire.base import CallMark, Request

__all__ = ["Asked", "Part", "Returned", "Said", "items_of", "marks_of", "parts_of"]

TEXT_LENGTH_MAX = 16_384
"""Of a longer text the two ends, and a digest of what is between them, stand for the whole."""
ARGUMENTS_LENGTH_MAX = 65_536
"""Longer arguments are compared as they are written."""
CALLS_MAX = 128
"""Tool calls of one answer that are marked."""
STRINGS_MAX = 500
"""Of an answer that is no text, so many of its strings are looked at."""


@dataclass(frozen=True, slots=True)
class Said:
    """Words, of the model or to it."""

    text: str
    is_model: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A tool call of the model."""

    id: str
    name: str
    arguments: str
    """As JSON text with its keys in order, or as the text that it is."""

    @property
    def mark(self) -> CallMark:
        """Give it as a digest: the same call is the same, whatever the order of its arguments."""
        digest = blake2b(
            f"{len(self.name)} {self.name}{self.arguments}".encode("utf-8", "surrogatepass"), digest_size=8
        )
        return CallMark(self.id, self.name, int.from_bytes(digest.digest(), "big"))


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool gave back."""

    id: str
    text: str
    is_error: bool


Part = Said | Asked | Returned


def items_of(request: Request) -> Sequence[Any]:
    """Give the items of the conversation as the body has them; none for an API without conversations."""
    shape = _SHAPES.get(request.wire)
    if shape is None:
        return ()
    items = request.body.get(shape[0])
    if isinstance(items, str | dict):
        return (items,)
    return items if isinstance(items, list) else ()


def parts_of(wire: str, items: Iterable[Any]) -> list[Part]:
    """Read some items in their order. System prompts have no parts."""
    read = _SHAPES[wire][1]
    parts: list[Part] = []
    for item in items:
        if isinstance(item, str):
            parts.append(Said(_clipped(item), is_model=False))
        elif isinstance(item, dict):
            parts += read(item)
    return parts


def marks_of(items: Iterable[Mapping[str, Any]]) -> tuple[CallMark, ...]:
    """Read the tool calls among the output items of a Responses answer, so many at the most that a request can have."""
    parts = (part for item in items for part in _responses(item))
    return tuple(islice((part.mark for part in parts if isinstance(part, Asked)), CALLS_MAX))


# --- texts ---------------------------------------------------------------------------------------------------------


def _clipped(text: str) -> str:
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    half = TEXT_LENGTH_MAX // 2
    middle = text[half:-half].encode("utf-8", "surrogatepass")
    return f"{text[:half]}\n{blake2b(middle, digest_size=8).hexdigest()}\n{text[-half:]}"


def _text(value: object) -> str:
    """Give the text of a content: as it is, or the strings inside it one after the other."""
    if isinstance(value, str):
        return _clipped(value)
    found: list[str] = []
    pending = [value]
    while pending and len(found) < STRINGS_MAX:
        item = pending.pop()
        if isinstance(item, Mapping):
            pending.extend(
                inner for name, inner in reversed(list(item.items())) if name not in ("type", "cache_control")
            )
        elif isinstance(item, list):
            pending.extend(reversed(item))
        elif item is not None:
            found.append(item if isinstance(item, str) else str(item))
    return _clipped("\n".join(found))


def _words(content: object) -> str:
    """Give the words of a message's content, its text parts alone."""
    if isinstance(content, str):
        return _clipped(content)
    parts = content if isinstance(content, list) else ()
    return _clipped("\n".join(part["text"] for part in parts if _has_text(part)))


def _has_text(part: object) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str)


def _said(content: object, *, is_model: bool) -> list[Part]:
    words = _words(content)
    return [Said(words, is_model)] if words else []


def _arguments(value: object) -> str:
    """Write arguments so that the same ones are the same text, whatever the order of keys and the spaces."""
    if isinstance(value, str):
        if len(value) > ARGUMENTS_LENGTH_MAX or not value.lstrip().startswith("{"):
            return _clipped(value)
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return _clipped(str(value))
    return _clipped(_IN_ORDER.encode(value))


_IN_ORDER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
"""Made once: `json.dumps` would make one for each call."""

_ERROR = re.compile(
    r'\s*(?:\{\s*"?(?:is_?)?error|\[?[\w.]{0,60}(?:error|exception)\b|fatal:|traceback \()', re.IGNORECASE
)


def _returned(call_id: object, content: object, *, is_error: bool = False) -> Returned:
    """Make an answer. Most APIs have no mark for a failed tool: then the words that errors begin with are one."""
    text = _text(content)
    return Returned(_name(call_id), text, is_error or _ERROR.match(text) is not None)


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


def _inner(item: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Give the object that stands under one of some names."""
    for name in names:
        if isinstance(item.get(name), Mapping):
            found: Mapping[str, Any] = item[name]
            return found
    return {}


def _each(value: object) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]


# --- one function an API shape -------------------------------------------------------------------------------------


def _chat(message: Mapping[str, Any]) -> list[Part]:
    role = message.get("role")
    if role in ("system", "developer"):
        return []
    if role in ("tool", "function"):
        return [_returned(message.get("tool_call_id"), message.get("content"))]
    parts = _said(message.get("content"), is_model=role == "assistant")
    for call in _each(message.get("tool_calls")):
        asked = _inner(call, "function", "custom")
        arguments = asked.get("arguments", asked.get("input"))
        parts.append(Asked(_name(call.get("id")), _name(asked.get("name")), _arguments(arguments)))
    if older := _inner(message, "function_call"):
        parts.append(Asked("", _name(older.get("name")), _arguments(older.get("arguments"))))
    return parts


def _messages(message: Mapping[str, Any]) -> list[Part]:
    is_model = message.get("role") == "assistant"
    content = message.get("content")
    if isinstance(content, str):
        return _said(content, is_model=is_model)
    parts: list[Part] = []
    for block in _each(content):
        kind = block.get("type")
        if kind == "text":
            parts += _said([block], is_model=is_model)
        elif kind == "tool_use":
            parts.append(Asked(_name(block.get("id")), _name(block.get("name")), _arguments(block.get("input"))))
        elif kind == "tool_result":
            is_error = block.get("is_error") is True
            parts.append(_returned(block.get("tool_use_id"), block.get("content"), is_error=is_error))
    return parts


def _responses(item: Mapping[str, Any]) -> list[Part]:
    kind = _name(item.get("type")) or "message"
    if kind == "message":
        role = item.get("role")
        return [] if role in ("system", "developer") else _said(item.get("content"), is_model=role == "assistant")
    if kind.endswith("_call_output"):
        return [_returned(item.get("call_id"), item.get("output"), is_error=item.get("status") == "incomplete")]
    if kind.endswith("_call") and "call_id" in item:
        arguments = item.get("arguments", item.get("input", item.get("action")))
        return [Asked(_name(item["call_id"]), _name(item.get("name")) or kind, _arguments(arguments))]
    return []


def _gemini(content: Mapping[str, Any]) -> list[Part]:
    is_model = content.get("role") == "model"
    parts: list[Part] = []
    for part in _each(content.get("parts")):
        asked, answer = (
            _inner(part, "functionCall", "function_call"),
            _inner(part, "functionResponse", "function_response"),
        )
        if asked:
            parts.append(Asked(_name(asked.get("id")), _name(asked.get("name")), _arguments(asked.get("args"))))
        elif answer:
            result = answer.get("response")
            is_error = isinstance(result, Mapping) and "error" in result
            parts.append(_returned(answer.get("id"), result, is_error=is_error))
        elif not part.get("thought"):
            parts += _said([part], is_model=is_model)
    return parts


_SHAPES: dict[str, tuple[str, Callable[[Mapping[str, Any]], list[Part]]]] = {
    "openai.chat": ("messages", _chat),
    "openai.responses": ("input", _responses),
    "anthropic.messages": ("messages", _messages),
    "gemini.generate": ("contents", _gemini),
}
"""By wire: the field that holds the conversation, and who reads one of its items."""
