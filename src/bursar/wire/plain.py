"""Bodies of plain texts, as most are, measured in one go.

Owns what such a body is: few fields, each a single value, and messages of a role and a text each. What measures one has
seen it to its last leaf, so that its depth need not be asked. It must never say of any body what the whole reading of
it would not: whatever is unusual is None, and read by the wire's own `read_request`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.fields import MODEL_LENGTH_MAX, model_field
from bursar.wire.text import text_bytes

__all__ = ["plain_fields", "plain_messages", "plain_model"]

_OPTIONS: tuple[dict[str, Any], ...] = ({"include_usage": True}, {"include_usage": False}, {})


def plain_model(model: object) -> str:
    """Give the name of a model, the same object each time; empty where it is none."""
    return _known_model(model) if type(model) is str and len(model) <= MODEL_LENGTH_MAX else ""


@lru_cache(maxsize=1_024)
def _known_model(model: str) -> str:
    try:
        return model_field({"model": model})
    except BadRequest:
        return ""


def plain_fields(body: Mapping[str, Any], items: str, uncounted: Collection[str]) -> int | None:
    """Count the bytes of text in the fields beside `items`, but for those `uncounted`; None where one is not plain."""
    size_bytes = 0
    for name, value in body.items():
        kind = type(value)
        if kind is str:
            if name not in uncounted:
                size_bytes += text_bytes(value)
        elif kind is dict:
            if name != "stream_options" or value not in _OPTIONS:
                return None
        elif kind is list and name != items:
            return None
    return size_bytes


def plain_messages(
    messages: list[Any], systems: Collection[str], kinds: Collection[str]
) -> tuple[int, int, int, list[str]] | None:
    """Measure messages of a role and a text (or a list of parts of these kinds): bytes of those with a role of
    `systems`, of the history, of the last user turn (see `anatomy.split`), and the texts of the former."""
    system = past = user = 0
    has_answered = False
    system_text: list[str] = []
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return None
        role, content = message.get("role"), message.get("content")
        if type(content) is str:
            texts: tuple[str, ...] = (content,)
            size = FRAME_BYTES + (len(content) if content.isascii() else text_bytes(content))
        else:
            parts = _part_texts(content, kinds)
            if parts is None:
                return None
            texts, size = parts, FRAME_BYTES + sum(map(text_bytes, parts))
        if role == "user":
            if has_answered:
                past += user
                user, has_answered = 0, False
            user += size
        elif role == "assistant":
            past += size
            has_answered = True
        elif type(role) is str and role in systems:
            system += size
            system_text += texts
        else:
            return None
    return system, past, user, system_text


def _part_texts(content: object, kinds: Collection[str]) -> tuple[str, ...] | None:
    """Give the texts of parts that are a type and a text each; None where one is anything else."""
    if type(content) is not list:
        return None
    texts = []
    for part in content:
        if type(part) is not dict or len(part) != 2:
            return None
        kind, text = part.get("type"), part.get("text")
        if type(text) is not str or type(kind) is not str or kind not in kinds:
            return None
        texts.append(text)
    return tuple(texts)
