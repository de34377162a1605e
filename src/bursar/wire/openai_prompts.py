"""Inputs of the APIs that take bare prompts: a string, strings, or arrays of tokens.

Owns how many prompts a body holds and how large they are. It must never let through an item that it cannot size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.fields import COUNT_MAX, clean_label, metadata_labels
from bursar.wire.text import text_bytes

__all__ = ["PROMPTS_MAX", "Prompts", "prompt_labels", "read_prompts", "refuse_service_tier"]

PROMPTS_MAX = 2_048
"""No provider takes more prompts in one request."""
_BYTES_PER_TOKEN = 4
"""Tokens enter the anatomy as the bytes that the estimate takes for them."""
_TIERS_ORDINARY = (None, "auto", "default")


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one request. `size_bytes` is bytes of text, and tokens times four."""

    count: int
    size_bytes: int


def read_prompts(value: object, name: str) -> Prompts:
    """Size a string, strings, one array of tokens or several. Raises BadRequest for anything else."""
    if type(value) is str:
        return Prompts(1, text_bytes(value))
    if type(value) is not list or not value:
        raise BadRequest(f"`{name}` must be a string, or an array of strings or of tokens", param=name)
    if type(value[0]) is int:
        return Prompts(1, _tokens_bytes(value, name))
    if len(value) > PROMPTS_MAX:
        raise BadRequest(f"`{name}` holds {len(value):,} items; at most {PROMPTS_MAX:,} are allowed", param=name)
    return Prompts(len(value), sum(_item_bytes(item, f"{name}[{at}]") for at, item in enumerate(value)))


def _item_bytes(item: object, where: str) -> int:
    if type(item) is str:
        return text_bytes(item)
    if type(item) is list:
        return _tokens_bytes(item, where)
    raise BadRequest(f"`{where}` is neither text nor tokens and cannot be bounded", param=where)


def _tokens_bytes(tokens: list[Any], where: str) -> int:
    if any(type(token) is not int or not 0 <= token <= COUNT_MAX for token in tokens):
        raise BadRequest(f"`{where}` must hold token numbers and nothing else", param=where)
    return _BYTES_PER_TOKEN * len(tokens)


def refuse_service_tier(body: Mapping[str, Any]) -> None:
    """Refuse a service tier: these APIs have the ordinary one alone."""
    if body.get("service_tier") not in _TIERS_ORDINARY:
        raise BadRequest("this API has no service tiers: leave `service_tier` out", param="service_tier")


def prompt_labels(body: Mapping[str, Any]) -> dict[str, str]:
    """Read the labels that clients already send."""
    labels = metadata_labels(body.get("metadata"))
    user = clean_label(body.get("safety_identifier")) or clean_label(body.get("user"))
    if user:
        labels["user"] = user
    return labels
