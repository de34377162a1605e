"""A provider's overlapping counters, split into the disjoint leaves of `Usage`.

Owns how each API's counters contain each other. Explicit 0 is 0, missing is None. It must never guess: a counter that
is no whole number, or leaves that would be negative, give None and the caller estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from bursar.core.money import NANO_PER_USD, Nano
from bursar.core.usage import COUNT_MAX, Usage

__all__ = ["anthropic_input", "anthropic_usage", "openai_cost", "openai_usage", "output_told"]

_COST_USD_MAX = 9_000_000
"""No single answer costs more; what says so is no cost."""
_TICKS_PER_NANO = 10
"""xAI states costs in ticks of 1e-10 USD."""


class _NotTold(Exception):
    """A counter that cannot be believed."""


def openai_usage(raw: object) -> Usage | None:
    """Split chat usage: the prompt includes cached, written and audio tokens; the completion includes reasoning.

    Where `total_tokens` is larger than prompt + completion, the rest was generated as well: xAI and Gemini leave
    reasoning out of `completion_tokens` and bill it.
    """
    if not isinstance(raw, dict | Mapping):
        return None
    try:
        return _openai_usage(raw)
    except (_NotTold, ValueError):
        return None


def output_told(raw: object) -> int:
    """Read the output alone where the rest contradicts itself: it was billed all the same. 0 when it is not told."""
    if not isinstance(raw, Mapping):
        return 0
    counts = [raw.get(name) for name in ("completion_tokens", "output_tokens")]
    return max((count for count in counts if type(count) is int and 0 < count <= COUNT_MAX), default=0)


def _openai_usage(raw: Mapping[str, Any]) -> Usage:
    prompt, completion = _needed(raw, "prompt_tokens"), _needed(raw, "completion_tokens")
    details, made = _inner(raw, "prompt_tokens_details"), _inner(raw, "completion_tokens_details")
    cached = _first(
        _count(details, "cached_tokens"), _count(raw, "prompt_cache_hit_tokens"), _count(raw, "cached_tokens")
    )
    cached_audio = _count(_inner(details, "cached_tokens_details"), "audio_tokens") or 0
    audio = _count(details, "audio_tokens") or 0
    # Tokens written to the cache are part of the prompt; the counter is "unadjusted" and may overlap what was read.
    written = min(_count(details, "cache_write_tokens") or 0, max(0, prompt - cached - audio + cached_audio))
    reasoning, output_audio = _count(made, "reasoning_tokens") or 0, _count(made, "audio_tokens") or 0
    unnamed = max(0, (_count(raw, "total_tokens") or 0) - prompt - completion)
    inside = 0 if unnamed and (reasoning == unnamed or reasoning > completion) else reasoning
    return Usage(
        input_tokens=prompt - cached - audio + cached_audio - written,
        cache_read_tokens=cached - cached_audio,
        cache_write_tokens=written,
        input_audio_tokens=audio - cached_audio,
        cache_read_audio_tokens=cached_audio,
        output_tokens=completion - inside - output_audio,
        reasoning_tokens=inside + unnamed,
        output_audio_tokens=output_audio,
    )


def openai_cost(raw: object) -> Nano | None:
    """Read the positive cost that OpenRouter (`cost`, USD) or xAI (`cost_in_usd_ticks`) state, rounded up."""
    if not isinstance(raw, Mapping):
        return None
    ticks = raw.get("cost_in_usd_ticks")
    if type(ticks) is int and 0 < ticks <= _COST_USD_MAX * NANO_PER_USD * _TICKS_PER_NANO:
        return -(-ticks // _TICKS_PER_NANO)
    cost = raw.get("cost")
    if isinstance(cost, Mapping):  # Perplexity states the parts and their sum.
        cost = cost.get("total_cost")
    usd = _usd(cost)
    if raw.get("is_byok") is True:
        # With the customer's own key `cost` is only the router's fee; the model is billed beside it.
        upstream = _usd(_inner(raw, "cost_details").get("upstream_inference_cost"))
        usd = usd + upstream if upstream else Decimal(0)
    if not 0 < usd <= _COST_USD_MAX:
        return None
    return int((usd * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def anthropic_usage(raw: object, *, is_1h_asked: bool = False) -> Usage | None:
    """Split messages usage: input excludes cache reads and writes; output includes thinking.

    `iterations` hold what the top level omits, so they are summed where they are present. Cache writes whose lifetime
    is not told count as 1-hour ones when the request asked for any.
    """
    if not isinstance(raw, Mapping):
        return None
    try:
        _needed(raw, "input_tokens"), _needed(raw, "output_tokens")
        rounds = raw.get("iterations")
        if type(rounds) is list and rounds:
            total = Usage()
            for entry in rounds:
                if not isinstance(entry, Mapping):
                    raise _NotTold
                total += _anthropic_round(entry, is_1h_asked)
        else:
            total = _anthropic_round(raw, is_1h_asked)
        searches = _count(_inner(raw, "server_tool_use"), "web_search_requests") or 0
        return total + Usage(web_searches=searches)
    except (_NotTold, ValueError):
        return None


def anthropic_input(raw: object, *, is_1h_asked: bool = False) -> Usage | None:
    """Split the input side alone, as `message_start` tells it before anything is generated."""
    if not isinstance(raw, Mapping):
        return None
    return anthropic_usage({**raw, "output_tokens": 0, "output_tokens_details": None}, is_1h_asked=is_1h_asked)


def _anthropic_round(raw: Mapping[str, Any], is_1h_asked: bool) -> Usage:
    output = _needed(raw, "output_tokens")
    thinking = _count(_inner(raw, "output_tokens_details"), "thinking_tokens") or 0
    split = _inner(raw, "cache_creation")
    short, long = _count(split, "ephemeral_5m_input_tokens") or 0, _count(split, "ephemeral_1h_input_tokens") or 0
    untold = max(0, (_count(raw, "cache_creation_input_tokens") or 0) - short - long)
    return Usage(
        input_tokens=_needed(raw, "input_tokens"),
        cache_read_tokens=_count(raw, "cache_read_input_tokens") or 0,
        cache_write_tokens=short + (0 if is_1h_asked else untold),
        cache_write_1h_tokens=long + (untold if is_1h_asked else 0),
        output_tokens=output - thinking,
        reasoning_tokens=thinking,
    )


def _count(raw: Mapping[str, Any], name: str) -> int | None:
    count = raw.get(name)
    if count is None:
        return None
    if type(count) is not int or not 0 <= count <= COUNT_MAX:
        raise _NotTold
    return count


def _needed(raw: Mapping[str, Any], name: str) -> int:
    count = _count(raw, name)
    if count is None:
        raise _NotTold
    return count


def _first(*counts: int | None) -> int:
    return next((count for count in counts if count is not None), 0)


def _inner(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = raw.get(name)
    return inner if isinstance(inner, dict | Mapping) else {}


def _usd(value: object) -> Decimal:
    """Read a JSON number of USD exactly as it was written; anything else is 0."""
    if type(value) not in (int, float):
        return Decimal(0)
    usd = Decimal(str(value))
    return usd if usd.is_finite() else Decimal(0)
