"""A Gemini request read: what it may cost at most, where its input sits, whose it is.

Owns the fields of `models/{model}:generateContent` that decide money. It must never let through what it cannot bound,
nor refuse a field only because it is new.

Refused, each naming its field: answers in other than text and models that answer so, tools that the provider runs
(search, maps, code execution, URL context, retrieval, MCP), files by reference, `cachedContent` and
`continuationToken`, since their input is not in the body, film that the model walks by itself, a choice of model by
the provider, unknown service tiers, and the fields of `refuse_control_fields`.
"""

from __future__ import annotations

import re
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES, Tally, shape_key, split
from bursar.wire.base import Request
from bursar.wire.fields import COUNT_MAX, MODEL_LENGTH_MAX, count_field, metadata_labels, refuse_control_fields
from bursar.wire.gemini_fields import Fields, items_of
from bursar.wire.gemini_media import MediaAsked, is_text, media_cost, text_size
from bursar.wire.strict_json import dump_parsed
from bursar.wire.text import json_bytes, strings_bytes, text_bytes

__all__ = ["CHOICES_MAX", "read_request"]

CHOICES_MAX = 8
_THINKING_LEAST, _ANSWER_ROOM = 1_024, 1_024
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*\Z")
"""The name becomes part of a URL."""
_NOT_TEXT = re.compile(r"imagen?\b|banana|-tts|native-audio|-live\b|lyria|veo-")
"""Models that answer with images or sound, which are billed apart, whatever the body asks for."""
_TIERS: dict[str, tuple[str, ...]] = {
    "": ("",),
    "unspecified": ("",),
    "standard": ("",),
    "flex": ("", "flex"),
    "priority": ("", "priority"),
}
_HIDDEN = (
    ("cachedContent", "holds input that this body does not show: send it in `contents`"),
    ("continuationToken", "continues an answer that this body does not show: send the conversation in `contents`"),
)
_OTHER_MODELS = ("routingConfig", "modelSelectionConfig")
_RESOLUTION_LOW = (None, "MEDIA_RESOLUTION_UNSPECIFIED", "MEDIA_RESOLUTION_LOW")
_NO_INPUT = frozenset(
    {"contents", "tools", "toolconfig", "systeminstruction", "generationconfig", "safetysettings", "cachedcontent",
     "labels", "model", "servicetier", "store"}
)  # fmt: skip
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""
_PART_KNOWN = frozenset(
    {"inlinedata", "filedata", "functionresponse", "mediaresolution", "videometadata", "mediaprocessing", "thought"}
)


def read_request(wire: str, model: str, body: dict[str, Any], *, is_stream: bool) -> Request:
    """Read a parsed body. Raises BadRequest with `param` for what cannot be bounded."""
    refuse_control_fields(body)
    top = Fields.of(body, "")
    _check_model(model, top)
    for name, why in _HIDDEN:
        if top.get(name):
            raise BadRequest(f"`{name}` {why}", param=name)
    config = top.inner("generationConfig")
    _check_config(config)
    tools_text = _tools_text(top)
    schemas = [config.get(name) for name in ("responseSchema", "responseJsonSchema", "responseFormat")]
    schema_text = dump_parsed(schemas) if any(schemas) else b""
    asked = MediaAsked(model, has_resolution=config.get("mediaResolution") not in _RESOLUTION_LOW)
    system = Tally()
    system_text = _system(top, system, asked)
    turns, beyond = _contents(top, asked)
    other = sum(strings_bytes(value) for _, value in top.others(_NO_INPUT))
    cap = _count(config, "maxOutputTokens", COUNT_MAX)
    return Request(
        wire=wire,
        model=model,
        body=body,
        is_stream=is_stream,
        wants_usage=True,
        cap=cap,
        cap_least=min(cap or COUNT_MAX, _cap_least(config)),
        choices=_count(config, "candidateCount", CHOICES_MAX) or 1,
        anatomy=split(system.size_bytes + other, len(tools_text) + len(schema_text), turns),
        images_tokens_most=beyond + system.tokens_beyond,
        shape_key=shape_key(*system_text, tools_text, schema_text),
        service_tiers=_service_tiers(top),
        body_labels=metadata_labels(top.get("labels")),
        takes_comments=False,
    )


def _check_model(model: str, top: Fields) -> None:
    if len(model) > MODEL_LENGTH_MAX or _MODEL.match(model) is None:
        raise BadRequest("the model in the URL must be letters, digits, dots, dashes and underscores", param="model")
    if _NOT_TEXT.search(model) is not None:
        raise BadRequest(f"{model} answers with images or sound, which cannot be bounded", param="model")
    named = top.get("model")
    if named is not None and (type(named) is not str or named.rpartition("/")[2] != model):
        raise BadRequest("`model` in the body is another one than in the URL: leave it out", param="model")


def _check_config(config: Fields) -> None:
    modalities = config.get("responseModalities")
    if modalities not in (None, [], "TEXT", 1) and any(
        kind not in ("TEXT", 1) for kind in (modalities if type(modalities) is list else [modalities])
    ):
        raise BadRequest(
            'only text answers can be bounded: `responseModalities` must be ["TEXT"]',
            param="generationConfig.responseModalities",
        )
    for name in _OTHER_MODELS:
        if config.get(name) is not None:
            raise BadRequest(
                f"`{name}` lets another model answer than the one priced", param=f"generationConfig.{name}"
            )


def _count(config: Fields, name: str, most: int) -> int | None:
    return count_field(config.body, config.name(name) or name, most=most, within=config.within)


def _tools_text(top: Fields) -> bytes:
    """Write the tools down, as they are measured, and refuse all that run at the provider."""
    for tool in top.items("tools"):
        for name, value in tool.others(frozenset({"functiondeclarations"})):
            if value is not None and value is not False:
                where = tool.within + name[:60]
                raise BadRequest(f"`{where}` runs at the provider and cannot be bounded", param=where)
        tool.name("functionDeclarations")
    tools = top.get("tools")
    return dump_parsed(tools) if tools else b""


def _cap_least(config: Fields) -> int:
    """Thinking is billed inside the cap: leave it some room, and the answer as well."""
    thinking = config.inner("thinkingConfig")
    budget = thinking.get("thinkingBudget")
    if budget is None:
        level = thinking.get("thinkingLevel")
        return 1 if level in (None, "MINIMAL", "minimal") else _THINKING_LEAST + _ANSWER_ROOM
    if type(budget) is not int or not -1 <= budget <= COUNT_MAX:
        raise BadRequest("`thinkingBudget` must be a whole number from -1", param=f"{thinking.within}thinkingBudget")
    if budget == 0:
        return 1
    return _ANSWER_ROOM + (min(budget, _THINKING_LEAST) if budget > 0 else _THINKING_LEAST)


def _service_tiers(top: Fields) -> tuple[str, ...]:
    tier = top.get("serviceTier")
    name = "" if tier is None else tier.lower().removeprefix("service_tier_") if type(tier) is str else "?"
    if name not in _TIERS:
        raise BadRequest("the service tier is unknown: use standard, flex or priority", param="serviceTier")
    return _TIERS[name]


# --- input ---------------------------------------------------------------------------------------------------------


def _system(top: Fields, tally: Tally, asked: MediaAsked) -> list[str]:
    system = top.get("systemInstruction")
    if type(system) is str:  # Some clients send it bare; the API says what it thinks of that.
        tally.size_bytes += strings_bytes(system)
        return [system]
    parts = list(top.inner("systemInstruction").items("parts"))
    for part in parts:
        _measure(part, tally, asked)
    return [part.body["text"] for part in parts if type(part.body.get("text")) is str]


def _contents(top: Fields, asked: MediaAsked) -> tuple[list[tuple[bool, int]], int]:
    if top.get("contents") is None:
        raise BadRequest("`contents` is required", param="contents")
    turns, beyond = [], 0
    for content in top.items("contents"):
        tally = Tally(FRAME_BYTES)
        for part in content.items("parts"):
            _measure(part, tally, asked)
        tally.size_bytes += sum(strings_bytes(value) for _, value in content.others(frozenset({"parts", "role"})))
        beyond += tally.tokens_beyond
        turns.append((content.get("role") != "model", tally.size_bytes))
    return turns, beyond


def _measure(part: Fields, tally: Tally, asked: MediaAsked) -> None:
    """Measure one part. What is neither text nor a file (calls, their results, code) counts as it is written."""
    text = part.body.get("text")
    if len(part.body) == 1 and type(text) is str:
        tally.size_bytes += text_bytes(text)
        return
    if part.get("fileData") is not None:
        raise BadRequest(
            "a file by reference has no known length and cannot be bounded: send it as `inlineData`",
            param=f"{part.within}fileData",
        )
    if part.get("inlineData") is not None:
        _measure_file(part, tally, _part_asked(part, asked))
    _measure_result(part.inner("functionResponse"), tally, asked)
    for _, value in part.others(_PART_KNOWN):
        tally.size_bytes += strings_bytes(value) if type(value) is str else json_bytes(value)


def _measure_result(result: Fields, tally: Tally, asked: MediaAsked) -> None:
    """Measure what a tool of the client gave: an object, and files beside it."""
    for inner in items_of(result.get("parts"), f"{result.within}parts"):
        _measure(inner, tally, asked)
    for _, value in result.others(frozenset({"parts"})):
        tally.size_bytes += strings_bytes(value) if type(value) is str else json_bytes(value)


def _measure_file(part: Fields, tally: Tally, asked: MediaAsked) -> None:
    blob = part.inner("inlineData")
    mime_type, data = blob.get("mimeType"), blob.get("data")
    where = blob.within.rstrip(".")
    if type(mime_type) is not str or type(data) is not str:
        raise BadRequest("a file needs `mimeType` and `data`", param=where)
    mime_type = mime_type.partition(";")[0].strip().lower()
    if is_text(mime_type):
        tally.size_bytes += text_size(data)
    else:
        tally.add_cost(media_cost(mime_type, data, asked, where))


def _part_asked(part: Fields, asked: MediaAsked) -> MediaAsked:
    """Read how this one file is to be looked at."""
    if part.get("mediaProcessing") not in (None, "STATIC", "MEDIA_PROCESSING_UNSPECIFIED"):
        raise BadRequest(
            "the model would look at this film without a bound: use STATIC", param=f"{part.within}mediaProcessing"
        )
    resolution, video = part.inner("mediaResolution"), part.inner("videoMetadata")
    tokens = _count(resolution, "numTokens", COUNT_MAX) or 0
    level = resolution.get("level") not in _RESOLUTION_LOW
    fps = video.get("fps")
    if fps is not None and type(fps) not in (int, float):
        raise BadRequest("`fps` must be a number", param=f"{video.within}fps")
    return MediaAsked(asked.model, asked.has_resolution or level, tokens, 1.0 if fps is None else float(fps))
