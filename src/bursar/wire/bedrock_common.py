"""What both of Bedrock's APIs have alike: what their requests say outside of the body, errors, usage.

Owns AWS's error shape, the tiers, and how Bedrock's counters contain each other. It must never guess a counter.

A refusal's type stands in the body, where AWS's clients read it as they read the header `x-amzn-errortype`. A spent
budget must never be a ThrottlingException: that is what they try again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bursar.core.usage import COUNT_MAX, Usage
from bursar.errors import BadRequest
from bursar.wire.base import Refusal, Request
from bursar.wire.event_stream import frame
from bursar.wire.fields import MODEL_LENGTH_MAX
from bursar.wire.refusals import is_openai_error
from bursar.wire.strict_json import dump

__all__ = [
    "BEDROCK_HEADER",
    "Asked",
    "Kept",
    "asked_by",
    "bedrock_input",
    "bedrock_refusal",
    "bedrock_usage",
    "check_model",
    "error_frame",
    "event_frame",
    "is_bedrock_error",
    "service_tiers",
    "tier_name",
    "unchanged",
    "usage_object",
]

_TYPES = {
    "contended": "ThrottlingException",
    "bad_request": "ValidationException",
    "not_found": "ResourceNotFoundException",
    "unauthorized": "UnrecognizedClientException",
    "forbidden": "AccessDeniedException",
    "store_unavailable": "ServiceUnavailableException",
}
_STREAM_TYPES = {"contended": "throttlingException", "store_unavailable": "serviceUnavailableException"}
_TIERS = frozenset({"priority", "flex"})
_ORDINARY = (None, "", "default", "reserved")
"""Reserved capacity is paid in advance; what goes beyond it is billed at the ordinary rates."""
BEDROCK_HEADER = "x-amzn-bedrock-"
"""So begins each header that says something of a request to Bedrock."""
OPTIMIZED = "optimized"
"""Answers at low latency have rates of their own; no list has them, so an operator states them as this tier's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request to Bedrock says outside of its body: in the URL, and of `invoke` in headers."""

    model: str
    is_stream: bool
    service_tier: str | None = None
    latency: str | None = None
    has_guardrail: bool = False


def asked_by(model: str, headers: Mapping[str, str], *, is_stream: bool) -> Asked:
    """Read what a request says by its path and headers (lower-case names)."""
    return Asked(
        model,
        is_stream=is_stream,
        service_tier=headers.get("x-amzn-bedrock-service-tier"),
        latency=headers.get("x-amzn-bedrock-performanceconfig-latency"),
        has_guardrail="x-amzn-bedrock-guardrailidentifier" in headers,
    )


class Kept(dict[str, Any]):
    """A parsed body with its bytes: where nothing of it changes they go on as they came, and a signature stays true."""

    __slots__ = ("raw",)

    def __init__(self, body: Mapping[str, Any], raw: bytes) -> None:
        super().__init__(body)
        self.raw = raw


def unchanged(request: Request, cap: int | None) -> bytes | None:
    """Give the bytes of a body that goes on as it came; None when something is to be written into it."""
    body = request.body
    is_same = cap in (None, request.cap) and not request.dropped
    return body.raw if is_same and isinstance(body, Kept) else None


def check_model(asked: Asked) -> None:
    """Refuse what is no model, and what is more than one."""
    if not asked.model or len(asked.model) > MODEL_LENGTH_MAX or not asked.model.isprintable():
        raise BadRequest(f"the model id must be 1 to {MODEL_LENGTH_MAX} printable characters", param="modelId")
    if ":prompt/" in asked.model:
        raise BadRequest("a managed prompt holds input that this request does not show: send its text", param="modelId")
    if asked.has_guardrail:
        raise BadRequest(
            "guardrails are billed apart from tokens, which is not modelled: use them outside of a budget",
            param="guardrailConfig",
        )


def service_tiers(tier: object, latency: object) -> tuple[str, ...]:
    """Name every tier that a request can be billed at. Raises BadRequest for an unknown one."""
    if tier not in _ORDINARY and (type(tier) is not str or tier not in _TIERS):
        raise BadRequest("the service tier is unknown: use default, flex, priority or reserved", param="serviceTier")
    if latency not in (None, "", "standard", OPTIMIZED):
        raise BadRequest("the latency is unknown: use standard or optimized", param="performanceConfig.latency")
    if latency == OPTIMIZED:
        return ("", OPTIMIZED)
    return ("", str(tier)) if tier in _TIERS else ("",)


def tier_name(asked: tuple[str, ...], told: object, latency: object) -> str:
    """Name the tier that was billed; where the answer tells none, the dearer one that was asked for."""
    if latency == OPTIMIZED:
        return OPTIMIZED
    if told is None and latency is None:
        return next((tier for tier in asked if tier in ("priority", OPTIMIZED)), "")
    return str(told) if told in _TIERS else ""


# --- errors --------------------------------------------------------------------------------------------------------


def bedrock_refusal(refusal: Refusal) -> bytes:
    """Write a refusal as AWS writes errors."""
    kind = "InternalServerException" if refusal.status >= 500 else "ServiceQuotaExceededException"
    return dump({"__type": _TYPES.get(refusal.code, kind), "message": refusal.message})


def is_bedrock_error(status: int, body: bytes) -> bool:
    """Is this the provider's own error, with nothing generated?"""
    if b'"output"' in body or b'"stopReason"' in body or b'"content"' in body:
        return False
    return is_openai_error(status, body) or (status >= 300 and b'"Message"' in body)


def error_frame(refusal: Refusal) -> bytes:
    """Write an error in the middle of a stream, as Bedrock does: an exception ends it."""
    kind = _STREAM_TYPES.get(refusal.code, "modelStreamErrorException")
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, dump({"message": refusal.message, "originalStatusCode": refusal.status}))


def event_frame(kind: str, value: Mapping[str, Any]) -> bytes:
    """Write one event."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, dump(value))


# --- usage ---------------------------------------------------------------------------------------------------------


def bedrock_usage(raw: object, *, is_1h_asked: bool = False) -> Usage | None:
    """Split Converse's usage: input leaves out what was read from the cache and written to it; output has reasoning.

    What the total counts beyond all others was generated as well. Writes whose lifetime is not told count as 1-hour
    ones where the request asked for any. None where it does not tell.
    """
    if not isinstance(raw, Mapping):
        return None
    try:
        read, made = _needed(raw, "inputTokens"), _needed(raw, "outputTokens")
        cached = _count(raw, "cacheReadInputTokens")
        written = _count(raw, "cacheWriteInputTokens")
        short, long = _written(raw.get("cacheDetails"))
        untold = max(0, written - short - long)
        unnamed = max(0, _count(raw, "totalTokens") - read - made - cached - short - long - untold)
        return Usage(
            input_tokens=read,
            cache_read_tokens=cached,
            cache_write_tokens=short + (0 if is_1h_asked else untold),
            cache_write_1h_tokens=long + (untold if is_1h_asked else 0),
            output_tokens=made + unnamed,
        )
    except ValueError:
        return None


def bedrock_input(raw: object, *, is_1h_asked: bool = False) -> Usage | None:
    """Split the input side alone."""
    if not isinstance(raw, Mapping):
        return None
    return bedrock_usage({**raw, "outputTokens": 0, "totalTokens": 0}, is_1h_asked=is_1h_asked)


def _written(details: object) -> tuple[int, int]:
    """Sum cache writes by lifetime: five minutes, an hour."""
    told = [entry for entry in details if isinstance(entry, Mapping)] if isinstance(details, list) else []
    long = sum(_count(entry, "inputTokens") for entry in told if entry.get("ttl") == "1h")
    return sum(_count(entry, "inputTokens") for entry in told) - long, long


def _needed(raw: Mapping[str, Any], name: str) -> int:
    if raw.get(name) is None:
        raise ValueError
    return _count(raw, name)


def _count(raw: Mapping[str, Any], name: str) -> int:
    count = raw.get(name)
    if count is None:
        return 0
    if type(count) is not int or not 0 <= count <= COUNT_MAX:
        raise ValueError
    return count


def usage_object(usage: Usage) -> dict[str, int]:
    """Write usage as Converse does."""
    counts = {
        "inputTokens": usage.input_tokens + usage.input_audio_tokens,
        "outputTokens": usage.output_total,
        "totalTokens": usage.input_total + usage.output_total,
    }
    cached, written = usage.cache_read_tokens, usage.cache_write_tokens + usage.cache_write_1h_tokens
    return counts | ({"cacheReadInputTokens": cached, "cacheWriteInputTokens": written} if cached or written else {})
