"""What one request asks and what its answer will be, before a byte of it is sent.

Owns the counting of tokens: of the prompt, of the cap, of the content. Pure. It must never know a wire's JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from bursar.testing.provider.invoice import Units
from bursar.testing.provider.script import Script

__all__ = ["Answer", "Ask", "Wire", "content_text", "plan", "prompt_tokens", "text_bytes"]

Wire = Literal["openai", "anthropic", "responses", "embeddings", "completions", "gemini", "bedrock"]

BYTES_PER_TOKEN = 4
PROMPT_OVERHEAD_TOKENS = 8

FILLER = b"the sun has set and the old dog ran far out for one red bag but not all who saw him got any new fun "
"""Words of three letters and a space: each token of filler is exactly four characters."""

STRUCTURE = frozenset(
    ("type", "id", "role", "status", "call_id", "tool_call_id", "tool_use_id", "cache_control", "signature",
     "thoughtSignature", "thought_signature", "encrypted_content",
     "toolUseId", "cachePoint", "redactedContent")
)  # fmt: skip
BINARY = frozenset(
    (
        "image_url",
        "input_audio",
        "file",
        "file_data",
        "source",
        "data",
        "url",
        "inlineData",
        "inline_data",
        "fileData",
        "bytes",
        "s3Location",
    )
)
NOT_TEXT = STRUCTURE | BINARY
"""Keys whose values are structure or binary data, never counted as text."""

UNCACHED: frozenset[Wire] = frozenset(("embeddings",))
UNWRITTEN: frozenset[Wire] = frozenset(("embeddings", "gemini"))
"""Wires that read nothing from a cache, or charge nothing for writing to one: those tokens are ordinary input."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to generate, parsed. `cap_tokens` is per choice, None when the request has none.

    `choices` is how many answers are generated and billed, `shown` how many of them are sent (0: all of them);
    `cap_default_tokens` is the wire's own cap where the request has none. `prior_tokens` is what an earlier response
    adds to the prompt. `body` is the request as received, for what an answer repeats of it.
    """

    wire: Wire
    model: str
    is_stream: bool
    cap_tokens: int | None
    cap_name: str
    choices: int
    wants_usage: bool
    prompt_bytes: int
    shown: int = 0
    cap_default_tokens: int | None = None
    has_output: bool = True
    previous_id: str = ""
    prior_tokens: int = 0
    is_stored: bool = False
    is_background: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request. Tokens are per choice but in `units`.

    `total_tokens` is its length after the cap, reasoning included; `stop_tokens` where generating stops, less than the
    total when a fault ends it early; `is_length` whether the cap ended it.
    """

    id: str
    created_s: int
    ask: Ask
    script: Script
    total_tokens: int
    stop_tokens: int
    is_length: bool
    prompt: Units

    @property
    def visible_tokens(self) -> int:
        """Tokens of content that are sent."""
        return max(0, self.stop_tokens - self.script.reasoning_tokens)

    @property
    def events(self) -> tuple[bytes, ...]:
        """The content as JSON strings, one per stream event."""
        return _event_pieces(_literal(self.script), self.script.output_tokens, self.visible_tokens, self._per_event)

    @property
    def _per_event(self) -> int:
        return self.script.tokens_per_event

    @property
    def text(self) -> str:
        """The content: text, or the tool call's arguments as far as they were generated."""
        return content_text(_literal(self.script), self.script.output_tokens, 0, self.visible_tokens)

    def events_ready(self, generated_tokens: int) -> int:
        """Return how many stream events are complete once `generated_tokens` exist."""
        if generated_tokens >= self.stop_tokens:
            return len(self.events)
        return max(0, generated_tokens - self.script.reasoning_tokens) // self._per_event

    def tokens_at_event(self, events: int) -> int:
        """Return the generated tokens at which `events` stream events are complete."""
        return min(self.stop_tokens, self.script.reasoning_tokens + events * self._per_event)

    def reasoning_of(self, tokens: int) -> int:
        """Return how many of the first `tokens` of one choice are reasoning."""
        return min(tokens, self.script.reasoning_tokens)

    def units(self, tokens: int) -> Units:
        """Return the prompt and `tokens` of output in each choice, as billed."""
        prompt = self.prompt
        return Units(prompt.input, prompt.cache_read, prompt.cache_write, tokens * self.ask.choices)


def plan(ask: Ask, script: Script, answer_id: str, created_s: int) -> Answer:
    """Decide the whole answer to `ask`."""
    wanted = script.reasoning_tokens + script.output_tokens if ask.has_output else 0
    own_cap = ask.cap_default_tokens if ask.cap_tokens is None else ask.cap_tokens
    caps = [cap for cap in (own_cap, script.max_output_tokens) if cap is not None]
    total = wanted if script.fault == "over_cap" else min([wanted, *caps])
    stop = total
    if script.fault == "cut":
        stop = min(total, script.fault_after_tokens)
    elif script.fault == "error_event" and ask.is_stream:
        stop = total // 2
    prompt = _prompt(script, ask)
    return Answer(answer_id, created_s, ask, script, total, stop, total < wanted, prompt)


def prompt_tokens(script: Script, prompt_bytes: int) -> int:
    """Return the size of a prompt with `prompt_bytes` bytes of text, cached parts included."""
    if script.input_tokens is not None:
        return script.input_tokens
    return max(1, -(-prompt_bytes // BYTES_PER_TOKEN)) + PROMPT_OVERHEAD_TOKENS


def _prompt(script: Script, ask: Ask) -> Units:
    total = prompt_tokens(script, ask.prompt_bytes) + ask.prior_tokens
    cache_read = 0 if ask.wire in UNCACHED else min(total, script.cached_input_tokens)
    cache_write = 0 if ask.wire in UNWRITTEN else min(total - cache_read, script.cache_write_tokens)
    return Units(total - cache_read - cache_write, cache_read, cache_write, 0)


def text_bytes(messages: Any, system: Any, tools: Any) -> int:
    """Return the UTF-8 bytes of all text: every text value of messages and system, and tools as compact JSON."""
    size = sum(_utf8_bytes(text) for text in _texts([messages, system]))
    if tools:
        size += len(json.dumps(tools, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    return size


def _texts(root: Any) -> Iterable[str]:
    pending = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(each for key, each in value.items() if key not in NOT_TEXT)


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _literal(script: Script) -> str | None:
    return script.tool_call.arguments if script.tool_call is not None else script.text


def content_text(literal: str | None, tokens: int, start: int, end: int) -> str:
    """Return tokens [start, end) of a content of `tokens` tokens: the literal spread evenly, or filler."""
    if literal is None:
        return _filler(end)[BYTES_PER_TOKEN * start :]
    if tokens == 0:
        return ""
    return literal[start * len(literal) // tokens : end * len(literal) // tokens]


@lru_cache(maxsize=64)
def _filler(tokens: int) -> str:
    size = BYTES_PER_TOKEN * tokens
    return (FILLER * (size // len(FILLER) + 1))[:size].decode()


@lru_cache(maxsize=64)
def _event_pieces(literal: str | None, tokens: int, visible: int, per_event: int) -> tuple[bytes, ...]:
    text = content_text(literal, tokens, 0, visible)
    if literal is None:
        step = BYTES_PER_TOKEN * per_event
        return tuple(json.dumps(text[at : at + step]).encode() for at in range(0, len(text), step))
    starts = range(0, visible, per_event)
    return tuple(json.dumps(content_text(literal, tokens, at, min(at + per_event, visible))).encode() for at in starts)
