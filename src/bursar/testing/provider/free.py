"""What a provider answers for nothing: lists of models, counts of tokens, stored responses.

Owns those bodies and who may ask for them. It must never put anything on the invoice but the end of what it cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bursar.testing.provider.answer import Wire, prompt_tokens, text_bytes
from bursar.testing.provider.gemini_shape import field_of, pretty, prompt_bytes_of
from bursar.testing.provider.responses_kept import KeptResponses
from bursar.testing.provider.responses_object import response_object
from bursar.testing.provider.routes import Route
from bursar.testing.provider.script import Script
from bursar.testing.provider.shape import Problem, compact, required

__all__ = ["count_body", "model_body", "models_body", "stored_body"]

PAGE_DEFAULT = 20
PAGE_MAX = 100
GEMINI_INPUT_MAX = 1_048_576
GEMINI_OUTPUT_MAX = 65_536
GEMINI_METHODS = ("generateContent", "countTokens")


def models_body(wire: Wire, scripts: Mapping[str, Script]) -> bytes:
    """Return the list of the models that have a script of their own."""
    entries = [_model(wire, name, script) for name, script in scripts.items()]
    if wire == "gemini":
        return pretty({"models": entries})
    if wire != "anthropic":
        return compact({"object": "list", "data": entries})
    names = list(scripts)
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return compact({"data": entries, "has_more": False, **ends})


def model_body(wire: Wire, name: str, script: Script) -> bytes:
    """Return what is known of one model; every name is one, as for a call."""
    entry = _model(wire, name, script)
    return pretty(entry) if wire == "gemini" else compact(entry)


def _model(wire: Wire, name: str, script: Script) -> dict[str, Any]:
    if wire == "gemini":
        return _gemini_model(name, script)
    if wire == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "scripted"}


def _gemini_model(name: str, script: Script) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": GEMINI_INPUT_MAX,
        "outputTokenLimit": script.max_output_tokens or GEMINI_OUTPUT_MAX,
        "supportedGenerationMethods": list(GEMINI_METHODS),
    }


def count_body(wire: Wire, request: Mapping[str, Any], script_of: Callable[[str], Script]) -> bytes:
    """Return the size of a prompt, as it would be billed. Raises Problem for a request that has none."""
    model = required(request, "model", str, Problem(400, "model: Field required"))
    script = script_of(model)
    if wire == "gemini":
        asked = field_of(request, "generateContentRequest") or request
        if not isinstance(asked, dict) or not asked.get("contents"):
            raise Problem(400, "* CountTokensRequest.contents: contents is not specified\n")
        total = prompt_tokens(script, prompt_bytes_of(asked))
        details = [{"modality": "TEXT", "tokenCount": total}]
        return pretty({"totalTokens": total, "promptTokensDetails": details})
    if wire == "responses":
        size_bytes = text_bytes(request.get("input"), request.get("instructions"), request.get("tools"))
        return compact({"object": "response.input_tokens", "input_tokens": prompt_tokens(script, size_bytes)})
    messages = required(request, "messages", list, Problem(400, "messages: Field required"))
    size_bytes = text_bytes(messages, request.get("system"), request.get("tools"))
    return compact({"input_tokens": prompt_tokens(script, size_bytes)})


def stored_body(kept: KeptResponses, route: Route, headers: Mapping[str, str], now_s: float) -> bytes:
    """Return the answer to a request about a stored response. Raises Problem when there is none."""
    response_id = str(route.fields["id"])
    found = kept.find(response_id)
    if found.answer.script.needs_key and not route.shape.has_key(headers):
        raise route.shape.missing_key()
    if route.action == "delete":
        kept.forget(response_id)
        return compact({"id": response_id, "object": "response", "deleted": True})
    if route.action == "input_items":
        return compact(_page(list(found.items), route.fields))
    if route.fields.get("stream") == "true":
        raise Problem(400, "The scripted provider does not stream stored responses.", param="stream")
    if route.action == "cancel":
        found = kept.cancel(response_id, now_s)
    return compact(response_object(found.answer, found.status(now_s)))


def _page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of items, newest first unless the query says otherwise."""
    if query.get("order", "desc") == "desc":
        items.reverse()
    asked = query.get("limit", str(PAGE_DEFAULT))
    if not asked.isdecimal() or not 1 <= int(asked) <= PAGE_MAX:
        raise Problem(400, f"Invalid 'limit': expected a value from 1 to {PAGE_MAX}.", param="limit")
    ids = [item.get("id") for item in items]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    page = items[start : start + int(asked)]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **ends, "has_more": start + len(page) < len(items)}
