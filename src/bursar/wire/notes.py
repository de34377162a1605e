"""A sentence to the model at the end of a request's conversation, as each API takes it.

Owns where such a sentence may stand: with the last word to the model, never between a tool call and its result. It is
counted as part of the input; a body that it does not understand stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.base import Request
from bursar.wire.text import text_bytes

__all__ = ["with_note"]


def with_note(request: Request, text: str) -> Request:
    """Give the same request with one sentence more; the same object where its API has no place for it."""
    add = _ADDERS.get(request.wire)
    body = add(request.body, text) if add is not None else None
    if body is None:
        return request
    anatomy = request.anatomy
    more = text_bytes(text) + FRAME_BYTES
    return replace(request, body=body, anatomy=replace(anatomy, user=anatomy.user + more))


def _chat(body: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return None
    if messages[-1].get("role") == "assistant":
        return None  # The client has begun the answer itself: what follows would be another one.
    return {**body, "messages": [*messages, {"role": "user", "content": text}]}


def _responses(body: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    given = body.get("input")
    note = {"role": "user", "content": text}
    if isinstance(given, str):
        return {**body, "input": [{"role": "user", "content": given}, note]}
    return {**body, "input": [*given, note]} if isinstance(given, list) else None


def _anthropic(body: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return None
    last = messages[-1]
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    content = last.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        return None
    return {**body, "messages": [*messages[:-1], {**last, "content": [*blocks, {"type": "text", "text": text}]}]}


def _gemini(body: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        return None
    last = contents[-1]
    if not isinstance(last, dict) or last.get("role") == "model" or not isinstance(last.get("parts"), list):
        return None
    return {**body, "contents": [*contents[:-1], {**last, "parts": [*last["parts"], {"text": text}]}]}


_ADDERS: Mapping[str, Callable[[Mapping[str, Any], str], dict[str, Any] | None]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _anthropic,
    "gemini.generate": _gemini,
}
