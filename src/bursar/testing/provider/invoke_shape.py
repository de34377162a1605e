"""The wire of Bedrock's InvokeModel: Anthropic's messages, wrapped as Bedrock wraps them, and Amazon's embeddings.

Owns the wrapping. It must never write a message of its own: that is `anthropic_shape.py`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bursar.testing.provider.answer import Answer, Ask, Wire, text_bytes
from bursar.testing.provider.anthropic_shape import AnthropicShape
from bursar.testing.provider.bedrock_shape import BedrockErrors, event
from bursar.testing.provider.shape import Problem, compact, required

__all__ = ["InvokeShape"]

INNER = AnthropicShape()
VECTOR = (0.6, 0.8)


class InvokeShape(BedrockErrors):
    """Speak Anthropic's messages through InvokeModel."""

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as Bedrock would refuse it."""
        if "inputText" in body:
            return _embedding(self.wire, body)
        if not isinstance(body.get("anthropic_version"), str):
            raise Problem(400, "anthropic_version: Field required")
        return replace(INNER.ask(body), wire=self.wire)

    def answer_id(self, unique: str) -> str:
        """Return an answer's id."""
        return f"msg_bdrk_{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        if not answer.ask.has_output:
            return compact({"embedding": VECTOR, "inputTextTokenCount": answer.prompt.input})
        return INNER.whole(answer)

    def opening(self, answer: Answer) -> bytes:
        """Return message_start and the start of the content; there are no pings."""
        return _wrapped(INNER.opening(answer))

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the content_block_delta events [start, end)."""
        return _wrapped(INNER.content(answer, start, end))

    def closing(self, answer: Answer) -> bytes:
        """Return the end of the message; Bedrock writes its own counts into the last event."""
        units = answer.units(answer.stop_tokens)
        counts = {"inputTokenCount": units.input, "outputTokenCount": units.output, "invocationLatency": 1}
        return _wrapped(INNER.closing(answer), {"amazon-bedrock-invocationMetrics": counts})

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return a message_delta that reports usage so far."""
        return _wrapped(INNER.usage(answer, tokens))

    def broken(self, answer: Answer) -> bytes:
        """Return a chunk whose inner JSON stops in the middle."""
        return _chunk(b'{"type":"content_block_delta","index":0,"delta":{"ty')

    def long_line(self, size_bytes: int) -> bytes:
        """Return a ping of about `size_bytes` bytes."""
        return event("chunk", {"bytes": b64encode(b'{"type":"ping"}').decode(), "p": "x" * size_bytes})

    def keep_alive(self) -> bytes:
        """Return a ping."""
        return _chunk(b'{"type":"ping"}')


def _embedding(wire: Wire, body: Mapping[str, Any]) -> Ask:
    """Parse a request for Amazon's embeddings."""
    text = required(body, "inputText", str, Problem(400, "inputText: expected minLength: 1"))
    return Ask(
        wire=wire,
        model=body["model"],
        is_stream=False,
        cap_tokens=None,
        cap_name="",
        choices=1,
        wants_usage=True,
        prompt_bytes=text_bytes(text, None, None),
        has_output=False,
    )


def _chunk(data: bytes) -> bytes:
    return event("chunk", {"bytes": b64encode(data).decode()})


def _wrapped(events: bytes, last: Mapping[str, Any] | None = None) -> bytes:
    """Wrap each of Anthropic's events in a chunk; `last` is added to the message_stop."""
    written = []
    for each in events.split(b"\n\n"):
        data = each.partition(b"data: ")[2]
        if b'"type":"message_stop"' in data and last is not None:
            data = compact({**json.loads(data), **last})
        if data and b'"ping"' not in data:
            written.append(_chunk(data))
    return b"".join(written)
