"""Refusals have the provider's own shapes; the provider's errors are understood."""

from __future__ import annotations

import json

import pytest

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Refusal
from bursar.wire.openai_chat import OpenAIChat

OPENAI, ANTHROPIC = OpenAIChat(), AnthropicMessages()
CODES = [
    "budget_exceeded",
    "price_unknown",
    "contended",
    "bad_request",
    "not_found",
    "store_unavailable",
    "upstream_failed",
]


def test_a_spent_budget_reads_as_insufficient_quota_and_as_a_billing_error() -> None:
    refusal = Refusal(402, "budget_exceeded", "budget daily of user ada is spent")
    assert OPENAI.refusal(refusal) == (
        b'{"error":{"message":"budget daily of user ada is spent","type":"insufficient_quota","param":null,'
        b'"code":"budget_exceeded"}}'
    )
    assert ANTHROPIC.refusal(refusal) == (
        b'{"type":"error","error":{"type":"billing_error","message":"budget daily of user ada is spent"}}'
    )


@pytest.mark.parametrize(
    ("code", "status", "openai", "anthropic"),
    [
        ("usage_limit_reached", 429, "usage_limit_reached", "billing_error"),
        ("price_unknown", 402, "insufficient_quota", "billing_error"),
        ("contended", 429, "requests", "rate_limit_error"),
        ("bad_request", 400, "invalid_request_error", "invalid_request_error"),
        ("bad_request", 413, "invalid_request_error", "invalid_request_error"),
        ("not_found", 404, "invalid_request_error", "not_found_error"),
        ("store_unavailable", 503, "server_error", "overloaded_error"),
        ("upstream_failed", 502, "server_error", "api_error"),
    ],
)
def test_each_code_has_its_type(code: str, status: int, openai: str, anthropic: str) -> None:
    refusal = Refusal(status, code, "what to do", param="max_tokens")
    assert json.loads(OPENAI.refusal(refusal))["error"] == {
        "message": "what to do",
        "type": openai,
        "param": "max_tokens",
        "code": code,
    }
    assert json.loads(ANTHROPIC.refusal(refusal))["error"] == {"type": anthropic, "message": "what to do"}


@pytest.mark.parametrize("code", CODES)
def test_only_contention_is_called_a_rate_limit_and_never_in_words(code: str) -> None:
    for wire in (OPENAI, ANTHROPIC):
        text = wire.refusal(Refusal(402, code, "wait for the next window")).decode().lower()
        assert "rate limit" not in text
        assert "429" not in text
        assert ("rate_limit" in text) == (wire is ANTHROPIC and code == "contended")


def openai_error(message: str, param: str | None = "max_tokens") -> bytes:
    return json.dumps(
        {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    ).encode()


MAXIMA = [
    (
        "max_tokens is too large: 128000. This model supports at most 16384 completion "
        "tokens, whereas you provided 128000.",
        16384,
    ),
    (
        "`max_completion_tokens` must be less than or equal to `8192`, the maximum value "
        "for `max_completion_tokens` is less "
        "than the `context_window` for this model",
        8192,
    ),
    (
        "max_completion_tokens must be less than or equal to 40960, the maximum value "
        "for max_completion_tokens is less than "
        "the context_window for this model",
        40960,
    ),
    ("max_tokens for `llama-3.1-8b-instant` must be less than or equal to 8000", 8000),
    ("`max_tokens` must be less than or equal to `16384`", 16384),
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
    ("Range of max_tokens should be [1, 32768]", 32768),
    (
        "The parameter `max_completion_tokens` specified in the request are not valid: "
        "integer above maximum value, expected a "
        "value <= 12288, but got 32000 instead.",
        12288,
    ),
    ("max_tokens (384000) exceeds model's maximum output tokens (65536) for model deepseek-v4-flash:0731", 65536),
    (
        "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 "
        "(inclusive) to 65537 (exclusive). Update the value and try again.",
        65536,
    ),
    (
        "The maximum tokens you requested exceeds the model limit of 4096. Try again "
        "with a maximum tokens value that is lower "
        "than 4096.",
        4096,
    ),
    ("too many tokens: max tokens must be less than or equal to 4096", 4096),
]


@pytest.mark.parametrize(("message", "maximum"), MAXIMA)
def test_a_named_maximum_is_found(message: str, maximum: int | None) -> None:
    assert OPENAI.named_maximum(400, openai_error(message)) == maximum
    assert OPENAI.named_maximum(400, message.encode()) == maximum
    assert OPENAI.named_maximum(200, openai_error(message)) is None
    assert OPENAI.named_maximum(500, openai_error(message)) is None


def test_the_messages_api_names_its_maximum() -> None:
    body = (
        b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: 128001 > 64000, which is the '
        b'maximum allowed number of output tokens for claude-opus-4-5-20251101"},"request_id":"req_1"}'
    )
    assert ANTHROPIC.named_maximum(400, body) == 64_000
    assert ANTHROPIC.named_maximum(400, body.replace(b">", b"\\u003e")) == 64_000


def test_a_maximum_in_other_places_of_an_error_is_found() -> None:
    proxied = {
        "error": {
            "message": "Param Incorrect",
            "param": "max_tokens is too large: 1048576. This model supports at "
            "most 131072 completion tokens, whereas you provided 1048576.",
        }
    }
    assert OPENAI.named_maximum(400, json.dumps(proxied).encode()) == 131_072
    pydantic = {
        "detail": [
            {
                "type": "less_than_equal",
                "loc": ["body", "max_tokens"],
                "msg": "Input should be less than or equal to 131072",
                "ctx": {"le": 131072},
            }
        ]
    }
    assert OPENAI.named_maximum(422, json.dumps(pydantic).encode()) == 131_072


@pytest.mark.parametrize(
    ("message", "room"),
    [
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's "
            "maximum context length is 64001 tokens "
            "and your request has 24235 input tokens (64000 > 64001 - 24235).",
            39_766,
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 8256 "
            "tokens (64 in the messages, 8192 "
            "in the completion). Please reduce the length of the messages or completion.",
            8_128,
        ),
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested "
            "about 200031 tokens (31 of text "
            "input, 200000 in the output).",
            131_041,
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "output tokens and your prompt "
            "contains at least 100 input tokens, for a total of at least 5100 tokens.",
            3_996,
        ),
        (
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
            "`max_tokens` and try again",
            11_760,
        ),
        (
            "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 4 `inputs` tokens and 10000 `max_new_tokens`",
            8_189,
        ),
        (
            "This model's maximum context length is 100 tokens. However, you requested 256 "
            "tokens (164 in the messages, 92 in "
            "the completion).",
            None,
        ),
    ],
)
def test_room_in_a_context_window_is_no_maximum_of_the_model(message: str, room: int | None) -> None:
    assert OPENAI.named_room(400, openai_error(message)) == room
    assert ANTHROPIC.named_room(400, openai_error(message)) == room
    assert OPENAI.named_maximum(400, openai_error(message)) is None


@pytest.mark.parametrize(
    "message",
    [
        "",
        "The model `gpt-9` does not exist",
        "Invalid image: maximum size is 20 MB",
        "Temperature must be <= 2",
        "{",
        "\ud800",
    ],
)
def test_other_errors_name_no_maximum(message: str) -> None:
    for body in (openai_error(message, None), message.encode("utf-8", "surrogatepass")):
        assert OPENAI.named_maximum(400, body) is None
        assert OPENAI.named_room(400, body) is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"error":{"message":"bad","type":"invalid_request_error"}}', True),
        (401, b'{"error":{"message":"no key"}}', True),
        (429, b'{"error":{"message":"slow down","type":"tokens"}}', True),
        (500, b'{"error":{"message":"oops","type":"server_error"}}', True),
        (400, b'{"object":"error","message":"vLLM","type":"BadRequestError","code":400}', True),
        (422, b'{"detail":[{"loc":["body","model"],"msg":"Field required"}]}', True),
        (401, b'{"message":"Unauthorized","request_id":"1"}', True),
        (404, b'{"error":"model not found"}', True),
        (400, b'[{"error":{"code":400,"message":"gemini"}}]', True),
        (200, b'{"error":{"message":"routers do this","code":502}}', True),
        (200, b'{"id":"chatcmpl-1","choices":[]}', False),
        (200, b'{"error":{"message":"x"},"usage":{"prompt_tokens":5}}', False),
        (502, b"<html>502 Bad Gateway</html>", False),
        (503, b"", False),
        (504, b'{"error":{"message":"timeout"}}', False),
        (408, b'{"error":{"message":"timeout"}}', False),
        (524, b'{"error":{"message":"timeout"}}', False),
        (400, b'"text"', False),
        (400, b"[" * 100_000, False),
    ],
)
def test_only_a_readable_error_before_any_output_proves_that_nothing_was_billed(
    status: int, body: bytes, expected: bool
) -> None:
    assert OPENAI.is_provider_error(status, body) is expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"x"}}', True),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', True),
        (403, b'{"message":"forbidden by the proxy"}', True),
        (504, b'{"type":"error","error":{"type":"timeout_error","message":"x"}}', False),
        (500, b"upstream connect error", False),
        (200, b'{"type":"message","content":[]}', False),
    ],
)
def test_messages_errors(status: int, body: bytes, expected: bool) -> None:
    assert ANTHROPIC.is_provider_error(status, body) is expected
