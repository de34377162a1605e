"""A chat answer read, whole or as it streams, and ended early.

Owns what chunks of `chat.completion.chunk` say: text, tools, ends, usage. It must never rewrite one; the only thing
that it keeps back is the usage chunk that bursar itself asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.events import EventReader, write_event
from bursar.wire.refusals import openai_refusal
from bursar.wire.strict_json import dump
from bursar.wire.text import strings_bytes, text_bytes, visible_tokens
from bursar.wire.usage import openai_cost, openai_usage, output_told

__all__ = ["ChatReader", "read_completion", "usage_object"]

_NOT_GENERATED = frozenset(
    {"role", "id", "type", "index", "annotations", "data", "expires_at", "reasoning_details", "signature"}
)
"""Keys of a delta whose strings are not generated text (`reasoning_details` repeats `reasoning`)."""
_CHOICES_SEEN_MAX = 1_024
TOOL_CALL_TOKENS = 12
"""What frames a tool call beside its name and arguments: 4 to 12 tokens were measured."""
_TIER_ORDINARY = frozenset({"default", "auto", "standard", "on_demand"})


class ChatReader(EventReader):
    """Read one streamed chat answer."""

    _text_mark = b'"content":"'

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._is_usage_hidden = not request.wants_usage
        self._open = dict.fromkeys(range(request.choices), True)
        self._head: dict[str, Any] = {}
        self._usage: object = None
        self._tier = ""
        self._model = ""
        self._tools: set[tuple[int, object]] = set()
        self._is_capped = False
        self._is_done = False

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far."""
        return visible_tokens(self._pieces, self._bytes, TOOL_CALL_TOKENS * len(self._tools))

    @property
    def is_finished(self) -> bool:
        """`[DONE]` has passed, or every choice has ended and usage was told: nothing that is billed can follow."""
        return self._is_done or (self._usage is not None and not any(self._open.values()))

    @property
    def is_complete(self) -> bool:
        """Something has been seen and every choice has ended, with or without usage or `[DONE]`."""
        return self._is_done or (bool(self._head) and not any(self._open.values()))

    def error(self, refusal: Refusal) -> bytes:
        """Write an error as this API does in a stream."""
        return write_event(openai_refusal(refusal))

    def answer(self) -> Answer:
        """Say what is known now."""
        return Answer(
            usage=openai_usage(self._usage),
            visible_tokens=max(self.visible_tokens, output_told(self._usage)),
            is_capped=self._is_capped,
            model=self._model,
            service_tier=self._tier,
            cost_reported=openai_cost(self._usage),
            tool_calls=len(self._tools),
        )

    def cut(self, usage: Usage) -> bytes:
        """End every open choice with `length`, then usage if the client wants it, then `[DONE]`."""
        if self._is_done:
            return b""
        self._is_done = True
        head = {
            "id": "chatcmpl-cut",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": self._request.model,
            **self._head,
        }
        chunks = []
        for index, is_open in self._open.items():
            if is_open:
                ended = {"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"}
                chunks.append(write_event(dump({**head, "choices": [ended]})))
        if self._request.wants_usage:
            chunks.append(write_event(dump({**head, "choices": [], "usage": usage_object(usage)})))
        chunks.append(write_event(b"[DONE]"))
        return b"".join(chunks)

    def _mark(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            self._is_done = True

    def _read(self, value: dict[str, Any]) -> bool:
        choices = value.get("choices")
        if not self._head and value.get("id"):
            self._head = {
                name: value[name]
                for name in ("id", "object", "created", "model", "system_fingerprint")
                if _is_writable(value.get(name))
            }
        if not self._model and isinstance(value.get("model"), str):
            self._model = value["model"]
        if value.get("service_tier"):
            self._tier = tier_name(value["service_tier"])
        if value.get("error"):
            self.is_error = True
        usage = value.get("usage") or _inner_usage(value.get("x_groq"))
        if usage:
            self._usage = usage
        if isinstance(choices, list) and choices:
            self._is_plain = not usage and not self.is_error
            for choice in choices:
                if isinstance(choice, dict):
                    self._read_choice(choice)
            return True
        return not (self._is_usage_hidden and choices == [] and isinstance(value.get("usage"), dict))

    def _read_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        delta = choice.get("delta")
        if delta and isinstance(delta, dict):
            content = delta.get("content")
            if type(content) is str and len(delta) == 1:
                size = text_bytes(content)
            else:
                size = generated_bytes(delta)
                self._read_tools(index, delta)
                self._is_plain = False
            self._add_text(size)
        reason = choice.get("finish_reason")
        if reason is not None:
            self._open[index] = False
            self._is_plain = False
            if reason == "length":
                self._is_capped = True
        elif index not in self._open and len(self._open) < _CHOICES_SEEN_MAX:
            self._open[index] = True
        usage = choice.get("usage")
        if usage:  # Moonshot tells it inside the last choice.
            self._usage = usage
            self._is_plain = False

    def _read_tools(self, index: int, delta: Mapping[str, Any]) -> None:
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, Mapping) and len(self._tools) < _CHOICES_SEEN_MAX:
                place = call.get("index")
                self._tools.add((index, place if type(place) is int else str(call.get("id"))))
        if delta.get("function_call"):
            self._tools.add((index, "function_call"))


def read_completion(body: Mapping[str, Any]) -> Answer | None:
    """Read a whole answer; None when it is no chat completion."""
    choices: Any = body.get("choices")
    usage: Any = body.get("usage")
    if type(choices) is not list:
        if type(usage) is not dict:
            return None
        choices = ()
    told = openai_usage(usage)
    size, tools, is_capped = 0, 0, False
    for choice in choices:
        if type(choice) is not dict:
            continue
        if choice.get("finish_reason") == "length":
            is_capped = True
        message = choice.get("message")
        if type(message) is dict:
            if told is None:
                size += generated_bytes(message)
            if "tool_calls" in message or "function_call" in message:
                calls = message.get("tool_calls")
                tools += len(calls) if type(calls) is list else bool(message.get("function_call"))
    # What a usage says that adds up need not be looked for, nor what can be seen beside it.
    output = usage["completion_tokens"] if told is not None and "output_tokens" not in usage else output_told(usage)
    model, tier = body.get("model"), body.get("service_tier")
    return Answer(
        told,
        max(visible_tokens(0, size, TOOL_CALL_TOKENS * tools), output),
        is_capped,
        model if type(model) is str else "",
        tier_name(tier) if tier else "",
        openai_cost(usage),
        tools,
    )


def generated_bytes(delta: Mapping[str, Any]) -> int:
    """Count the bytes of text that a delta or message shows: content, reasoning, refusal, names and arguments."""
    size = 0
    pending: list[Mapping[str, Any]] = [delta]
    for inner in pending:  # It grows meanwhile.
        for name, value in inner.items():
            if not value or name in _NOT_GENERATED:
                continue
            if type(value) is str:
                size += len(value) if value.isascii() else text_bytes(value)
            elif type(value) is dict:
                pending.append(value)
            elif type(value) is list:
                pending.extend(item for item in value if type(item) is dict)
                size += sum(strings_bytes(item) for item in value if type(item) is not dict)
    return size


def tier_name(tier: object) -> str:
    """Name a service tier as prices do: the ordinary one is empty."""
    return tier if isinstance(tier, str) and tier not in _TIER_ORDINARY else ""


def usage_object(usage: Usage) -> dict[str, Any]:
    """Write usage as this API does."""
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens + usage.cache_read_audio_tokens,
            "audio_tokens": usage.input_audio_tokens + usage.cache_read_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }


def _inner_usage(value: object) -> object:
    return value.get("usage") if isinstance(value, Mapping) else None


def _is_writable(value: object) -> bool:
    """Tell whether a provider's value can be written again as strict JSON."""
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return type(value) is int
