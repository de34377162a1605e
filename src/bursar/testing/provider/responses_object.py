"""The response object of OpenAI's Responses: its items, its usage, and what it repeats of the request.

Owns that JSON in every status, for whole answers, events and stored responses alike. It must never decide a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer
from bursar.testing.provider.invoice import Ended

__all__ = [
    "Status",
    "input_items",
    "item_id",
    "message_part",
    "output_items",
    "reasoning_item",
    "response_object",
    "status_of",
    "usage_object",
    "visible_item",
]

Status = Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
WITH_OUTPUT = ("completed", "incomplete")
ID_PREFIX = "resp_"
ENCRYPTED = "gAAAAAscripted"
"""What stands for reasoning that only the provider can read."""
REPEATED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""What a response repeats of its request, and what it says where the request is silent."""


def status_of(ended: Ended) -> Status:
    """Return the status of a response whose call ended so."""
    if ended == "complete":
        return "completed"
    if ended == "length":
        return "incomplete"
    return "cancelled" if ended == "cancelled" else "failed"


def response_object(answer: Answer, status: Status) -> dict[str, Any]:
    """Return the response in `status`. Output and usage stand in it once it has run to its end."""
    ask = answer.ask
    is_over = status in WITH_OUTPUT
    error = {"code": "server_error", "message": "An error occurred while processing your request."}
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "response",
        "created_at": answer.created_s,
        "status": status,
        "background": ask.is_background,
        "error": error if status == "failed" else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": ask.model,
        "output": output_items(answer) if is_over else [],
        "service_tier": "default" if is_over else "auto",
        **{name: default if ask.body.get(name) is None else ask.body[name] for name, default in REPEATED.items()},
        "usage": usage_object(answer, answer.stop_tokens) if is_over else None,
    }
    if answer.script.fault == "no_usage":
        del body["usage"]
    return body


def usage_object(answer: Answer, tokens: int) -> dict[str, Any]:
    """Return the usage of an answer of `tokens`."""
    units = answer.units(tokens)
    prompt = units.input + units.cache_read + units.cache_write
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": units.cache_read, "cache_write_tokens": units.cache_write},
        "output_tokens": units.output,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_of(tokens)},
        "total_tokens": prompt + units.output,
    }


def item_id(answer: Answer, prefix: str) -> str:
    """Return the id of one of an answer's items."""
    return prefix + answer.id.removeprefix(ID_PREFIX)


def output_items(answer: Answer) -> list[dict[str, Any]]:
    """Return the finished items: reasoning, if there is any, then a message or the call of a tool."""
    items = [reasoning_item(answer)] if answer.script.reasoning_tokens > 0 else []
    if answer.visible_tokens > 0:
        items.append(visible_item(answer, answer.text, "incomplete" if answer.is_length else "completed"))
    return items


def reasoning_item(answer: Answer) -> dict[str, Any]:
    """Return the item of hidden reasoning, with its encrypted content where the request asks for it."""
    item: dict[str, Any] = {"id": item_id(answer, "rs_"), "type": "reasoning", "summary": []}
    if "reasoning.encrypted_content" in (answer.ask.body.get("include") or ()):
        item["encrypted_content"] = ENCRYPTED
    return item


def visible_item(answer: Answer, text: str | None, status: str) -> dict[str, Any]:
    """Return the message or the call that holds `text`; None is a message that has no content yet."""
    call = answer.script.tool_call
    if call is None:
        content = [] if text is None else [message_part(text)]
        message = {"id": item_id(answer, "msg_"), "type": "message", "status": status, "content": content}
        return {**message, "role": "assistant"}
    return {
        "id": item_id(answer, "fc_"),
        "type": "function_call",
        "status": status,
        "arguments": text or "",
        "call_id": item_id(answer, "call_"),
        "name": call.name,
    }


def message_part(text: str) -> dict[str, Any]:
    """Return a message's part of text."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def input_items(answer: Answer) -> list[dict[str, Any]]:
    """Return the request's own input as items, each with an id and its content in parts."""
    given = answer.ask.body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    return [_item(answer, index, item) for index, item in enumerate(items)]


def _item(answer: Answer, index: int, item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    known = {"id": item_id(answer, "msg_" if kind == "message" else "item_") + f"_{index}", "type": kind, **item}
    if kind == "message":
        known.setdefault("status", "completed")
        if isinstance(item.get("content"), str):
            part = "output_text" if item.get("role") == "assistant" else "input_text"
            known["content"] = [{"type": part, "text": item["content"]}]
    return known
