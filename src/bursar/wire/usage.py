"""A provider's overlapping counters, split into the disjoint leaves of `Usage`.

Owns how each API's counters contain each other. Explicit 0 is 0, missing is None. It must never guess: a counter that
is no whole number, or leaves that would be negative, give None and the caller estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType
from typing import Any

from bursar.core.money import NANO_PER_USD, Nano
from bursar.core.usage import COUNT_MAX, Usage

__all__ = ["anthropic_input", "anthropic_told", "anthropic_usage", "openai_cost", "openai_usage", "output_told"]

_COST_USD_MAX = 9_000_000
"""No single answer costs more; what says so is no cost."""
_CACHED_ELSEWHERE = frozenset({"prompt_cache_hit_tokens", "cached_tokens"})
_COSTS = frozenset({"cost_in_usd_ticks", "cost", "is_byok"})
"""One of these is there where a cost is stated."""
_COUNTS = frozenset({int, type(None)})
_TICKS_PER_NANO = 10
"""xAI states costs in ticks of 1e-10 USD."""


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _NotTold(Exception):
    """A counter that cannot be believed."""


def openai_usage(raw: object, *, web_searches: int = 0) -> Usage | None:
    """Split chat usage: the prompt includes cached, written and audio tokens; the completion includes reasoning.

    Where `total_tokens` is larger than prompt + completion, the rest was generated as well: xAI and Gemini leave
    reasoning out of `completion_tokens` and bill it.
    """
    if type(raw) is not dict and not isinstance(raw, Mapping):
        return None
    try:
        return _plain_openai_usage(raw, web_searches) or _openai_usage(raw, web_searches)
    except (_NotTold, ValueError):
        return None


def output_told(raw: object) -> int:
    """Read the output alone where the rest contradicts itself: it was billed all the same. 0 when it is not told."""
    if type(raw) is not dict and not isinstance(raw, Mapping):
        return 0
    told = 0
    for name in ("completion_tokens", "output_tokens"):
        count = raw.get(name)
        if type(count) is int and told < count <= COUNT_MAX:
            told = count
    return told


def _plain_openai_usage(raw: Mapping[str, Any], web_searches: int) -> Usage | None:
    """Split a usage that tells of text alone, some of it cached or reasoning, as most do; None for any other.

    Raises ValueError, as a `Usage` does, for counters that `_openai_usage` would not believe either.
    """
    prompt, completion, total = raw.get("prompt_tokens"), raw.get("completion_tokens"), raw.get("total_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    whole = prompt + completion
    if whole > COUNT_MAX or (total is not None and (type(total) is not int or not 0 <= total <= whole)):
        return None
    details, made = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    cached = _alone(details, "cached_tokens") if details else 0
    reasoning = _alone(made, "reasoning_tokens") if made else 0
    if cached is None or reasoning is None or not _CACHED_ELSEWHERE.isdisjoint(raw):
        return None
    return Usage(prompt - cached, cached, 0, 0, 0, 0, completion - reasoning, reasoning, 0, web_searches)


def _alone(details: object, name: str) -> int | None:
    """Give the one counter of an object whose others are all 0 or missing; None where they are not."""
    if type(details) is not dict or not _COUNTS.issuperset(map(type, details.values())):
        return None
    if not any(details.values()):
        return 0
    return None if any({**details, name: 0}.values()) else int(details[name])


def _openai_usage(raw: Mapping[str, Any], web_searches: int) -> Usage:
    prompt, completion = _needed(raw, "prompt_tokens"), _needed(raw, "completion_tokens")
    details, made = _inner(raw, "prompt_tokens_details"), _inner(raw, "completion_tokens_details")
    cached = cached_audio = audio = written = reasoning = output_audio = 0
    # What an answer does not tell is 0, and many tell no details.
    if details or not _CACHED_ELSEWHERE.isdisjoint(raw):
        cached = _first(
            _count(details, "cached_tokens"), _count(raw, "prompt_cache_hit_tokens"), _count(raw, "cached_tokens")
        )
    if details:
        cached_audio = _count(_inner(details, "cached_tokens_details"), "audio_tokens") or 0
        audio = _count(details, "audio_tokens") or 0
        # Tokens written to the cache are part of the prompt; the counter is "unadjusted" and may overlap what was read.
        written = min(_count(details, "cache_write_tokens") or 0, max(0, prompt - cached - audio + cached_audio))
    if made:
        reasoning, output_audio = _count(made, "reasoning_tokens") or 0, _count(made, "audio_tokens") or 0
    total = _count(raw, "total_tokens") or 0
    unnamed = total - prompt - completion if total > prompt + completion else 0
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
        web_searches=web_searches,
    )


def openai_cost(raw: object) -> Nano | None:
    """Read the positive cost that OpenRouter (`cost`, USD) or xAI (`cost_in_usd_ticks`) state, rounded up."""
    if (type(raw) is not dict and not isinstance(raw, Mapping)) or _COSTS.isdisjoint(raw):
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
    if type(raw) is not dict and not isinstance(raw, Mapping):
        return None
    try:
        tools = raw.get("server_tool_use")
        searches = (_count(_inner(raw, "server_tool_use"), "web_search_requests") or 0) if tools else 0
        rounds = raw.get("iterations")
        if type(rounds) is not list or not rounds:
            return _anthropic_round(raw, is_1h_asked, searches)
        _needed(raw, "input_tokens"), _needed(raw, "output_tokens")
        total = Usage(web_searches=searches)
        for entry in rounds:
            if not isinstance(entry, Mapping):
                raise _NotTold
            total += _anthropic_round(entry, is_1h_asked)
        return total
    except (_NotTold, ValueError):
        return None


def anthropic_input(raw: object, *, is_1h_asked: bool = False) -> Usage | None:
    """Split the input side alone, as `message_start` tells it before anything is generated."""
    if not isinstance(raw, Mapping):
        return None
    return anthropic_usage({**raw, "output_tokens": 0, "output_tokens_details": None}, is_1h_asked=is_1h_asked)


def anthropic_told(raw: object, *, is_1h_asked: bool = False) -> tuple[Usage | None, Usage | None]:
    """Split what a whole answer tells: all of it, and the input side alone."""
    usage = anthropic_usage(raw, is_1h_asked=is_1h_asked)
    if usage is None or not isinstance(raw, dict) or raw.get("iterations"):
        return usage, anthropic_input(raw, is_1h_asked=is_1h_asked)
    read, written, written_1h = usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    return usage, Usage(usage.input_tokens, read, written, written_1h, web_searches=usage.web_searches)


def _anthropic_round(raw: Mapping[str, Any], is_1h_asked: bool, web_searches: int = 0) -> Usage:
    given, output = _needed(raw, "input_tokens"), _needed(raw, "output_tokens")
    thinking = short = long = untold = read = 0
    # What is missing or 0 need not be counted; False is no count, and looked at.
    if raw.get("output_tokens_details"):
        thinking = _count(_inner(raw, "output_tokens_details"), "thinking_tokens") or 0
    split = _inner(raw, "cache_creation") if raw.get("cache_creation") else _NOTHING
    if split:
        short, long = _count(split, "ephemeral_5m_input_tokens") or 0, _count(split, "ephemeral_1h_input_tokens") or 0
    written = _count(raw, "cache_creation_input_tokens")
    if written:
        untold = max(0, written - short - long)
    read = _count(raw, "cache_read_input_tokens") or 0
    if is_1h_asked:
        long += untold
    else:
        short += untold
    return Usage(given, read, short, long, 0, 0, output - thinking, thinking, 0, web_searches)


def _count(raw: Mapping[str, Any], name: str) -> int | None:
    count = raw.get(name)
    if count is None:
        return None
    if type(count) is not int or not 0 <= count <= COUNT_MAX:
        raise _NotTold
    return count


def _needed(raw: Mapping[str, Any], name: str) -> int:
    count = raw.get(name)
    if type(count) is not int or not 0 <= count <= COUNT_MAX:
        raise _NotTold
    return count


def _first(*counts: int | None) -> int:
    for count in counts:
        if count is not None:
            return count
    return 0


def _inner(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = raw.get(name)
    if inner is None:
        return _NOTHING
    return inner if type(inner) is dict or isinstance(inner, Mapping) else _NOTHING


def _usd(value: object) -> Decimal:
    """Read a JSON number of USD exactly as it was written; anything else is 0."""
    if type(value) not in (int, float):
        return Decimal(0)
    usd = Decimal(str(value))
    return usd if usd.is_finite() else Decimal(0)
