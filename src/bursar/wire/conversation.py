"""What a request's conversation tells of the run behind it: answers and tool calls so far, and how it began.

Owns that reading for every API that takes conversations. It measures no money, changes nothing, and looks at a body
only when a guard asks: what it cannot read it passes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bursar.wire.base import Request
from bursar.wire.strict_json import dump_parsed

__all__ = ["Conversation", "conversation_of", "steps_of"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation as its last request shows it."""

    opening: bytes
    """System prompt and first user message: the same in every request of one conversation; empty where unknown."""
    is_asking: bool
    """The last word is the user's, and no result of a tool."""


_Turn: TypeAlias = tuple[str, Any, int, bool]
"""One message, in any API: whose it is, its content, how many tool calls it holds, whether it only brings a tool's
result. A bare tuple, since a long conversation is made of hundreds, and is read again with each call."""

_SYSTEM, _USER, _MODEL, _TOOL = "system", "user", "model", "tool"


def conversation_of(request: Request) -> Conversation | None:
    """Read a request's conversation; None for an API that has none, and for one that shows only its last part."""
    read = _READERS.get(request.wire)
    if read is None:
        return None
    turns = list(read(request.body))
    return Conversation(_opening(turns), _is_asking(turns))


def steps_of(request: Request) -> tuple[int, int]:
    """Count the answers of the model, and its tool calls, since the user last said something; 0 where none is known."""
    read = _READERS.get(request.wire)
    if read is None:
        return 0, 0
    answers = tool_calls = 0
    before = ""
    for role, _, calls, is_result in read(request.body):
        if role == _USER and not is_result:
            answers = tool_calls = 0
        elif role == _MODEL:
            # Several items of one answer follow each other.
            answers += before != _MODEL
            tool_calls += calls
        before = role
    return answers, tool_calls


def _is_asking(turns: Sequence[_Turn]) -> bool:
    for role, _, _, is_result in reversed(turns):
        if role != _SYSTEM:
            return role == _USER and not is_result
    return False


def _opening(turns: Iterable[_Turn]) -> bytes:
    found = []
    for role, content, _, _ in turns:
        if role in (_SYSTEM, _USER):
            found.append([role, _plain(content)])
        if role == _USER:
            return dump_parsed(found)
    return b""


def _plain(content: Any) -> Any:
    """Leave out what moves from request to request: marks for the cache, and Claude Code's changing first line."""
    if isinstance(content, list):
        return [_plain(item) for item in content if not _is_volatile(item)]
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items() if name != "cache_control"}
    return content


def _is_volatile(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    text = item.get("text")
    return "cachePoint" in item or (isinstance(text, str) and text.startswith("x-anthropic-billing-header"))


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _chat(body: Mapping[str, Any]) -> Iterator[_Turn]:
    for message in _objects(body.get("messages")):
        role, content = message.get("role"), message.get("content")
        if role == "user":
            yield _USER, content, 0, False
        elif role == "assistant":
            calls = message.get("tool_calls")
            count = len(calls) if isinstance(calls, list) else 0
            yield _MODEL, content, count + bool(message.get("function_call")), False
        elif role in ("tool", "function"):
            yield _TOOL, content, 0, False
        elif role in ("system", "developer"):
            yield _SYSTEM, content, 0, False


def _responses(body: Mapping[str, Any]) -> Iterator[_Turn]:
    if body.get("instructions"):
        yield _SYSTEM, body["instructions"], 0, False
    given = body.get("input")
    if isinstance(given, str):
        yield _USER, given, 0, False
    for item in _objects(given):
        role, kind, content = item.get("role"), str(item.get("type") or ""), item.get("content")
        if role in ("system", "developer"):
            yield _SYSTEM, content, 0, False
        elif role == "user":
            yield _USER, content, 0, False
        elif kind.endswith("_output"):
            yield _TOOL, None, 0, False
        elif role == "assistant" or kind.endswith("_call") or kind == "reasoning":
            yield _MODEL, content, int(kind.endswith("_call")), False


def _anthropic(body: Mapping[str, Any]) -> Iterator[_Turn]:
    system = body.get("system")
    if system:
        yield _SYSTEM, system, 0, False
    for message in _objects(body.get("messages")):
        role, content = message.get("role"), message.get("content")
        kinds = [block.get("type") for block in _objects(content)]
        if role == "assistant":
            yield _MODEL, content, kinds.count("tool_use"), False
        elif role == "user":
            yield _USER, content, 0, "tool_result" in kinds


def _gemini(body: Mapping[str, Any]) -> Iterator[_Turn]:
    system = body.get("systemInstruction", body.get("system_instruction"))
    if system:
        yield _SYSTEM, system, 0, False
    given = body.get("contents")
    for content in _objects(given if isinstance(given, list) else [given]):
        parts = _objects(content.get("parts"))
        if content.get("role") == "model":
            calls = sum(["functionCall" in part or "function_call" in part for part in parts])
            yield _MODEL, parts, calls, False
        else:
            is_result = any("functionResponse" in part or "function_response" in part for part in parts)
            yield _USER, parts, 0, is_result


def _converse(body: Mapping[str, Any]) -> Iterator[_Turn]:
    if body.get("system"):
        yield _SYSTEM, body["system"], 0, False
    for message in _objects(body.get("messages")):
        blocks = _objects(message.get("content"))
        if message.get("role") == "assistant":
            yield _MODEL, blocks, sum("toolUse" in block for block in blocks), False
        elif message.get("role") == "user":
            yield _USER, blocks, 0, any("toolResult" in block for block in blocks)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[_Turn]]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _anthropic,
    "gemini.generate": _gemini,
    "bedrock.converse": _converse,
    "bedrock.invoke": _anthropic,
}
