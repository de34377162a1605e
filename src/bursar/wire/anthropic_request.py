"""A messages request read: what it may cost at most, where its input sits, whose it is.

Owns the fields of `POST /v1/messages` that decide money. It must never let through what it cannot bound, nor refuse a
field only because it is new: Claude Code sends new ones every month.

Refused, each naming its field: server tools but web search with `max_uses` (and tool search, which bills nothing of
its own), `mcp_servers`, `thread` continued at the server, `inference_geo` other than global, documents by URL or id,
unknown service tiers, and the fields of `refuse_control_fields`. Left out, and told in `dropped`: `fallbacks` and the
advisor tool, because another model would answer at another price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES, Tally, shape_key, split
from bursar.wire.base import Request
from bursar.wire.fields import (
    clean_label,
    count_field,
    find_key,
    flag_field,
    has_hidden_names,
    list_field,
    metadata_labels,
    model_field,
    refuse_control_fields,
)
from bursar.wire.images import anthropic_image, image_size, pdf_cost
from bursar.wire.strict_json import Parsed, dump_parsed
from bursar.wire.text import strings_bytes, text_bytes
from bursar.wire.written import kept

__all__ = ["THINKING_LEAST", "THINKING_ROOM", "VOLATILE_SYSTEM", "read_extra", "read_request"]

THINKING_LEAST = 1_024
"""The smallest thinking budget that the API takes; the cap must be larger."""
THINKING_ROOM = 2_048
"""The smallest useful cap of a thinking request: the least thinking and as much for the answer."""
SEARCH_TOKENS_MOST = 25_000
"""What one web search can add to the input, results and their re-reading included."""
SEARCHES_MAX = 100

_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_", "browser_toolset_", "tool_search_tool_")
"""Typed tools that the client runs, and tool search, which only loads tools that the body already holds."""
_NO_INPUT = frozenset(
    {"model", "messages", "system", "tools", "metadata", "stop_sequences", "thinking", "tool_choice", "output_format",
     "output_config", "service_tier", "speed", "context_management", "cache_control", "betas", "container"}
)  # fmt: skip
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""
VOLATILE_SYSTEM = "x-anthropic-billing-header"
"""Claude Code's first system block changes with every call; the shape of a call is without it."""


def read_request(wire: str, parsed: Parsed) -> Request:
    """Read a parsed body. Raises BadRequest with `param` for what cannot be bounded."""
    body = parsed.body
    refuse_control_fields(body)
    model = model_field(body)
    cap = count_field(body, "max_tokens")
    if cap is None:
        raise BadRequest("`max_tokens` is required", param="max_tokens")
    dropped: tuple[str, ...] = ()
    # Most fields are absent from most bodies, and a look is cheaper than a call that finds nothing.
    if "tools" in body or "fallbacks" in body:
        body, dropped = _without_other_models(body)
    if not _MAY_BE_UNBOUNDED.isdisjoint(body):
        _refuse_unbounded(body)
    searches = _searches(list_field(body, "tools")) if "tools" in body else 0
    tools_text = dump_parsed(body["tools"]) if body.get("tools") else b""
    schema_text = _schema(body)
    system, system_text = _system(body)
    turns, beyond = _messages(body)
    writes, writes_1h = _cache_writes(body, parsed)
    size = system.size_bytes
    for name, value in body.items():
        if name not in _NO_INPUT:
            size += strings_bytes(value)
    return Request(
        wire=wire,
        model=model,
        body=kept(parsed, body),
        is_stream="stream" in body and flag_field(body, "stream"),
        wants_usage=True,
        cap=cap,
        cap_least=min(cap, _cap_least(body)) if "thinking" in body else 1,
        anatomy=split(size, len(tools_text) + len(schema_text), turns),
        images_tokens_most=beyond + system.tokens_beyond + searches * SEARCH_TOKENS_MOST,
        shape_key=shape_key(*system_text, tools_text, schema_text),
        has_cache_write=writes,
        has_cache_write_1h=writes_1h,
        searches_most=searches,
        service_tiers=_service_tiers(body),
        body_labels=_labels(body) if "metadata" in body else {},
        passes_most=2 if "context_management" in body and _compacts(body) else 1,
        dropped=dropped,
    )


def read_extra(fields: dict[str, Any]) -> tuple[int, int]:
    """Read fields of this API that travel inside another one (Bedrock's): the least cap, and how often input is billed.

    Raises BadRequest for what cannot be bounded; searches and other models are not offered there.
    """
    _refuse_unbounded(fields)
    if fields.get("fallbacks"):
        raise BadRequest("`fallbacks` let another model answer than the one priced", param="fallbacks")
    if _searches(list_field(fields, "tools")):
        raise BadRequest("a web search inside of additional fields is not modelled", param="tools")
    _service_tiers({"speed": fields.get("speed")})
    return _cap_least(fields), 2 if _compacts(fields) else 1


def _without_other_models(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Leave out what would let another model answer at another price; without it the call is an ordinary one."""
    dropped = []
    if body.get("fallbacks"):
        body = {name: value for name, value in body.items() if name not in ("fallbacks", "fallback_credit_token")}
        dropped.append("fallbacks")
    tools = list_field(body, "tools")
    kept = [tool for tool in tools if not (tool.get("type") and str(tool["type"]).startswith("advisor_"))]
    if len(kept) < len(tools):
        body = {**body, "tools": kept}
        if not kept:
            body = {name: value for name, value in body.items() if name not in ("tools", "tool_choice")}
        dropped.append("tools.advisor")
    return body, tuple(dropped)


_MAY_BE_UNBOUNDED = frozenset({"mcp_servers", "thread", "inference_geo"})
"""What `_refuse_unbounded` looks at: a body with none of these has nothing of it."""


def _schema(body: Mapping[str, Any]) -> bytes:
    if "output_config" not in body and "output_format" not in body:
        return b""
    schema = [body[name] for name in ("output_config", "output_format") if body.get(name)]
    return dump_parsed(schema) if schema else b""


def _refuse_unbounded(body: Mapping[str, Any]) -> None:
    if body.get("mcp_servers"):
        raise BadRequest(
            "`mcp_servers` run at the provider without a bound: connect them in the client", param="mcp_servers"
        )
    thread = body.get("thread")
    if isinstance(thread, Mapping) and thread.get("type") != "create":
        raise BadRequest(
            "`thread` holds input that this body does not show: send the whole conversation", param="thread"
        )
    geo = body.get("inference_geo")
    if geo not in (None, "global"):
        raise BadRequest(
            "`inference_geo` is billed above the list price, which is not modelled: use global", param="inference_geo"
        )


def _searches(tools: list[dict[str, Any]]) -> int:
    """Count the web searches that the tools allow, and refuse tools that the provider runs without a bound."""
    searches = 0
    for at, tool in enumerate(tools):
        kind = tool.get("type")
        if kind in (None, "custom") or (isinstance(kind, str) and kind.startswith(_CLIENT_TOOLS)):
            continue
        where = f"tools[{at}]"
        if isinstance(kind, str) and kind.startswith("web_search_"):
            uses = count_field(tool, "max_uses", most=SEARCHES_MAX, within=where + ".")
            if uses is None:
                raise BadRequest(
                    "a web search needs `max_uses`, so that its cost is bounded", param=f"{where}.max_uses"
                )
            searches += uses
            continue
        raise BadRequest(
            f"`{where}` of type {str(kind)[:60]!r} runs at the provider and cannot be bounded", param=f"{where}.type"
        )
    return searches


def _cap_least(body: Mapping[str, Any]) -> int:
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping) or thinking.get("type") != "enabled":
        return 1
    if count_field(thinking, "budget_tokens", within="thinking.") is None:
        raise BadRequest("enabled thinking needs `budget_tokens`", param="thinking.budget_tokens")
    return THINKING_ROOM


def _service_tiers(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the tiers; `priority` is capacity paid in advance and billed at the ordinary rates."""
    if body.get("service_tier") not in (None, "auto", "standard_only"):
        raise BadRequest("the service tier is unknown: use auto or standard_only", param="service_tier")
    speed = body.get("speed")
    if speed not in (None, "standard", "fast"):
        raise BadRequest("the speed is unknown: use standard or fast", param="speed")
    return ("", "fast") if speed == "fast" else ("",)


def _compacts(body: Mapping[str, Any]) -> bool:
    """Does the body allow the provider to summarise the conversation first? That bills its input once more."""
    management = body.get("context_management")
    edits = management.get("edits") if isinstance(management, Mapping) else None
    return isinstance(edits, list) and any(
        isinstance(edit, Mapping) and str(edit.get("type")).startswith("compact_") for edit in edits
    )


_CACHE_CONTROL = re.compile(rb'"cache_control"(?:\s*:\s*(\{[^{}\\]*\}))?')
"""A quote inside of text is escaped, so that this matches keys; the group is empty where a key holds anything odd."""


_CANONICAL_CONTROLS = frozenset(
    {b'{"type":"ephemeral"}', b'{"type":"ephemeral","ttl":"5m"}', b'{"type":"ephemeral","ttl":"1h"}'}
)


def _cache_writes(body: dict[str, Any], parsed: Parsed) -> tuple[bool, bool]:
    """Look for `cache_control` of either lifetime: in the bytes where they show it plainly, else in the body."""
    raw = parsed.raw
    if parsed.is_canonical:
        # No name is hidden in such bytes, whatever escapes its texts hold.
        if b'"cache_control"' not in raw:
            return False, False
        shown = _CACHE_CONTROL.findall(raw)
        if _CANONICAL_CONTROLS.issuperset(shown):
            long = shown.count(b'{"type":"ephemeral","ttl":"1h"}')
            return len(shown) > long, long > 0
    if b'"1h"' not in raw and not has_hidden_names(raw):
        shown = _CACHE_CONTROL.findall(raw)
        if all(shown):
            return bool(shown), False
    controls = [control for control in find_key(body, "cache_control") if isinstance(control, Mapping)]
    long = sum(control.get("ttl") == "1h" for control in controls)
    return len(controls) > long, long > 0


# --- labels --------------------------------------------------------------------------------------------------------

_CLAUDE_CODE_USER = re.compile(r"(user_[0-9A-Za-z]+_account_[0-9A-Za-z-]*)_session_([0-9A-Za-z-]+)\Z")
_USER_ID_LENGTH_MAX = 4_096


def _labels(body: Mapping[str, Any]) -> dict[str, str]:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    labels = metadata_labels({name: value for name, value in metadata.items() if name != "user_id"})
    user, session = _split_user_id(metadata.get("user_id"))
    if user:
        labels["user"] = user
    if session:
        labels["session"] = session
    return labels


def _split_user_id(user_id: object) -> tuple[str, str]:
    """Split what Claude Code packs into one id: user, account and session, joined by names or as a JSON object."""
    if not isinstance(user_id, str) or len(user_id) > _USER_ID_LENGTH_MAX:
        return "", ""
    packed = _CLAUDE_CODE_USER.match(user_id)
    if packed is not None:
        return clean_label(packed.group(1)), clean_label(packed.group(2))
    if user_id.startswith("{"):
        try:
            value = json.loads(user_id)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            user = clean_label(value.get("account_uuid")) or clean_label(value.get("device_id"))
            return user, clean_label(value.get("session_id"))
    return clean_label(user_id), ""


# --- input ---------------------------------------------------------------------------------------------------------


def _system(body: Mapping[str, Any]) -> tuple[Tally, list[str]]:
    tally = Tally()
    system = body.get("system")
    if system is None:
        return tally, []
    if isinstance(system, str):
        tally.size_bytes = text_bytes(system)
        return tally, [] if system.startswith(VOLATILE_SYSTEM) else [system]
    blocks = list_field(body, "system")
    texts = []
    for at, block in enumerate(blocks):
        _measure(block, tally, f"system[{at}]")
        text = block.get("text")
        if isinstance(text, str) and not text.startswith(VOLATILE_SYSTEM):
            texts.append(text)
    return tally, texts


def _messages(body: Mapping[str, Any]) -> tuple[list[tuple[bool, int]], int]:
    if "messages" not in body:
        raise BadRequest("`messages` is required", param="messages")
    turns = []
    tally = Tally()
    for at, message in enumerate(list_field(body, "messages")):
        tally.size_bytes = FRAME_BYTES
        _measure_content(message.get("content"), tally, f"messages[{at}].content")
        turns.append((message.get("role") != "assistant", tally.size_bytes))
    return turns, tally.tokens_beyond


def _measure_content(content: object, tally: Tally, where: str) -> None:
    if type(content) is list:
        for at, block in enumerate(content):
            if not _measure_usual(block, tally):
                _measure(block, tally, f"{where}[{at}]")
    else:
        tally.size_bytes += strings_bytes(content)


def _measure_usual(block: object, tally: Tally) -> bool:
    """Measure a block that holds plain text, as nearly all do; False for any other."""
    if type(block) is not dict:
        return False
    kind = block.get("type")
    text = block.get("text") if kind == "text" else block.get("content") if kind == "tool_result" else None
    if type(text) is not str:
        return False
    tally.size_bytes += text_bytes(text)
    return True


def _measure(block: object, tally: Tally, where: str) -> None:
    """Measure one content block; a tool's result and a document hold blocks of their own."""
    if not isinstance(block, Mapping):
        tally.size_bytes += strings_bytes(block)
        return
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        tally.size_bytes += text_bytes(block["text"])
    elif kind == "tool_use":
        tally.size_bytes += strings_bytes(block.get("name")) + len(dump_parsed(block.get("input")))
    elif kind == "tool_result":
        _measure_content(block.get("content"), tally, f"{where}.content")
    elif kind == "image":
        source = block.get("source")
        data = source.get("data") if isinstance(source, Mapping) else None
        tally.add_cost(anthropic_image(image_size(data) if isinstance(data, str) else None))
    elif kind == "document":
        _measure_document(block, tally, where)
    else:
        tally.size_bytes += strings_bytes(dict(block))


def _measure_document(block: Mapping[str, Any], tally: Tally, where: str) -> None:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, Mapping) else None
    if not isinstance(source, Mapping) or kind not in ("base64", "text", "content"):
        raise BadRequest(
            "a document by URL or id has no known length and cannot be bounded: send it as base64 or text",
            param=f"{where}.source",
        )
    tally.size_bytes += strings_bytes(block.get("title")) + strings_bytes(block.get("context"))
    if kind == "content":
        _measure_content(source.get("content"), tally, f"{where}.source.content")
    elif kind == "text":
        tally.size_bytes += strings_bytes(source.get("data"))
    else:
        data = source.get("data")
        tally.add_cost(pdf_cost(data if isinstance(data, str) else "", param=f"{where}.source"))
