"""What a conversation tells of its run, in every API: answers and tool calls since the user spoke, and how it began."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.wire.base import Request
from bursar.wire.conversation import Conversation, conversation_of, steps_of
from bursar.wiring.wires import Named, Wires

WIRES = Wires(2**20)
NAMES = {"chat": "openai.chat", "responses": "openai.responses", "messages": "anthropic.messages"}


def chat(turns: list[str], **more: Any) -> dict[str, Any]:
    """u: the user speaks, t: the model calls a tool, r: its result, T: two tools at once, a: it answers."""
    said: dict[str, list[Any]] = {
        "u": [{"role": "user", "content": "find x"}],
        "t": [{"role": "assistant", "content": None, "tool_calls": [_call("1")]}],
        "T": [{"role": "assistant", "content": None, "tool_calls": [_call("1"), _call("2")]}],
        "r": [{"role": "tool", "tool_call_id": "1", "content": "y"}],
        "a": [{"role": "assistant", "content": "done"}],
    }
    system = [{"role": "system", "content": more.get("system", "be brief")}]
    return {"model": "m", "messages": system + [each for turn in turns for each in said[turn]]}


def _call(name: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def responses(turns: list[str], **more: Any) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    said: dict[str, list[Any]] = {
        "u": [{"role": "user", "content": "find x"}],
        "t": [{"type": "reasoning", "summary": []}, call],
        "T": [call, {**call, "call_id": "2"}],
        "r": [{"type": "function_call_output", "call_id": "1", "output": "y"}],
        "a": [{"role": "assistant", "content": "done"}],
    }
    items = [each for turn in turns for each in said[turn]]
    return {"model": "m", "instructions": more.get("system", "be brief"), "input": items}


def messages(turns: list[str], **more: Any) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    said: dict[str, Any] = {
        "u": {"role": "user", "content": "find x"},
        "t": {"role": "assistant", "content": [use]},
        "T": {"role": "assistant", "content": [use, {**use, "id": "2"}]},
        "r": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "y"}]},
        "a": {"role": "assistant", "content": "done"},
    }
    return {
        "model": "m",
        "max_tokens": 9,
        "system": more.get("system", "be brief"),
        "messages": [said[turn] for turn in turns],
    }


def gemini(turns: list[str], **more: Any) -> dict[str, Any]:
    call = {"functionCall": {"name": "f", "args": {}}}
    said: dict[str, Any] = {
        "u": {"role": "user", "parts": [{"text": "find x"}]},
        "t": {"role": "model", "parts": [call]},
        "T": {"role": "model", "parts": [call, call]},
        "r": {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": 1}}}]},
        "a": {"role": "model", "parts": [{"text": "done"}]},
    }
    system = {"parts": [{"text": more.get("system", "be brief")}]}
    return {"systemInstruction": system, "contents": [said[turn] for turn in turns]}


SHAPES: dict[str, Any] = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini}


def asked(shape: str, turns: str, **more: Any) -> Request:
    wire = (
        WIRES.wire(NAMES[shape])
        if shape in NAMES
        else WIRES.naming(Named("m", "v1beta", is_stream=False, is_sse=False))
    )
    return wire.parse(json.dumps(SHAPES[shape](list(turns), **more)).encode())


def talk(shape: str, turns: str, **more: Any) -> Conversation:
    found = conversation_of(asked(shape, turns, **more))
    assert found is not None
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("turns", "answers", "tool_calls", "is_asking"),
    [
        ("u", 0, 0, True),
        ("utr", 1, 1, False),
        ("utrtr", 2, 2, False),
        ("uTrr", 1, 2, False),
        ("utrau", 0, 0, True),
        ("utrautr", 1, 1, False),
    ],
)
def test_answers_and_tool_calls_count_since_the_user_last_spoke(
    shape: str, turns: str, answers: int, tool_calls: int, is_asking: bool
) -> None:
    assert steps_of(asked(shape, turns)) == (answers, tool_calls)
    assert talk(shape, turns).is_asking is is_asking


class Unread(dict[str, Any]):
    """A message that nobody looks at."""

    def get(self, *names: Any) -> Any:
        raise AssertionError(names)


@pytest.mark.parametrize("shape", SHAPES)
def test_of_a_long_conversation_only_its_end_and_its_beginning_are_read(shape: str) -> None:
    request = asked(shape, "utrautr")
    items = request.body["contents" if shape == "gemini" else "input" if shape == "responses" else "messages"]
    last = max(at for at, each in enumerate(items) if "find x" in json.dumps(each))
    first = next(at for at, each in enumerate(items) if "find x" in json.dumps(each))
    items[first + 1 : last] = [Unread() for _ in items[first + 1 : last]]
    assert steps_of(request) == (1, 1)
    assert conversation_of(request) == Conversation(talk(shape, "u").opening, is_asking=False)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_requests_of_one_conversation_begin_alike_and_others_do_not(shape: str) -> None:
    first = talk(shape, "u").opening
    assert first
    assert {talk(shape, turns).opening for turns in ("utr", "utrtr", "utrau")} == {first}
    assert talk(shape, "u", system="be long").opening != first


def test_marks_for_the_cache_and_claude_codes_changing_line_are_no_part_of_the_beginning() -> None:
    plain = [{"type": "text", "text": "be brief"}]
    marked = [
        {"type": "text", "text": "x-anthropic-billing-header: 7"},
        {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
    ]
    assert talk("messages", "u", system=marked).opening == talk("messages", "u", system=plain).opening


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai.embeddings", {"model": "m", "input": "x"}),
        ("openai.completions", {"model": "m", "prompt": "x"}),
    ],
)
def test_an_api_without_conversations_tells_nothing(name: str, body: dict[str, Any]) -> None:
    request = WIRES.wire(name).parse(json.dumps(body).encode())
    assert conversation_of(request) is None
    assert steps_of(request) == (0, 0)
