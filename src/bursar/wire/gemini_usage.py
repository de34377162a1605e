"""Gemini's overlapping counters, split into the disjoint leaves of `Usage`, and written again.

Owns how they contain each other: the prompt includes what was cached and all sound; thinking and the answer stand
apart; results of tools that the provider ran come on top. It must never guess: see `wire/usage.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.core.usage import COUNT_MAX, Usage

__all__ = ["gemini_input", "gemini_tier", "gemini_usage", "usage_object"]

_AUDIO = ("AUDIO", 4)
"""Modalities come by name, or by number to clients that ask for numbers."""
_TRAFFIC = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
_TIERS = frozenset({"flex", "priority"})


def gemini_usage(raw: object) -> Usage | None:
    """Split `usageMetadata`; None where it does not tell.

    A counter that is 0 is left out, so a missing one is what the total leaves for it: an answer that only thought has
    no `candidatesTokenCount`. What the total counts beyond all others was generated as well.
    """
    try:
        return _usage(raw) if isinstance(raw, Mapping) else None
    except ValueError:
        return None


def gemini_input(raw: object) -> Usage | None:
    """Split the input side alone, as every chunk of a stream tells it."""
    if not isinstance(raw, Mapping):
        return None
    made = ("candidatesTokenCount", "candidatesTokensDetails", "thoughtsTokenCount", "totalTokenCount")
    return gemini_usage({**{name: value for name, value in raw.items() if name not in made}, "candidatesTokenCount": 0})


def _usage(raw: Mapping[str, Any]) -> Usage:
    prompt, answer, total = (
        _count(raw, "promptTokenCount"), _count(raw, "candidatesTokenCount"), _count(raw, "totalTokenCount")
    )  # fmt: skip
    if prompt is None or (answer is None and total is None):
        raise ValueError
    thoughts, tools = _count(raw, "thoughtsTokenCount") or 0, _count(raw, "toolUsePromptTokenCount") or 0
    cached = _count(raw, "cachedContentTokenCount") or 0
    audio, cached_audio = _audio(raw, "promptTokensDetails"), _audio(raw, "cacheTokensDetails")
    answer_audio = _audio(raw, "candidatesTokensDetails")
    unnamed = max(0, (total or 0) - prompt - tools - (answer or 0) - thoughts)
    return Usage(
        input_tokens=prompt - cached - audio + cached_audio + tools,
        cache_read_tokens=cached - cached_audio,
        input_audio_tokens=audio - cached_audio,
        cache_read_audio_tokens=cached_audio,
        output_tokens=(answer or 0) - answer_audio + unnamed,
        reasoning_tokens=thoughts,
        output_audio_tokens=answer_audio,
    )


def _count(raw: Mapping[str, Any], name: str) -> int | None:
    count = raw.get(name)
    if count is None:
        return None
    if type(count) is not int or not 0 <= count <= COUNT_MAX:
        raise ValueError
    return count


def _audio(raw: Mapping[str, Any], name: str) -> int:
    details = raw.get(name)
    if not isinstance(details, list):
        return 0
    told = (entry for entry in details if isinstance(entry, Mapping) and entry.get("modality") in _AUDIO)
    return sum(_count(entry, "tokenCount") or 0 for entry in told)


def gemini_tier(raw: object) -> str:
    """Name the service tier that usage tells, as prices do; empty where it tells none."""
    if not isinstance(raw, Mapping):
        return ""
    tier = str(raw.get("serviceTier") or "").lower().removeprefix("service_tier_")
    return tier if tier in _TIERS else _TRAFFIC.get(str(raw.get("trafficType")), "")


def usage_object(usage: Usage) -> dict[str, Any]:
    """Write usage as this API does: counters that are 0 are left out."""
    counts = {
        "promptTokenCount": usage.input_total,
        "candidatesTokenCount": usage.output_tokens + usage.output_audio_tokens,
        "totalTokenCount": usage.input_total + usage.output_total,
        "cachedContentTokenCount": usage.cache_read_tokens + usage.cache_read_audio_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
    }
    return {name: count for name, count in counts.items() if count or name in ("promptTokenCount", "totalTokenCount")}
