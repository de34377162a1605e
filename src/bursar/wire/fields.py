"""Fields of a request's body, checked once at the edge.

Owns what bursar asks of fields that decide money: model, caps, counts, flags, labels. It must never refuse a field
only because it does not know it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bursar.errors import BadRequest

__all__ = [
    "CONTROL_FIELDS",
    "COUNT_MAX",
    "LABELS",
    "MODEL_LENGTH_MAX",
    "clean_label",
    "count_field",
    "find_key",
    "flag_field",
    "has_hidden_names",
    "list_field",
    "metadata_labels",
    "model_field",
    "refuse_control_fields",
]

COUNT_MAX = 2**31 - 1
MODEL_LENGTH_MAX = 256
LABEL_LENGTH_MAX = 128
TAGS_MAX = 16
LABELS = frozenset({"agent", "task", "task_type", "run", "step", "user", "session", "team"})
"""Keys of `metadata` that are labels of their own; every other key becomes a tag."""

CONTROL_FIELDS = (
    "api_base",
    "api_key",
    "api_type",
    "api_version",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "azure_ad_token",
    "base_url",
    "callbacks",
    "custom_llm_provider",
    "default_headers",
    "extra_body",
    "extra_headers",
    "extra_query",
    "failure_callback",
    "litellm_params",
    "mock_response",
    "mock_timeout",
    "mock_tool_calls",
    "model_list",
    "organization",
    "success_callback",
    "user_config",
    "vertex_credentials",
)
"""None of them is a field of an API; other gateways, which may be upstream, obey them."""
_CONTROL = frozenset(CONTROL_FIELDS)


def refuse_control_fields(body: Mapping[str, Any]) -> None:
    """Refuse fields that some gateways obey: where a call goes and who pays is never the body's to say."""
    if not _CONTROL.isdisjoint(body):
        name = next(name for name in CONTROL_FIELDS if name in body)
        raise BadRequest(f"`{name}` is not allowed in a body: the operator sets it", param=name)


def model_field(body: Mapping[str, Any]) -> str:
    """Read the model's name: printable, not empty, at most 256 characters."""
    model = body.get("model")
    if type(model) is not str or not model:
        raise BadRequest("`model` must be a string", param="model")
    if len(model) > MODEL_LENGTH_MAX or not model.isprintable():
        raise BadRequest(f"`model` must be at most {MODEL_LENGTH_MAX} printable characters", param="model")
    return model


def count_field(body: Mapping[str, Any], name: str, *, most: int = COUNT_MAX, within: str = "") -> int | None:
    """Read a whole number from 1 to `most`; None when it is absent or null."""
    count = body.get(name)
    if count is None:
        return None
    if type(count) is not int or not 1 <= count <= most:
        raise BadRequest(f"`{within}{name}` must be a whole number from 1 to {most:,}", param=within + name)
    return count


def flag_field(body: Mapping[str, Any], name: str) -> bool:
    """Read a boolean; absent and null are false."""
    flag = body.get(name)
    if flag is None:
        return False
    if type(flag) is not bool:
        raise BadRequest(f"`{name}` must be true or false", param=name)
    return flag


def list_field(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Read an array of objects; absent and null are empty."""
    items = body.get(name)
    if items is None:
        return []
    if type(items) is list:
        for item in items:
            if type(item) is not dict:
                break
        else:
            return items
    raise BadRequest(f"`{name}` must be an array of objects", param=name)


_ESCAPED_LETTER = re.compile(rb"\\u00[567]")


def has_hidden_names(raw: bytes) -> bool:
    """Say whether letters are written as escapes: then a name can stand in a body that its bytes do not show."""
    # Most prompts hold no backslash at all, and one byte is found twenty times as fast as four.
    return b"\\" in raw and b"\\u00" in raw and _ESCAPED_LETTER.search(raw) is not None


def find_key(value: Any, key: str) -> Iterator[Any]:
    """Give every value that stands under `key`, at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is dict:
            if key in item:
                yield item[key]
            pending.extend(inner for inner in item.values() if type(inner) is dict or type(inner) is list)
        else:
            pending.extend(inner for inner in item if type(inner) is dict or type(inner) is list)


def clean_label(value: object) -> str:
    """Give a label's value, or an empty string for what cannot be one."""
    if type(value) is not str or not value.isprintable():
        return ""
    return value.strip()[:LABEL_LENGTH_MAX]


def metadata_labels(metadata: object) -> dict[str, str]:
    """Read labels out of a `metadata` object: known names as they are, the others as `tag.<key>`, at most 16."""
    labels: dict[str, str] = {}
    if type(metadata) is not dict:
        return labels
    tags = 0
    for key, value in metadata.items():
        name, text = clean_label(key), clean_label(value)
        if not name or not text:
            continue
        if name in LABELS:
            labels[name] = text
        elif tags < TAGS_MAX:
            labels[f"tag.{name}"] = text
            tags += 1
    return labels
