"""A chat request read: what it may cost at most, where its input sits, whose it is.

Owns the fields of `POST /v1/chat/completions` that decide money. It must never let through what it cannot bound, nor
refuse a field only because it is new.

Refused, each naming its field: `best_of` above 1, audio in or out, images out, web search (`web_search_options`,
`search_parameters`, `plugins`, models that always search), tools that the provider runs, other models to fall back to
(`models`), unknown service tiers, files by id or that are no PDF, and the fields of `refuse_control_fields`. `store`
bills nothing and passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES, Tally, shape_key, split
from bursar.wire.base import Anatomy, Request
from bursar.wire.fields import (
    count_field,
    flag_field,
    list_field,
    model_field,
    refuse_control_fields,
)
from bursar.wire.images import image_size, openai_image, pdf_cost
from bursar.wire.openai_common import labels, mentions_cache, service_tiers
from bursar.wire.plain import plain_fields, plain_messages, plain_model
from bursar.wire.strict_json import Parsed, dump_parsed
from bursar.wire.text import strings_bytes, text_bytes
from bursar.wire.written import kept

__all__ = ["CHOICES_MAX", "PLAIN", "read_plain", "read_request"]

CHOICES_MAX = 128
_CAP_NAMES = frozenset({"max_completion_tokens", "max_tokens"})
_TIERS: dict[str, tuple[str, ...]] = {
    "auto": ("",),
    "default": ("",),
    "standard": ("",),
    "on_demand": ("",),
    "flex": ("", "flex"),
    "priority": ("", "priority"),
    "fast": ("", "priority"),
    "scale": ("", "scale"),
}
"""Service tiers by request value; what asks for another tier may still be served, and billed, as ordinary."""

_COUNTED_ELSEWHERE = frozenset(
    {
        "model", "messages", "tools", "functions", "response_format", "prediction", "metadata", "user",
        "stream_options", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
        "service_tier", "reasoning_effort", "tool_choice", "function_call", "logit_bias", "stop", "verbosity",
        "modalities",
    }
)  # fmt: skip
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""


def read_request(wire: str, parsed: Parsed) -> Request:
    """Read a parsed body. Raises BadRequest with `param` for what cannot be bounded."""
    body = parsed.body
    refuse_control_fields(body)
    model = model_field(body)
    if not _MAY_BE_UNBOUNDED.isdisjoint(body):
        _refuse_unbounded(body)
    _refuse_searching(model)
    # Most fields are absent from most bodies, and a look is cheaper than a call that finds nothing.
    is_stream = "stream" in body and flag_field(body, "stream")
    tools = list_field(body, "tools") if "tools" in body else []
    if tools:
        _check_tools(tools)
    tools_text = dump_parsed([tools, body.get("functions")]) if tools or body.get("functions") else b""
    schema_text = dump_parsed(body["response_format"]) if body.get("response_format") else b""
    system, turns, beyond, system_text = _messages(body, model)
    for name, value in body.items():
        if name not in _COUNTED_ELSEWHERE:
            system += strings_bytes(value)
    return Request(
        wire=wire,
        model=model,
        body=kept(parsed, body),
        is_stream=is_stream,
        wants_usage=not is_stream or _wants_usage(body),
        cap=None if _CAP_NAMES.isdisjoint(body) else _cap(body),
        choices=(count_field(body, "n", most=CHOICES_MAX) or 1) if "n" in body else 1,
        anatomy=split(system, len(tools_text) + len(schema_text), turns),
        images_tokens_most=beyond,
        shape_key=shape_key(*system_text, tools_text, schema_text),
        has_cache_write=mentions_cache(body, parsed),
        service_tiers=service_tiers(body, _TIERS) if "service_tier" in body else ("",),
        body_labels=labels(body),
        output_beyond_cap=_prediction_bytes(body) if "prediction" in body else 0,
    )


PLAIN = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "temperature", "top_p",
        "frequency_penalty", "presence_penalty", "seed", "stop", "logprobs", "top_logprobs", "parallel_tool_calls",
        "reasoning_effort", "verbosity", "store", "user", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention",
    }
)  # fmt: skip
"""A body of nothing but these is read by `read_plain`, where their values are plain as well."""
_PLAIN_PARTS = ("text",)


def read_plain(wire: str, parsed: Parsed) -> Request | None:
    """Read a body of plain texts in one go, and to its last leaf; None for any other.

    `read_request` reads those, and this very request as well. Raises BadRequest as it does.
    """
    body = parsed.body
    messages, model = body.get("messages"), plain_model(body.get("model"))
    if type(messages) is not list or not body.keys() <= PLAIN or not model or "-search-" in model.lower():
        return None
    measured = plain_messages(messages, _SYSTEM_ROLES, _PLAIN_PARTS)
    if measured is None:
        return None
    system, history, user, system_text = measured
    is_stream, wants_usage, cap = False, True, None
    size_bytes = 0 if len(body) == 2 else plain_fields(body, "messages", _COUNTED_ELSEWHERE)
    if size_bytes is None:
        return None
    if len(body) > 2:
        is_stream = "stream" in body and flag_field(body, "stream")
        wants_usage = not is_stream or _wants_usage(body)
        cap = None if _CAP_NAMES.isdisjoint(body) else _cap(body)
    return Request(
        wire,
        model,
        kept(parsed, body),
        is_stream,
        wants_usage,
        cap,
        1,
        1,
        Anatomy(system + size_bytes, 0, history, user),
        0,
        shape_key(*system_text, b"", b""),
        body_labels=labels(body),
    )


def _refuse_unbounded(body: Mapping[str, Any]) -> None:
    if (count_field(body, "best_of") or 1) > 1:
        raise BadRequest("`best_of` bills answers that are never shown: leave it out", param="best_of")
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise BadRequest('only text answers can be bounded: `modalities` must be ["text"]', param="modalities")
    for name, why in _UNBOUNDED:
        if body.get(name):
            raise BadRequest(f"`{name}` cannot be bounded: {why}", param=name)
    search = body.get("search_parameters")
    if search is not None and not (isinstance(search, Mapping) and search.get("mode") == "off"):
        raise BadRequest(
            "`search_parameters` bills by source without a bound: its mode must be off", param="search_parameters"
        )
    if "web_search_options" in body and body["web_search_options"] is not None:
        raise BadRequest(
            "`web_search_options` can add 115,000 input tokens and has no cap: leave it out, or use a wire with one",
            param="web_search_options",
        )


def _refuse_searching(model: str) -> None:
    lowered = model.lower()
    if "-search-preview" in lowered or "-search-api" in lowered:
        raise BadRequest(
            "this model searches the web at a fee for each call, which its usage does not tell", param="model"
        )


_UNBOUNDED = (
    ("audio", "audio answers are billed apart from the cap"),
    ("plugins", "they run and bill at the router"),
    ("models", "another model than the one priced could answer"),
    ("fallbacks", "another model than the one priced could answer"),
)
_MAY_BE_UNBOUNDED = frozenset(
    {"best_of", "modalities", "search_parameters", "web_search_options", *(name for name, _ in _UNBOUNDED)}
)
"""What `_refuse_unbounded` looks at: a body with none of these has nothing of it."""


def _check_tools(tools: list[dict[str, Any]]) -> None:
    for at, tool in enumerate(tools):
        kind = tool.get("type", "function")
        if kind not in ("function", "custom"):
            raise BadRequest(
                f"`tools[{at}]` of type {str(kind)[:60]!r} runs at the provider and cannot be bounded",
                param=f"tools[{at}].type",
            )


def _cap(body: Mapping[str, Any]) -> int | None:
    newer, older = count_field(body, "max_completion_tokens"), count_field(body, "max_tokens")
    if newer is not None and older is not None:
        raise BadRequest("`max_tokens` and `max_completion_tokens` exclude each other: send one", param="max_tokens")
    return older if newer is None else newer


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, Mapping):
        raise BadRequest("`stream_options` must be an object", param="stream_options")
    return options.get("include_usage") is True


def _prediction_bytes(body: Mapping[str, Any]) -> int:
    """Bound what a prediction bills: its rejected tokens are output, and a token has at least one byte."""
    prediction = body.get("prediction")
    if prediction is None:
        return 0
    if not isinstance(prediction, Mapping) or not isinstance(prediction.get("content"), str | list):
        raise BadRequest("`prediction` must be an object with `content`", param="prediction")
    return strings_bytes(prediction["content"])


# --- messages ------------------------------------------------------------------------------------------------------


def _messages(body: Mapping[str, Any], model: str) -> tuple[int, list[tuple[bool, int]], int, list[str]]:
    """Measure the messages: bytes of system prompts, the turns, tokens beyond, and the texts of system prompts."""
    if "messages" not in body:
        raise BadRequest("`messages` is required", param="messages")
    system = 0
    tally = Tally()
    turns: list[tuple[bool, int]] = []
    system_text: list[str] = []
    for at, message in enumerate(list_field(body, "messages")):
        role, content = message.get("role"), message.get("content")
        if type(content) is str and len(message) == 2 and role is not None:
            size = FRAME_BYTES + text_bytes(content)  # A role and a text: the usual message.
        else:
            tally.size_bytes = FRAME_BYTES
            _measure(message, tally, model, at)
            size = tally.size_bytes
        if role in _SYSTEM_ROLES:
            system += size
            system_text.extend(_texts(content))
        else:
            turns.append((role != "assistant", size))
    return system, turns, tally.tokens_beyond, system_text


_SYSTEM_ROLES = ("system", "developer")


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]


def _measure(message: dict[str, Any], tally: Tally, model: str, place: int) -> None:
    if type(message.get("audio")) is dict:
        where = f"messages[{place}].audio"
        raise BadRequest("an earlier audio answer has no known length and cannot be bounded", param=where)
    for name, value in message.items():
        if name == "role":
            continue
        if type(value) is str:
            tally.size_bytes += len(value) if value.isascii() else text_bytes(value)
        elif name == "content" and type(value) is list:
            for at, part in enumerate(value):
                if not _measure_text(part, tally):
                    _measure_part(part, tally, model, f"messages[{place}].content[{at}]")
        elif value is not None:
            tally.size_bytes += strings_bytes(value)


def _measure_text(part: object, tally: Tally) -> bool:
    """Measure a part that is text, as nearly all are; False for any other."""
    text = part.get("text") if type(part) is dict and part.get("type") == "text" else None
    if type(text) is not str:
        return False
    tally.size_bytes += text_bytes(text)
    return True


def _measure_part(part: object, tally: Tally, model: str, where: str) -> None:
    if not isinstance(part, Mapping):
        tally.size_bytes += strings_bytes(part)
        return
    kind = part.get("type")
    if kind == "image_url":
        _measure_image(part.get("image_url"), tally, model, where)
    elif kind == "file":
        _measure_file(part.get("file"), tally, where)
    elif kind in ("input_audio", "video_url", "input_video", "audio_url"):
        raise BadRequest(f"`{kind}` has no known length and cannot be bounded", param=where)
    else:
        tally.size_bytes += strings_bytes(dict(part))


def _measure_image(image: object, tally: Tally, model: str, where: str) -> None:
    url = image.get("url") if isinstance(image, Mapping) else image
    if not isinstance(url, str):
        raise BadRequest("an image needs a `url`", param=f"{where}.image_url")
    detail = str(image.get("detail") or "auto") if isinstance(image, Mapping) else "auto"
    header, comma, data = url.partition(",") if url.startswith("data:") else ("", "", "")
    size = image_size(data) if comma and header.endswith(";base64") else None
    tally.add_cost(openai_image(model, size, detail))


def _measure_file(file: object, tally: Tally, where: str) -> None:
    data = file.get("file_data") if isinstance(file, Mapping) else None
    if not isinstance(data, str):
        raise BadRequest(
            "a file by id has no known length and cannot be bounded: send it as `file_data`", param=f"{where}.file"
        )
    payload = data.partition(",")[2] if data.startswith("data:") else data
    tally.add_cost(pdf_cost(payload, param=f"{where}.file"))
