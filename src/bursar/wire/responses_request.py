"""A responses request read: what it may cost at most, where its input sits, whose it is.

Owns the fields of `POST /v1/responses` that decide money. It must never let through what it cannot bound, nor refuse a
field only because it is new: Codex sends new ones every month.

Refused, each naming its field: `background` (it would be billed unseen), `conversation`, stored prompts and references
to items (their content stays at the provider), files by id or URL, audio, tools that the provider runs (a web search
passes with `max_tool_calls`), `models` and `plugins` of routers, unknown service tiers, and the fields of
`refuse_control_fields`. Left out, and told in `dropped`: the web search that Codex adds to its tools by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES, shape_key, split
from bursar.wire.base import Anatomy, Request
from bursar.wire.fields import (
    count_field,
    flag_field,
    list_field,
    model_field,
    refuse_control_fields,
)
from bursar.wire.openai_common import labels, mentions_cache, service_tiers
from bursar.wire.plain import plain_fields, plain_messages, plain_model
from bursar.wire.responses_items import SYSTEM_ROLES, TEXT_PARTS, measure_input
from bursar.wire.responses_tools import check_tools, searches_most, without_unasked_search
from bursar.wire.strict_json import Parsed, dump_parsed
from bursar.wire.text import strings_bytes, text_bytes
from bursar.wire.written import kept

__all__ = ["CAP_LEAST", "CAP_NAME", "PLAIN", "SEARCH_TOKENS_MOST", "read_plain", "read_request"]

CAP_NAME = "max_output_tokens"
CAP_LEAST = 16
"""The smallest cap that the API takes."""
SEARCH_TOKENS_MOST = 25_000
"""What one web search can add to the input, beside the conversation that is read again."""
ID_LENGTH_MAX = 256
_TIERS: dict[str, tuple[str, ...]] = {
    "auto": ("",),
    "default": ("",),
    "standard": ("",),
    "flex": ("", "flex"),
    "priority": ("", "priority"),
    "fast": ("", "priority"),
    "scale": ("", "scale"),
    "ultrafast": ("", "ultrafast"),
}
"""Service tiers by request value; what asks for another tier may still be served, and billed, as ordinary."""
_COUNTED_ELSEWHERE = frozenset(
    {
        "model", "input", "instructions", "tools", "text", "metadata", "client_metadata", "user", "safety_identifier",
        "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "service_tier", "reasoning",
        "tool_choice", "include", "truncation", "previous_response_id", "stream_options", "moderation",
        "access_programs", "background_options", "context_management", "image", "modalities",
    }
)  # fmt: skip
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""


PLAIN = frozenset(
    {
        "model", "input", "instructions", "stream", "max_output_tokens", "temperature", "top_p", "store", "truncation",
        "parallel_tool_calls", "top_logprobs", "user", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention",
    }
)  # fmt: skip
"""A body of nothing but these is read by `read_plain`, where their values are plain as well."""


def read_plain(wire: str, parsed: Parsed) -> Request | None:
    """Read a body of plain texts in one go, and to its last leaf; None for any other.

    `read_request` reads those, and this very request as well. Raises BadRequest as it does.
    """
    body = parsed.body
    items, model, instructions = body.get("input"), plain_model(body.get("model")), body.get("instructions", "")
    if type(instructions) is not str or not model or not body.keys() <= PLAIN:
        return None
    if type(items) is str:
        measured: tuple[int, int, int, list[str]] | None = (0, 0, text_bytes(items) + FRAME_BYTES, [])
    else:
        measured = plain_messages(items, SYSTEM_ROLES, TEXT_PARTS) if type(items) is list else None
    size_bytes = plain_fields(body, "input", _COUNTED_ELSEWHERE)
    if measured is None or size_bytes is None:
        return None
    system, history, user, system_text = measured
    cap = count_field(body, CAP_NAME) if CAP_NAME in body else None
    return Request(
        wire,
        model,
        kept(parsed, body),
        "stream" in body and flag_field(body, "stream"),
        True,
        cap,
        CAP_LEAST if cap is None else min(cap, CAP_LEAST),
        1,
        Anatomy(system + text_bytes(instructions) + size_bytes, 0, history, user),
        0,
        shape_key(instructions, *system_text, b"", b""),
        body_labels=labels(body),
    )


def read_request(wire: str, parsed: Parsed) -> Request:
    """Read a parsed body. Raises BadRequest with `param` for what cannot be bounded."""
    body = parsed.body
    refuse_control_fields(body)
    model = model_field(body)
    if not _MAY_BE_UNBOUNDED.isdisjoint(body):
        _refuse_unbounded(body)
    # Most fields are absent from most bodies, and a look is cheaper than a call that finds nothing.
    dropped: tuple[str, ...] = ()
    tools: list[dict[str, Any]] = []
    has_search = False
    if "tools" in body:
        body, dropped = without_unasked_search(body)
        tools = list_field(body, "tools")
        has_search = check_tools(tools)
    measured = measure_input(body, model)
    searches = searches_most(body) if has_search or measured.has_search else 0
    tools_text = dump_parsed([*tools, *measured.tools]) if tools or measured.tools else b""
    schema_text = _schema(body)
    instructions = _instructions(body)
    system = measured.system + text_bytes(instructions)
    for name, value in body.items():
        if name not in _COUNTED_ELSEWHERE:
            system += strings_bytes(value)
    anatomy = split(system, len(tools_text) + len(schema_text), measured.turns)
    cap = count_field(body, CAP_NAME) if CAP_NAME in body else None
    return Request(
        wire=wire,
        model=model,
        body=kept(parsed, body),
        is_stream="stream" in body and flag_field(body, "stream"),
        wants_usage=True,
        cap=cap,
        cap_least=CAP_LEAST if cap is None else min(cap, CAP_LEAST),
        anatomy=anatomy,
        images_tokens_most=measured.beyond + searches * (SEARCH_TOKENS_MOST + anatomy.total // 4),
        shape_key=shape_key(instructions, *measured.system_text, tools_text, schema_text),
        has_cache_write=mentions_cache(body, parsed),
        searches_most=searches,
        service_tiers=service_tiers(body, _TIERS) if "service_tier" in body else ("",),
        body_labels=labels(body),
        passes_most=2 if measured.has_compaction or _compacts(body) else 1,
        dropped=dropped,
        previous_id=_previous_id(body),
    )


_UNBOUNDED = (
    ("background", "it would be billed unseen, after this connection has ended; send it without"),
    ("conversation", "its content stays at the provider; send the items themselves as `input`"),
    ("prompt", "the content of a stored prompt stays at the provider; send it as `instructions` and `input`"),
    ("audio", "audio answers are billed apart from the cap"),
    ("plugins", "they run and bill at the router"),
    ("models", "another model than the one priced could answer"),
    ("fallbacks", "another model than the one priced could answer"),
    ("search_parameters", "it bills by source"),
)
_MAY_BE_UNBOUNDED = frozenset({"modalities", *(name for name, _ in _UNBOUNDED)})
"""What `_refuse_unbounded` looks at: a body with none of these has nothing of it."""


def _refuse_unbounded(body: Mapping[str, Any]) -> None:
    flag_field(body, "background")
    for name, why in _UNBOUNDED:
        if body.get(name):
            raise BadRequest(f"`{name}` cannot be bounded: {why}", param=name)
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise BadRequest('only text answers can be bounded: `modalities` must be ["text"]', param="modalities")


def _instructions(body: Mapping[str, Any]) -> str:
    instructions = body.get("instructions")
    if instructions is None:
        return ""
    if not isinstance(instructions, str):
        raise BadRequest("`instructions` must be a string", param="instructions")
    return instructions


def _schema(body: Mapping[str, Any]) -> bytes:
    """Give the output schema; a verbosity is no schema, and plain text needs none."""
    text = body.get("text")
    shape = text.get("format") if isinstance(text, Mapping) else None
    return b"" if not shape or shape == {"type": "text"} else dump_parsed(shape)


def _previous_id(body: Mapping[str, Any]) -> str:
    previous = body.get("previous_response_id")
    if previous is None:
        return ""
    if type(previous) is not str or not 0 < len(previous) <= ID_LENGTH_MAX or not previous.isprintable():
        raise BadRequest(
            f"`previous_response_id` must be 1 to {ID_LENGTH_MAX} printable characters", param="previous_response_id"
        )
    return previous


def _compacts(body: Mapping[str, Any]) -> bool:
    """Does the body allow the provider to summarise the conversation first? That bills its input once more."""
    management = body.get("context_management")
    entries = management if isinstance(management, list) else []
    return any(isinstance(entry, Mapping) and entry.get("type") == "compaction" for entry in entries)
