"""What both of OpenAI's request shapes hold alike: service tiers, explicit cache writes, labels.

Owns these three readings. What only one of the shapes has stays with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.fields import clean_label, find_key, has_hidden_names, metadata_labels
from bursar.wire.strict_json import Parsed

__all__ = ["labels", "mentions_cache", "service_tiers"]

_CACHE_KEYS = ("prompt_cache_breakpoint", "prompt_cache_options", "cache_control")
_LABELLING = frozenset({"metadata", "safety_identifier", "user"})
_CACHE_KEYS_SHOWN = tuple(key.encode() for key in _CACHE_KEYS)


def service_tiers(body: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Give every tier that a body can be billed at, out of those that its API knows. Raises BadRequest."""
    tier = body.get("service_tier")
    if tier is None:
        return ("",)
    tiers = known.get(tier) if isinstance(tier, str) else None
    if tiers is None:
        raise BadRequest(f"the service tier is unknown: use one of {', '.join(known)}", param="service_tier")
    return tiers


def mentions_cache(body: dict[str, Any], parsed: Parsed) -> bool:
    """Tell whether a body asks for cache writes, however its names are written."""
    raw = parsed.raw
    # All of them have this word in them: a body is looked over once for it, and for each key only where it is there.
    # One byte is found so much faster than five that it is asked for first.
    is_shown = b"_" in raw and b"cache" in raw and any(key in raw for key in _CACHE_KEYS_SHOWN)
    if not is_shown and (parsed.is_canonical or not has_hidden_names(raw)):
        return False
    return any(value is not None for key in _CACHE_KEYS for value in find_key(body, key))


def labels(body: Mapping[str, Any]) -> dict[str, str]:
    """Give the labels that a body names: the user, and its metadata."""
    if _LABELLING.isdisjoint(body):
        return {}
    found = metadata_labels(body.get("metadata"))
    user = clean_label(body.get("safety_identifier")) or clean_label(body.get("user"))
    if user:
        found["user"] = user
    return found
