"""The input of a responses request, measured: messages, calls and their results, reasoning, images, files.

Owns how large each item is and whose turn it is. It must never let an item pass whose content stays at the provider
and has no bound: references to items, files by id or URL, audio and video.

An image by id or URL takes the worst case of the model's formula. Reasoning that is sent back by its id alone has no
length in the body either, and agents send it with every step: it takes a usual and a generous size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES, Tally
from bursar.wire.fields import list_field
from bursar.wire.images import Cost, image_size, openai_image, pdf_cost
from bursar.wire.responses_tools import check_tools
from bursar.wire.strict_json import dump_parsed
from bursar.wire.text import strings_bytes, text_bytes

__all__ = ["HIDDEN_REASONING", "SYSTEM_ROLES", "TEXT_PARTS", "Input", "measure_input"]

HIDDEN_REASONING = Cost(512, 4_096)
"""One step's reasoning that the provider keeps under an id: usual and generous tokens."""
SYSTEM_ROLES = ("system", "developer")
TEXT_PARTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_IMAGE_PARTS = frozenset({"input_image", "computer_screenshot"})
_UNBOUNDED_PARTS = frozenset({"input_audio", "input_video", "audio", "video_url"})
_CONTENTS = frozenset({"content", "summary", "output"})
_NO_TEXT = frozenset({"type", "id", "status", "role", "logprobs"})
_SCHEMA_ITEMS = frozenset({"mcp_list_tools", "tool_search_output"})
"""Items that hold schemas of tools: there the keys are input as well."""


@dataclass(slots=True)
class Input:
    """What was measured. `turns` are as `anatomy.split` takes them; `tools` came inside the input."""

    system: int = 0
    system_text: list[str] = field(default_factory=list)
    turns: list[tuple[bool, int]] = field(default_factory=list)
    beyond: int = 0
    tools: list[dict[str, Any]] = field(default_factory=list)
    has_search: bool = False
    has_compaction: bool = False


def measure_input(body: Mapping[str, Any], model: str) -> Input:
    """Measure `input`. Raises BadRequest with `param` for what cannot be bounded."""
    measured = Input()
    items = body.get("input")
    if items is None and body.get("previous_response_id") is None:
        raise BadRequest("`input` is required", param="input")
    if isinstance(items, str):
        measured.turns.append((True, text_bytes(items) + FRAME_BYTES))
        return measured
    if items is not None and not isinstance(items, list):
        raise BadRequest("`input` must be a string or an array of objects", param="input")
    for at, item in enumerate(list_field(body, "input")):
        _add_item(measured, item, model, f"input[{at}]")
    return measured


def _add_item(measured: Input, item: Mapping[str, Any], model: str, where: str) -> None:
    kind = item.get("type")
    if kind is None and "role" in item:
        kind = "message"
    if kind is None or kind == "item_reference":
        raise BadRequest(
            f"`{where}` refers to an item that this body does not show and cannot be bounded: send the item itself",
            param=where,
        )
    if not isinstance(kind, str):
        raise BadRequest(f"`{where}.type` must be a string", param=f"{where}.type")
    if kind == "additional_tools":
        tools = list_field(item, "tools")
        measured.has_search |= check_tools(tools, f"{where}.tools")
        measured.tools += tools
        return
    measured.has_compaction |= kind == "compaction_trigger"
    if kind == "tool_search_output":
        measured.has_search |= check_tools(list_field(item, "tools"), f"{where}.tools")
    tally = Tally(FRAME_BYTES)
    _measure_item(item, kind, tally, model, where)
    measured.beyond += tally.tokens_beyond
    role = item.get("role")
    if kind == "message" and role in SYSTEM_ROLES:
        measured.system += tally.size_bytes
        measured.system_text += _texts(item.get("content"))
    else:
        is_user = role != "assistant" if kind == "message" else kind.endswith(("_output", "_response"))
        measured.turns.append((is_user, tally.size_bytes))


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]


def _measure_item(item: Mapping[str, Any], kind: str, tally: Tally, model: str, where: str) -> None:
    if kind in _SCHEMA_ITEMS:
        tally.size_bytes += len(dump_parsed(dict(item)))
        return
    if kind == "image_generation_call":
        _measure_image({"image_url": item.get("result")}, tally, model)
        item = {name: value for name, value in item.items() if name != "result"}
    elif kind == "reasoning" and not item.get("encrypted_content") and not item.get("content"):
        tally.add_cost(HIDDEN_REASONING)
    for name, value in item.items():
        if name in _NO_TEXT:
            continue
        if type(value) is str:
            tally.size_bytes += text_bytes(value)
        elif name in _CONTENTS:
            _measure_content(value, tally, model, f"{where}.{name}")
        else:
            tally.size_bytes += strings_bytes(value)


def _measure_content(content: object, tally: Tally, model: str, where: str) -> None:
    if type(content) is list:
        for at, part in enumerate(content):
            if not _measure_text(part, tally):
                _measure_part(part, tally, model, f"{where}[{at}]")
    elif not _measure_text(content, tally):
        _measure_part(content, tally, model, where)


def _measure_text(part: object, tally: Tally) -> bool:
    """Measure a part that is text, as nearly all are; False for any other."""
    if type(part) is not dict:
        return False
    kind, text = part.get("type"), part.get("text")
    if type(kind) is not str or kind not in TEXT_PARTS or type(text) is not str:
        return False
    tally.size_bytes += text_bytes(text)
    return True


def _measure_part(part: object, tally: Tally, model: str, where: str) -> None:
    if not isinstance(part, Mapping):
        tally.size_bytes += strings_bytes(part)
        return
    kind = part.get("type")
    if not isinstance(kind, str):
        kind = ""
    if kind in _IMAGE_PARTS:
        _measure_image(part, tally, model)
    elif kind == "input_file":
        _measure_file(part, tally, where)
    elif kind in _UNBOUNDED_PARTS:
        raise BadRequest(f"`{kind}` has no known length and cannot be bounded", param=where)
    else:
        tally.size_bytes += sum(strings_bytes(value) for name, value in part.items() if name not in _NO_TEXT)


def _measure_image(part: Mapping[str, Any], tally: Tally, model: str) -> None:
    url = part.get("image_url")
    if isinstance(url, Mapping):  # As chat writes it; some servers take both.
        url = url.get("url")
    data = url if isinstance(url, str) else ""
    if data.startswith("data:"):
        data = data.partition(",")[2]
    tally.add_cost(openai_image(model, image_size(data), str(part.get("detail") or "auto")))


def _measure_file(part: Mapping[str, Any], tally: Tally, where: str) -> None:
    data = part.get("file_data")
    if not isinstance(data, str) or part.get("file_id") or part.get("file_url"):
        raise BadRequest(
            "a file by id or URL has no known length and cannot be bounded: send it as `file_data`", param=where
        )
    payload = data.partition(",")[2] if data.startswith("data:") else data
    tally.add_cost(pdf_cost(payload, param=where))
