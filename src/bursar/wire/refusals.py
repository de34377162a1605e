"""Errors on the wire: bursar's own refusals written, the provider's read.

Owns the error shapes of both APIs, which answers prove that nothing was billed, and the numbers that a 400 names.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bursar.wire.base import Refusal
from bursar.wire.strict_json import dump

__all__ = [
    "anthropic_refusal",
    "is_anthropic_error",
    "is_openai_error",
    "named_maximum",
    "named_room",
    "openai_refusal",
]

_OPENAI_TYPES = {
    "budget_exceeded": "insufficient_quota",
    "usage_limit_reached": "usage_limit_reached",  # Codex looks for this type.
    "paused": "insufficient_quota",
    "run_stopped": "insufficient_quota",
    "run_parked": "insufficient_quota",
    "price_unknown": "insufficient_quota",
    "contended": "requests",
    "bad_request": "invalid_request_error",
    "not_found": "invalid_request_error",
    "unauthorized": "invalid_request_error",
    "forbidden": "invalid_request_error",
    "upstream_failed": "server_error",
}
_ANTHROPIC_TYPES = {
    "budget_exceeded": "billing_error",
    "usage_limit_reached": "billing_error",
    "paused": "billing_error",
    "run_stopped": "billing_error",
    "run_parked": "billing_error",
    "price_unknown": "billing_error",
    "contended": "rate_limit_error",
    "bad_request": "invalid_request_error",
    "not_found": "not_found_error",
    "unauthorized": "authentication_error",
    "forbidden": "permission_error",
    "store_unavailable": "overloaded_error",
}
_ERROR_TEXT_BYTES_MAX = 64 * 1024
_UNKNOWN_OUTCOMES = frozenset({408, 499, 504, 522, 524})
"""Time-outs: the model may have run, whatever the body says."""


def openai_refusal(refusal: Refusal) -> bytes:
    """Write a refusal as OpenAI writes errors; what is no fault of the client is a server error."""
    kind = _OPENAI_TYPES.get(refusal.code, "server_error" if refusal.status >= 500 else "invalid_request_error")
    error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    return dump({"error": error})


def anthropic_refusal(refusal: Refusal) -> bytes:
    """Write a refusal as Anthropic writes errors."""
    kind = _ANTHROPIC_TYPES.get(refusal.code, "api_error" if refusal.status >= 500 else "invalid_request_error")
    return dump({"type": "error", "error": {"type": kind, "message": refusal.message}})


def is_openai_error(status: int, body: bytes) -> bool:
    """Is this the provider's own error? `error`, or vLLM's, Mistral's and FastAPI's shapes; never one with output.

    Some routers send `error` alone with status 200; that is an error as well.
    """
    if status in _UNKNOWN_OUTCOMES:
        return False
    value = _parsed(body)
    if isinstance(value, list) and len(value) == 1:  # Gemini's compatible endpoint wraps its error in an array.
        value = value[0]
    if not isinstance(value, dict) or "choices" in value or "usage" in value:
        return False
    if 200 <= status < 300:
        return bool(value.get("error"))
    return bool(value.get("error") or value.get("detail")) or (
        value.get("object") == "error" or isinstance(value.get("message"), str)
    )


def is_anthropic_error(status: int, body: bytes) -> bool:
    """Is this the provider's own error, with nothing generated?"""
    if status in _UNKNOWN_OUTCOMES:
        return False
    value = _parsed(body)
    if not isinstance(value, dict) or "content" in value or "usage" in value:
        return False
    return bool(value.get("error")) or (status >= 300 and isinstance(value.get("message"), str))


_CAP_NAME = r"max[_ ]?(?:completion_|output_|new_)?tokens"
_OUTPUT_FIELD = r"max[_ ]?(?:completion|output|new)?[_ ]?tokens"
_MAXIMA = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"supports at most (\d{1,9}) (?:completion|output) tokens",
        r"max_tokens: \d+ > (\d{1,9}), which is the maximum allowed number of output tokens",
        _CAP_NAME + r"\W{1,3}(?:for .{1,100}? )?must be (?:less than or equal to|at most|<=) \W{0,2}(\d{1,9})",
        r"(?:valid )?range (?:of|for) \W?"
        + _CAP_NAME
        + r"\W{1,3}(?:is|should be|must be) [\[(]\s*\d+\s*,\s*(\d{1,9})\s*\]",
        r"expected a value <= (\d{1,9})",
        _CAP_NAME + r" \(\d+\) exceeds .{0,60}?maximum output tokens \((\d{1,9})\)",
        r"maximum tokens you requested exceeds the model limit of (\d{1,9})",
        _CAP_NAME + r".{1,200}?should be less than or equal to (\d{1,9})",
        r"maximum (?:value|number of output tokens|output tokens|completion tokens)\D{1,60}?(?:is|of|:) (\d{1,9})\b",
    )
)
_EXCLUSIVE_MAXIMUM = re.compile(r"supported range is from \d+ \(inclusive\) to (\d{1,9}) \(exclusive\)", re.IGNORECASE)
_CONTEXT = r"maximum context length is (\d{1,9}) tokens.{1,200}?"
_ROOMS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), is_input_first)
    for pattern, is_input_first in (
        (_CONTEXT + r"\((\d{1,9}) (?:in the messages|of text input|in your prompt)", False),
        (_CONTEXT + r"(?:request has|contains at least) (\d{1,9}) input tokens", False),
        (r"exceed context limit: (\d{1,9}) \+ \d{1,9} > (\d{1,9})", True),
        (r"max_new_tokens\W{1,3}must be <= (\d{1,9}).{1,40}?(\d{1,9}) \W?inputs", False),
    )
)
"""Context windows: their size and the input beside the cap, in this order unless the input comes first."""


def named_maximum(status: int, body: bytes) -> int | None:
    """Find the model's output maximum in an error that complains of the cap."""
    text = _error_text(status, body)
    if not text or not _is_about_cap(body):
        return None
    exclusive = _EXCLUSIVE_MAXIMUM.search(text)
    if exclusive is not None and re.search(_OUTPUT_FIELD, text, re.IGNORECASE):
        return _positive(int(exclusive.group(1)) - 1)
    if re.search(_CAP_NAME + r"|completion tokens|output tokens|maximum tokens", text, re.IGNORECASE) is None:
        return None
    if _has_room(text):
        return None
    found = next((match for pattern in _MAXIMA if (match := pattern.search(text)) is not None), None)
    return _positive(int(found.group(1))) if found is not None else None


def _is_about_cap(body: bytes) -> bool:
    """Tell whether an error's `param`, where it has one, is the cap; the text may quote what a client wrote."""
    try:
        error = json.loads(body)["error"]
        param = error.get("param")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return True
    return not isinstance(param, str) or not param or re.search(_OUTPUT_FIELD, param, re.IGNORECASE) is not None


def named_room(status: int, body: bytes) -> int | None:
    """Find what a context window leaves for the output beside this call's input."""
    text = _error_text(status, body)
    for pattern, is_input_first in _ROOMS if text else ():
        match = pattern.search(text)
        if match is not None:
            first, second = int(match.group(1)), int(match.group(2))
            return _positive(second - first if is_input_first else first - second)
    return None


def _has_room(text: str) -> bool:
    return any(pattern.search(text) for pattern, _ in _ROOMS)


def _positive(count: int) -> int | None:
    return count if count > 0 else None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error_text(status: int, body: bytes) -> str:
    """Give a 4xx body as plain text, its JSON escapes undone."""
    if not 400 <= status < 500 or len(body) > _ERROR_TEXT_BYTES_MAX:
        return ""
    value = _parsed(body)
    if value is None:
        return body.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False).replace('\\"', '"')
