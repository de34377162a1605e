"""Errors of the Gemini API: bursar's own refusals written, the provider's read.

Owns Google's error shape. google-genai raises ClientError for every 4xx and ServerError for every 5xx; it retries only
where the caller asks for it, and then 408, 429, 500, 502, 503 and 504: never 402. The status of a spent budget must
therefore never be RESOURCE_EXHAUSTED, by which other clients know what is worth another attempt.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bursar.wire.base import Refusal
from bursar.wire.refusals import is_openai_error
from bursar.wire.strict_json import dump

__all__ = ["gemini_refusal", "is_gemini_error", "named_maximum"]

_STATUSES = {
    "budget_exceeded": "FAILED_PRECONDITION",
    "usage_limit_reached": "FAILED_PRECONDITION",
    "paused": "FAILED_PRECONDITION",
    "price_unknown": "FAILED_PRECONDITION",
    "contended": "RESOURCE_EXHAUSTED",
    "bad_request": "INVALID_ARGUMENT",
    "not_found": "NOT_FOUND",
    "unauthorized": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "store_unavailable": "UNAVAILABLE",
}
_ERROR_BYTES_MAX = 64 * 1024
_MAXIMUM = re.compile(
    r"max_?output_?tokens\W{0,3} (?:has a |value of |value )*\d{1,12} but the supported range is from \d+ \(inclusive\)"
    r" to (\d{1,9}) \(exclusive\)",
    re.IGNORECASE,
)
"""Ranges of other fields (`topK`, `candidateCount`) are told in the same words and say nothing of the output."""


def gemini_refusal(refusal: Refusal) -> bytes:
    """Write a refusal as Google writes errors; its code stands as the reason in the details."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": refusal.code.upper(),
        "domain": "bursar",
        "metadata": {"param": refusal.param} if refusal.param else {},
    }
    details: list[dict[str, Any]] = [info]
    if refusal.retry_after_s is not None:
        delay = f"{refusal.retry_after_s}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    status = _STATUSES.get(refusal.code, "INTERNAL" if refusal.status >= 500 else "INVALID_ARGUMENT")
    error = {"code": refusal.status, "message": refusal.message, "status": status, "details": details}
    return dump({"error": error})


def is_gemini_error(status: int, body: bytes) -> bool:
    """Is this the provider's own error, alone or in an array, with nothing generated?"""
    return is_openai_error(status, body) and b'"candidates"' not in body and b'"usageMetadata"' not in body


def named_maximum(status: int, body: bytes) -> int | None:
    """Find the model's output maximum in an error that complains of `maxOutputTokens`."""
    if not 400 <= status < 500 or len(body) > _ERROR_BYTES_MAX:
        return None
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
    found = _MAXIMUM.search(text)
    return int(found.group(1)) - 1 or None if found is not None else None
