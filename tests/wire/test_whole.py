"""Whole answers are read, and counted from above where they tell no usage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Answer
from bursar.wire.openai_chat import OpenAIChat

OPENAI, ANTHROPIC = OpenAIChat(), AnthropicMessages()
CHAT = OPENAI.parse(b'{"model":"m","messages":[]}')
MESSAGE = ANTHROPIC.parse(b'{"model":"m","messages":[],"max_tokens":9}')


def test_a_whole_chat_answer_without_usage_is_counted() -> None:
    body = {
        "model": "m",
        "choices": [{"finish_reason": "length", "message": {"role": "assistant", "content": "é" * 30}}],
    }
    answer = OPENAI.read_whole(CHAT, json.dumps(body).encode())
    assert answer == Answer(usage=None, visible_tokens=20, is_capped=True, model="m")


def test_a_whole_message_without_usage_is_counted() -> None:
    content = [{"type": "text", "text": "abc"}, {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]
    body = {"type": "message", "model": "m", "content": content, "stop_reason": "max_tokens"}
    answer = ANTHROPIC.read_whole(MESSAGE, json.dumps(body).encode())
    assert answer == Answer(usage=None, visible_tokens=4 + 60, is_capped=True, model="m", tool_calls=1)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"{}", b'{"error":{"message":"x"}}', b"[" * 100_000])
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert OPENAI.read_whole(CHAT, body) is None
    assert ANTHROPIC.read_whole(MESSAGE, body) is None


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [5, {"message": 5}, {"message": {"tool_calls": 5}}]},
        {"choices": 5, "usage": {}},
        {"choices": [], "model": 5},
    ],
)
def test_odd_answers_never_raise(body: dict[str, Any]) -> None:
    answer = OPENAI.read_whole(CHAT, json.dumps(body).encode())
    assert answer is not None
    assert answer.usage is None
    odd = {"type": "message", "content": [5, {"type": "tool_use", "input": 5}, {"type": "text", "text": 5}], "usage": 5}
    assert ANTHROPIC.read_whole(MESSAGE, json.dumps(odd).encode()) is not None
