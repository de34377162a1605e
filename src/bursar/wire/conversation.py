"""What a request's conversation tells of the run behind it: answers and tool calls so far, and how it began.

Owns that reading for every API that takes conversations. It measures no money, changes nothing, and looks at a body
only when a guard asks: what it cannot read it passes over. A long conversation is not read whole: its beginning for its
name, its end for how far it has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
result."""

_SYSTEM, _USER, _MODEL, _TOOL = "system", "user", "model", "tool"


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where a body has its conversation."""

    systems: tuple[str, ...]
    """Fields that may have a system prompt beside the messages; the first that is there counts."""
    messages: str
    read: Callable[[Mapping[str, Any]], _Turn | None]
    """Reads one message; None for what is none."""
    is_users: bool = False
    """The role `user` is the user's own, and never a tool's result."""


def conversation_of(request: Request) -> Conversation | None:
    """Read a request's conversation; None for an API that has none, and for one that shows only its last part."""
    shape = _SHAPES.get(request.wire)
    if shape is None:
        return None
    messages = _messages(request.body, shape)
    return Conversation(_opening(request.body, shape, messages), _is_asking(shape, messages))


def steps_of(request: Request) -> tuple[int, int]:
    """Count the answers of the model, and its tool calls, since the user last said something; 0 where none is known."""
    shape = _SHAPES.get(request.wire)
    if shape is None:
        return 0, 0
    read = shape.read
    answers = tool_calls = 0
    after = ""
    given = request.body.get(shape.messages)
    if shape.is_users and type(given) is list and given:
        last = given[-1]
        if type(last) is dict and last.get("role") == _USER:
            return 0, 0  # As with every first request of an agent.
    for message in reversed(_messages(request.body, shape)):
        turn = read(message) if isinstance(message, dict) else None
        if turn is None:
            continue
        role, _, calls, is_result = turn
        if role == _USER and not is_result:
            break
        if role == _MODEL:
            # Several items of one answer follow each other.
            answers += after != _MODEL
            tool_calls += calls
        after = role
    return answers, tool_calls


def _messages(body: Mapping[str, Any], shape: _Shape) -> Sequence[Any]:
    """Give the messages as the body has them; one that stands alone, or is a bare text, is the user's."""
    given = body.get(shape.messages)
    if isinstance(given, list):
        return given
    return [{"role": "user", "content": given} if isinstance(given, str) else given]


def _is_asking(shape: _Shape, messages: Sequence[Any]) -> bool:
    for message in reversed(messages):
        turn = shape.read(message) if isinstance(message, dict) else None
        if turn is not None and turn[0] != _SYSTEM:
            return turn[0] == _USER and not turn[3]
    return False


def _opening(body: Mapping[str, Any], shape: _Shape, messages: Iterable[Any]) -> bytes:
    system = next((body[name] for name in shape.systems if name in body), None)
    found = [[_SYSTEM, _plain(system)]] if system else []
    for message in messages:
        turn = shape.read(message) if isinstance(message, dict) else None
        if turn is None:
            continue
        role, content, _, _ = turn
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


def _chat(message: Mapping[str, Any]) -> _Turn | None:
    role, content = message.get("role"), message.get("content")
    if role == "user":
        return _USER, content, 0, False
    if role == "assistant":
        calls = message.get("tool_calls")
        count = len(calls) if isinstance(calls, list) else 0
        return _MODEL, content, count + bool(message.get("function_call")), False
    if role in ("tool", "function"):
        return _TOOL, content, 0, False
    return (_SYSTEM, content, 0, False) if role in ("system", "developer") else None


def _responses(item: Mapping[str, Any]) -> _Turn | None:
    role, kind, content = item.get("role"), str(item.get("type") or ""), item.get("content")
    if role in ("system", "developer"):
        return _SYSTEM, content, 0, False
    if role == "user":
        return _USER, content, 0, False
    if kind.endswith("_output"):
        return _TOOL, None, 0, False
    if role == "assistant" or kind.endswith("_call") or kind == "reasoning":
        return _MODEL, content, int(kind.endswith("_call")), False
    return None


def _anthropic(message: Mapping[str, Any]) -> _Turn | None:
    role, content = message.get("role"), message.get("content")
    kinds = [block.get("type") for block in _objects(content)]
    if role == "assistant":
        return _MODEL, content, kinds.count("tool_use"), False
    return (_USER, content, 0, "tool_result" in kinds) if role == "user" else None


def _gemini(content: Mapping[str, Any]) -> _Turn:
    parts = _objects(content.get("parts"))
    if content.get("role") == "model":
        return _MODEL, parts, sum(["functionCall" in part or "function_call" in part for part in parts]), False
    return _USER, parts, 0, any("functionResponse" in part or "function_response" in part for part in parts)


def _converse(message: Mapping[str, Any]) -> _Turn | None:
    role, blocks = message.get("role"), _objects(message.get("content"))
    if role == "assistant":
        return _MODEL, blocks, sum("toolUse" in block for block in blocks), False
    return (_USER, blocks, 0, any("toolResult" in block for block in blocks)) if role == "user" else None


_SHAPES: Mapping[str, _Shape] = {
    "openai.chat": _Shape((), "messages", _chat, is_users=True),
    "openai.responses": _Shape(("instructions",), "input", _responses, is_users=True),
    "anthropic.messages": _Shape(("system",), "messages", _anthropic),
    "gemini.generate": _Shape(("systemInstruction", "system_instruction"), "contents", _gemini),
    "bedrock.converse": _Shape(("system",), "messages", _converse),
    "bedrock.invoke": _Shape(("system",), "messages", _anthropic),
}
