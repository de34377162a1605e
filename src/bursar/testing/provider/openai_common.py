"""What all of OpenAI's wires share: credentials, request ids, errors, whole numbers, the usage of completions.

Owns that part of their JSON. It must never know one endpoint's requests or answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.testing.provider.answer import Answer, Ask
from bursar.testing.provider.script import Script
from bursar.testing.provider.shape import Problem, compact

__all__ = ["DONE", "OpenAICommon", "count_of", "usage_of"]

DONE = b"data: [DONE]\n\n"

ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "We could not parse the request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    413: ("invalid_request_error", None, "Request body is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    503: ("server_error", None, "The server is currently overloaded. Please try again later."),
}


class OpenAICommon:
    """The door of OpenAI's API."""

    def id_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that name the request."""
        return [(b"x-request-id", request_id.encode()), (b"openai-version", b"2020-10-01")]

    def has_key(self, headers: Mapping[str, str]) -> bool:
        """Say whether the request carries a bearer token."""
        return headers.get("authorization", "").removeprefix("Bearer").strip() != ""

    def missing_key(self) -> Problem:
        """Return the refusal of a request without credentials."""
        text = (
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer"
            " auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        return Problem(401, text)

    def scripted_error(self, status: int) -> Problem:
        """Return the error that OpenAI gives with `status`."""
        kind, code, message = ERRORS.get(status, ERRORS[500] if status >= 500 else ERRORS[400])
        return Problem(status, message, kind=kind, code=code)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return the body of an error answer."""
        return compact({"error": self.error_detail(problem)})

    def error_detail(self, problem: Problem) -> dict[str, Any]:
        """Return the error itself."""
        kind = problem.kind or ERRORS.get(problem.status, ERRORS[400])[0]
        return {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code}

    def check_cap(self, ask: Ask, script: Script) -> None:
        """Raise Problem when the request's cap is above the model's maximum."""
        most = script.max_output_tokens
        if most is None or ask.cap_tokens is None or ask.cap_tokens <= most:
            return
        text = (
            f"max_tokens is too large: {ask.cap_tokens}. This model supports at most {most} completion tokens,"
            f" whereas you provided {ask.cap_tokens}."
        )
        raise Problem(400, text, param=ask.cap_name, code="invalid_value")

    def keep_alive(self) -> bytes:
        """Return a comment, which every reader of server-sent events must skip."""
        return b": keep-alive\n\n"

    def error_event(self, answer: Answer, request_id: str) -> bytes:
        """Return the error that ends a stream."""
        return b"data: " + self.error(self.scripted_error(500), request_id) + b"\n\n"


def count_of(body: Mapping[str, Any], name: str, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number of the body. Raises Problem as OpenAI refuses any other value."""
    value = body[name]
    if not isinstance(value, int) or isinstance(value, bool):
        text = f"Invalid type for '{name}': expected an integer, but got {type(value).__name__} instead."
        raise Problem(400, text, param=name, code="invalid_type")
    if value < least:
        text = f"Invalid '{name}': integer below minimum value. Expected a value >= {least}, but got {value} instead."
        raise Problem(400, text, param=name, code="integer_below_min_value")
    if most is not None and value > most:
        text = f"Invalid '{name}': integer above maximum value. Expected a value <= {most}, but got {value} instead."
        raise Problem(400, text, param=name, code="integer_above_max_value")
    return value


def usage_of(answer: Answer, tokens: int) -> dict[str, Any]:
    """Return the usage of an answer of `tokens` per choice, in the words of both kinds of completions."""
    units = answer.units(tokens)
    prompt = units.input + units.cache_read + units.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": units.output,
        "total_tokens": prompt + units.output,
        "prompt_tokens_details": {
            "cached_tokens": units.cache_read,
            "cache_write_tokens": units.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_of(tokens) * answer.ask.choices,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
