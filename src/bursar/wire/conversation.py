"""What a request's conversation tells of the run behind it: answers and tool calls so far, and how it began.

Owns that reading for every API that takes conversations. It measures no money, changes nothing, and looks at a body
only when a guard asks: what it cannot read it passes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bursar.wire.base import Request
from bursar.wire.strict_json import dump_parsed

__all__ = ["Conversation", "conversation_of"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation as its last request shows it."""

    opening: bytes
    """System prompt and first user message: the same in every request of one conversation; empty where unknown."""
    answers: int
    """Answers of the model since the user last said something."""
    tool_calls: int
    """Tool calls of the model since the user last said something."""
    is_asking: bool
    """The last word is the user's, and no result of a tool."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message, in any API: whose it is, how many tool calls it holds, whether it only brings a tool's result."""

    role: str
    content: Any
    tool_calls: int = 0
    is_result: bool = False


_SYSTEM, _USER, _MODEL, _TOOL = "system", "user", "model", "tool"


def conversation_of(request: Request) -> Conversation | None:
    """Read a request's conversation; None for an API that has none, and for one that shows only its last part."""
    read = _READERS.get(request.wire)
    if read is None:
        return None
    return _summed(list(read(request.body)))


def _summed(turns: list[_Turn]) -> Conversation:
    answers = tool_calls = 0
    for index, turn in enumerate(turns):
        if turn.role == _USER and not turn.is_result:
            answers = tool_calls = 0
        elif turn.role == _MODEL:
            # Several items of one answer follow each other.
            answers += index == 0 or turns[index - 1].role != _MODEL
            tool_calls += turn.tool_calls
    said = [turn for turn in turns if turn.role != _SYSTEM]
    is_asking = bool(said) and said[-1].role == _USER and not said[-1].is_result
    return Conversation(_opening(turns), answers, tool_calls, is_asking)


def _opening(turns: Iterable[_Turn]) -> bytes:
    found = []
    for turn in turns:
        if turn.role in (_SYSTEM, _USER):
            found.append([turn.role, _plain(turn.content)])
        if turn.role == _USER:
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


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _chat(body: Mapping[str, Any]) -> Iterator[_Turn]:
    for message in _objects(body.get("messages")):
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            yield _Turn(_SYSTEM, content)
        elif role == "assistant":
            calls = message.get("tool_calls")
            count = len(calls) if isinstance(calls, list) else 0
            yield _Turn(_MODEL, content, count + bool(message.get("function_call")))
        elif role in ("tool", "function"):
            yield _Turn(_TOOL, content)
        elif role == "user":
            yield _Turn(_USER, content)


def _responses(body: Mapping[str, Any]) -> Iterator[_Turn]:
    if body.get("instructions"):
        yield _Turn(_SYSTEM, body["instructions"])
    given = body.get("input")
    if isinstance(given, str):
        yield _Turn(_USER, given)
    for item in _objects(given):
        role, kind, content = item.get("role"), str(item.get("type") or ""), item.get("content")
        if role in ("system", "developer"):
            yield _Turn(_SYSTEM, content)
        elif role == "user":
            yield _Turn(_USER, content)
        elif kind.endswith("_output"):
            yield _Turn(_TOOL, None)
        elif role == "assistant" or kind.endswith("_call") or kind == "reasoning":
            yield _Turn(_MODEL, content, int(kind.endswith("_call")))


def _anthropic(body: Mapping[str, Any]) -> Iterator[_Turn]:
    system = body.get("system")
    if system:
        yield _Turn(_SYSTEM, system)
    for message in _objects(body.get("messages")):
        role, content = message.get("role"), message.get("content")
        kinds = [block.get("type") for block in _objects(content)]
        if role == "assistant":
            yield _Turn(_MODEL, content, kinds.count("tool_use"))
        elif role == "user":
            yield _Turn(_USER, content, is_result="tool_result" in kinds)


def _gemini(body: Mapping[str, Any]) -> Iterator[_Turn]:
    system = body.get("systemInstruction", body.get("system_instruction"))
    if system:
        yield _Turn(_SYSTEM, system)
    given = body.get("contents")
    for content in _objects(given if isinstance(given, list) else [given]):
        parts = list(_objects(content.get("parts")))
        if content.get("role") == "model":
            calls = sum("functionCall" in part or "function_call" in part for part in parts)
            yield _Turn(_MODEL, parts, calls)
        else:
            is_result = any("functionResponse" in part or "function_response" in part for part in parts)
            yield _Turn(_USER, parts, is_result=is_result)


def _converse(body: Mapping[str, Any]) -> Iterator[_Turn]:
    if body.get("system"):
        yield _Turn(_SYSTEM, body["system"])
    for message in _objects(body.get("messages")):
        blocks = list(_objects(message.get("content")))
        if message.get("role") == "assistant":
            yield _Turn(_MODEL, blocks, sum("toolUse" in block for block in blocks))
        elif message.get("role") == "user":
            yield _Turn(_USER, blocks, is_result=any("toolResult" in block for block in blocks))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[_Turn]]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _anthropic,
    "gemini.generate": _gemini,
    "bedrock.converse": _converse,
    "bedrock.invoke": _anthropic,
}
