"""A response object read: its usage, its status and how much of it the model wrote.

Owns what the object of `POST /v1/responses` says, whole or in the last event of a stream. It must never take for
generated what a tool of the provider returned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bursar.core.usage import Usage
from bursar.wire.acts import marks_of
from bursar.wire.base import Answer
from bursar.wire.openai_stream import tier_name
from bursar.wire.text import text_bytes, visible_tokens
from bursar.wire.usage import openai_cost, openai_usage

__all__ = ["CALLS", "frames_tokens", "generated_bytes", "has_output", "is_capped", "read_response", "usage_object"]

CALLS = ("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call")
"""Items by which the model asks the client to run a tool."""
_FRAMES = {"message": 12, "reasoning": 64}
_FRAME_OF_OTHERS = 24
"""What frames an item beside its text, in tokens: 1 to 11 were measured for a message, 21 for a call, and 54 for
reasoning that is told of as no reasoning."""
_NOT_GENERATED = frozenset(
    {
        "id", "type", "status", "role", "call_id", "encrypted_content", "annotations", "logprobs", "obfuscation",
        "output", "outputs", "result", "results", "sources", "tools", "error", "server_label", "container_id",
        "fingerprint", "phase", "pending_safety_checks", "caller", "created_by", "namespace", "execution",
    }
)  # fmt: skip
"""Keys of an item whose strings the model did not write: ids, marks, and what tools returned."""


def read_response(value: Mapping[str, Any]) -> Answer | None:
    """Read a response object; None when it is none.

    One that failed is read as well: with the usage that it tells, or without any where it tells none.
    """
    output = value.get("output")
    if value.get("object") != "response" and not isinstance(output, list):
        return None
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    shown, kinds, calls = 0, [], []
    for item in items:
        shown += generated_bytes(item)
        kind = item.get("type")
        kinds.append(kind)
        if kind in CALLS:
            calls.append(item)
    response_id = value.get("id")
    return Answer(
        _usage(value, items),
        visible_tokens(0, shown, frames_tokens(kinds)),
        is_capped(value),
        str(value.get("model") or ""),
        tier_name(value.get("service_tier")),
        openai_cost(value.get("usage")),
        len(calls),
        response_id=response_id if isinstance(response_id, str) else "",
        asked=marks_of(calls) if calls else (),
    )


def is_capped(response: Mapping[str, Any]) -> bool:
    """Did the answer end because it reached its cap?"""
    details = response.get("incomplete_details")
    return details is not None and isinstance(details, Mapping) and details.get("reason") == "max_output_tokens"


def _usage(response: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> Usage | None:
    """Split the usage, which has chat's counters under other names, and add the searches, which stand apart from it."""
    raw = response.get("usage")
    if not isinstance(raw, dict):
        return None
    return openai_usage(
        {
            "prompt_tokens": raw.get("input_tokens"),
            "completion_tokens": raw.get("output_tokens"),
            "total_tokens": raw.get("total_tokens"),
            "prompt_tokens_details": raw.get("input_tokens_details"),
            "completion_tokens_details": raw.get("output_tokens_details"),
        },
        web_searches=_searches(response, items),
    )


def _searches(response: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> int:
    """Count billed searches, as told or else as shown; opening a page or looking through it is no search."""
    tools = response.get("tool_usage")
    told = tools.get("web_search") if isinstance(tools, dict) else None
    count = told.get("num_requests") if isinstance(told, dict) else None
    if type(count) is int and 0 <= count < 2**31:
        return count
    shown = 0
    for item in items:
        shown += item.get("type") == "web_search_call" and _is_search(item.get("action"))
    return shown


def _is_search(action: object) -> bool:
    return not isinstance(action, Mapping) or action.get("type") in (None, "search")


def frames_tokens(kinds: Iterable[object]) -> int:
    """Sum what frames items of these types."""
    total = 0
    for kind in kinds:
        total += _FRAMES.get(kind, _FRAME_OF_OTHERS) if isinstance(kind, str) else _FRAME_OF_OTHERS
    return total


def generated_bytes(item: Mapping[str, Any]) -> int:
    """Count the bytes of text that an output item shows of what the model wrote."""
    size = 0
    pending: list[Any] = [item]
    for value in pending:  # It grows meanwhile.
        if type(value) is str:
            size += text_bytes(value)
        elif type(value) is dict:
            for name, inner in value.items():
                if inner and name not in _NOT_GENERATED:
                    pending.append(inner)
        elif type(value) is list:
            pending += value
    return size


def has_output(body: bytes) -> bool:
    """Does a body hold output beside whatever else it says?"""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("output"))


def usage_object(usage: Usage) -> dict[str, Any]:
    """Write usage as this API does."""
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens + usage.cache_read_audio_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_total + usage.output_total,
    }
