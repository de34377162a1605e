"""A Converse request read: what it may cost at most, where its input sits, whose it is.

Owns the fields of `POST /model/{modelId}/converse` that decide money. It must never let through what it cannot bound,
nor refuse a field only because it is new.

Refused, each naming its field: guardrails, managed prompts and their variables, tools that run at AWS, film and sound,
documents in S3 and in formats that hide how much text they hold, unknown tiers, and additional fields for the model
that name another cap, several answers, a tool of the provider's, or reasoning that takes no cap.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bursar.core.bedrock_names import bare_id
from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES, Tally, shape_key, split
from bursar.wire.anthropic_request import read_extra
from bursar.wire.base import Request
from bursar.wire.bedrock_common import Asked, check_model, service_tiers
from bursar.wire.fields import count_field, find_key, list_field, metadata_labels, refuse_control_fields
from bursar.wire.images import Cost, anthropic_image, image_size, pdf_cost
from bursar.wire.strict_json import dump_parsed
from bursar.wire.text import json_bytes, strings_bytes, text_bytes

__all__ = ["is_claude", "read_request"]

_IMAGE_MOST = 8_000
"""What an image costs at most on a model that is not Anthropic's: Llama's tiles come to 6,500, Nova's to 2,600."""
_PLAIN_DOCUMENTS = frozenset({"csv", "html", "txt", "md"})
_NO_INPUT = frozenset(
    {"messages", "system", "toolConfig", "inferenceConfig", "guardrailConfig", "additionalModelRequestFields",
     "promptVariables", "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier",
     "outputConfig"}
)  # fmt: skip
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""
_OTHER_CAPS = re.compile(
    r"max.*(?:tok|len|out)|^n$|best_?of|num_?(?:gen|res|comp|ret|cand)|candidate|(?:completion|response)s?_?count",
    re.IGNORECASE,
)
"""Names by which models know an output cap or how many answers to give: there is one cap, and one answer."""
_RUN_BY_AWS = "runs at AWS and cannot be bounded"


def is_claude(model: str) -> bool:
    """Is this, by its name, a model of Anthropic's?"""
    return "anthropic." in bare_id(model)


def read_request(wire: str, asked: Asked, body: dict[str, Any]) -> Request:
    """Read a parsed body. Raises BadRequest with `param` for what cannot be bounded."""
    refuse_control_fields(body)
    check_model(asked)
    _refuse_unbounded(body)
    config = _object(body, "inferenceConfig")
    cap = count_field(config, "maxTokens", within="inferenceConfig.")
    extra = _extra(body)
    least, passes = read_extra(extra)
    tools_text = _tools_text(body)
    schema_text = dump_parsed(body["outputConfig"]) if body.get("outputConfig") else b""
    is_ours = is_claude(asked.model)
    system = Tally()
    texts = _system(body, system, is_ours)
    turns, beyond = _messages(body, is_ours)
    other = sum(strings_bytes(value) for name, value in body.items() if name not in _NO_INPUT)
    ttls = [point.get("ttl") for point in find_key(body, "cachePoint") if isinstance(point, Mapping)]
    long = sum(ttl == "1h" for ttl in ttls)
    return Request(
        wire=wire,
        model=asked.model,
        body=body,
        is_stream=asked.is_stream,
        wants_usage=True,
        cap=cap,
        cap_least=least if cap is None else min(cap, least),
        anatomy=split(system.size_bytes + other, len(tools_text) + len(schema_text) + json_bytes(extra), turns),
        images_tokens_most=beyond + system.tokens_beyond,
        shape_key=shape_key(*texts, tools_text, schema_text),
        has_cache_write=len(ttls) > long,
        has_cache_write_1h=long > 0,
        service_tiers=service_tiers(
            _object(body, "serviceTier").get("type"), _object(body, "performanceConfig").get("latency")
        ),
        body_labels=metadata_labels(body.get("requestMetadata")),
        passes_most=passes,
        takes_comments=False,
    )


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise BadRequest(f"`{name}` must be an object", param=name)
    return value


def _refuse_unbounded(body: Mapping[str, Any]) -> None:
    if body.get("guardrailConfig"):
        raise BadRequest("guardrails are billed apart from tokens, which is not modelled", param="guardrailConfig")
    if body.get("promptVariables"):
        raise BadRequest(
            "a managed prompt holds input that this request does not show: send its text", param="promptVariables"
        )


def _extra(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields that go to the model as they are, and refuse those that lift a bound."""
    extra = _object(body, "additionalModelRequestFields")
    for name in _names(extra):
        if _OTHER_CAPS.search(name):
            where = f"additionalModelRequestFields.{name[:60]}"
            raise BadRequest(
                f"`{where}` would set another cap, or several answers: use `inferenceConfig.maxTokens`", param=where
            )
    effort = _object(extra, "reasoningConfig").get("maxReasoningEffort")
    if effort == "high":
        where = "additionalModelRequestFields.reasoningConfig.maxReasoningEffort"
        raise BadRequest("reasoning at high effort takes no output cap: use low or medium", param=where)
    return extra


def _names(value: Any) -> Iterator[str]:
    """Give the names of all fields but those of tools, whose schemas are the client's own."""
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is dict:
            yield from item
            pending.extend(inner for name, inner in item.items() if name != "tools")
        elif type(item) is list:
            pending.extend(item)


def _tools_text(body: Mapping[str, Any]) -> bytes:
    config = _object(body, "toolConfig")
    for at, tool in enumerate(list_field(config, "tools")):
        for name in tool:
            if name not in ("toolSpec", "cachePoint"):
                where = f"toolConfig.tools[{at}].{name[:60]}"
                raise BadRequest(f"`{where}` {_RUN_BY_AWS}", param=where)
    return dump_parsed(config["tools"]) if config.get("tools") else b""


# --- input ---------------------------------------------------------------------------------------------------------


def _system(body: Mapping[str, Any], tally: Tally, is_ours: bool) -> list[str]:
    blocks = list_field(body, "system")
    for at, block in enumerate(blocks):
        _measure(block, tally, f"system[{at}]", is_ours)
    return [block["text"] for block in blocks if type(block.get("text")) is str]


def _messages(body: Mapping[str, Any], is_ours: bool) -> tuple[list[tuple[bool, int]], int]:
    if body.get("messages") is None:
        raise BadRequest("`messages` is required", param="messages")
    turns, beyond = [], 0
    for at, message in enumerate(list_field(body, "messages")):
        tally = Tally(FRAME_BYTES)
        for number, block in enumerate(list_field(message, "content")):
            _measure(block, tally, f"messages[{at}].content[{number}]", is_ours)
        beyond += tally.tokens_beyond
        turns.append((message.get("role") != "assistant", tally.size_bytes))
    return turns, beyond


def _measure(block: Mapping[str, Any], tally: Tally, where: str, is_ours: bool) -> None:
    """Measure one content block: a union, of which one member is there."""
    for name, value in block.items():
        if name == "text" and type(value) is str:
            tally.size_bytes += text_bytes(value)
        elif name == "image":
            tally.add_cost(_image(value, is_ours))
        elif name == "document":
            _measure_document(value, tally, f"{where}.document")
        elif name in ("video", "audio"):
            raise BadRequest("film and sound have no length that can be seen here", param=f"{where}.{name}")
        elif name == "toolResult" and type(value) is dict:
            for number, inner in enumerate(list_field(value, "content")):
                _measure(inner, tally, f"{where}.toolResult.content[{number}]", is_ours)
        elif name == "guardContent" and type(value) is dict:
            _measure(value, tally, f"{where}.guardContent", is_ours)
        elif name != "cachePoint":
            tally.size_bytes += strings_bytes(value) if name == "reasoningContent" else json_bytes(value)


def _image(image: object, is_ours: bool) -> Cost:
    """Bound an image; one in S3 has no size that can be seen, but every model scales it down."""
    source = image.get("source") if isinstance(image, Mapping) else None
    data = source.get("bytes") if isinstance(source, Mapping) else None
    cost = anthropic_image(image_size(data) if type(data) is str else None)
    return cost if is_ours else Cost(cost.likely, max(cost.most, _IMAGE_MOST))


def _measure_document(document: object, tally: Tally, where: str) -> None:
    source = document.get("source") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or type(source) is not dict or source.get("s3Location") is not None:
        raise BadRequest("a document in S3 has no known length: send it in the request", param=f"{where}.source")
    tally.size_bytes += sum(strings_bytes(document.get(name)) for name in ("name", "context"))
    tally.size_bytes += sum(strings_bytes(value) for name, value in source.items() if name != "bytes")
    data, kind = source.get("bytes"), document.get("format")
    if data is None:
        return
    if type(data) is not str:
        raise BadRequest("a document's bytes must be base64", param=f"{where}.source.bytes")
    if kind == "pdf":
        tally.add_cost(pdf_cost(data, param=f"{where}.source.bytes"))
    elif kind in _PLAIN_DOCUMENTS:
        tally.size_bytes += _decoded_size(data)
    else:
        raise BadRequest(
            "a document in this format hides how much text it holds: send it as pdf, txt, md, csv or html",
            param=f"{where}.format",
        )


def _decoded_size(data: str) -> int:
    try:
        return len(binascii.a2b_base64(data.encode()))
    except (binascii.Error, UnicodeEncodeError):
        return len(data)
