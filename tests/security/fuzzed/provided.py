"""Streams, answers and errors of every API, as real providers write them: what the fuzzing starts from."""

from __future__ import annotations

from typing import Any

from tests.security.fuzzed.samples import CALL

__all__ = ["ANSWERS", "ERRORS", "EVENTS"]

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 3,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1},
    "cost": 0.01,
}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "service_tier": "default"}
TEXT = {"id": "c", "object": "text_completion", "created": 1, "model": "m-1"}
MESSAGE: dict[str, Any] = {
    "id": "msg",
    "type": "message",
    "role": "assistant",
    "model": "m-1",
    "content": [],
    "stop_reason": None,
    "usage": {
        "input_tokens": 5,
        "cache_read_input_tokens": 1,
        "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 0},
    },
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "model": "m-1",
    "status": "in_progress",
    "output": [],
    "usage": None,
}
ITEM = {"id": "i", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
TOLD = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 1},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 8,
}
GEMINI = {"modelVersion": "m-1", "responseId": "r"}
META = {"promptTokenCount": 8, "candidatesTokenCount": 4, "thoughtsTokenCount": 2, "totalTokenCount": 14}

EVENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "openai": (
        {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {**CHUNK, "choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": None}], "obfuscation": "xy"},
        {**CHUNK, "choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": None}], "usage": None},
        {**CHUNK, "choices": [{"index": 1, "delta": {"tool_calls": [{"index": 0, **CALL}]}, "finish_reason": None}]},
        {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**CHUNK, "choices": [], "usage": USAGE},
        {"error": {"message": "overloaded", "code": 502}},
    ),
    "completions": (
        {**TEXT, "choices": [{"index": 0, "text": "hello", "logprobs": None, "finish_reason": None}]},
        {**TEXT, "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}]},
        {**TEXT, "choices": [], "usage": USAGE},
    ),
    "anthropic": (
        {"type": "message_start", "message": MESSAGE},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"q":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
        {"type": "message_stop"},
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
    ),
    "responses": (
        {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
        {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": ITEM},
        {
            "type": "response.content_part.added",
            "sequence_number": 2,
            "output_index": 0,
            "content_index": 0,
            "item_id": "i",
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        {
            "type": "response.output_text.delta",
            "sequence_number": 3,
            "output_index": 0,
            "content_index": 0,
            "item_id": "i",
            "delta": "hello",
        },
        {
            "type": "response.function_call_arguments.delta",
            "sequence_number": 4,
            "output_index": 1,
            "item_id": "j",
            "delta": "{}",
        },
        {
            "type": "response.output_item.added",
            "sequence_number": 5,
            "output_index": 1,
            "item": {"id": "j", "type": "function_call", "name": "f", "call_id": "c", "arguments": ""},
        },
        {
            "type": "response.output_text.done",
            "sequence_number": 6,
            "output_index": 0,
            "content_index": 0,
            "item_id": "i",
            "text": "hello",
        },
        {
            "type": "response.output_item.done",
            "sequence_number": 7,
            "output_index": 0,
            "item": {**ITEM, "status": "completed", "content": [{"type": "output_text", "text": "hello"}]},
        },
        {
            "type": "response.completed",
            "sequence_number": 8,
            "response": {**RESPONSE, "status": "completed", "usage": TOLD},
        },
        {
            "type": "response.failed",
            "sequence_number": 9,
            "response": {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "x"}},
        },
        {"type": "error", "sequence_number": 10, "code": "x", "message": "y", "param": None},
    ),
    "gemini": (
        {"candidates": [{"content": {"parts": [{"text": "hello"}], "role": "model"}, "index": 0}], **GEMINI},
        {
            "candidates": [{"content": {"parts": [{"text": "hm", "thought": True}], "role": "model"}}],
            "usageMetadata": META,
            **GEMINI,
        },
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"q": "x"}}}]}, "index": 1}]},
        {
            "candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": META,
            **GEMINI,
        },
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}},
    ),
}
"""Embeddings have no streams."""

ANSWERS: dict[str, tuple[dict[str, Any], ...]] = {
    "openai": (
        {
            **CHUNK,
            "object": "chat.completion",
            "usage": USAGE,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "hello", "refusal": None, "tool_calls": [CALL]},
                }
            ],
        },
    ),
    "completions": ({**TEXT, "usage": USAGE, "choices": [{"index": 0, "text": "hello", "finish_reason": "length"}]},),
    "anthropic": (
        {
            **MESSAGE,
            "stop_reason": "max_tokens",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "hello", "citations": None},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"q": "x"}},
                {"type": "server_tool_use", "id": "u", "name": "web_search", "input": {"query": "x"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "u",
                    "content": [{"type": "web_search_result", "url": "x"}],
                },
            ],
        },
    ),
    "responses": (
        {
            **RESPONSE,
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": TOLD,
            "service_tier": "default",
            "output": [
                {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {**ITEM, "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}]},
                {"id": "j", "type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"},
            ],
        },
    ),
    "embeddings": (
        {
            "object": "list",
            "model": "m-1",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        },
    ),
    "gemini": (
        {
            "candidates": [
                {
                    "content": {
                        "parts": [
                            {"text": "hello"},
                            {"functionCall": {"name": "f", "args": {"q": "x"}}},
                            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                        ],
                        "role": "model",
                    },
                    "finishReason": "MAX_TOKENS",
                }
            ],
            "usageMetadata": {
                **META,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}],
                "trafficType": "ON_DEMAND",
            },
            **GEMINI,
        },
    ),
}
ERRORS: tuple[dict[str, Any], ...] = (
    {
        "error": {
            "message": "max_tokens is too large: 5. This model supports at most 4 completion tokens",
            "type": "x",
            "param": "max_tokens",
            "code": None,
        }
    },
    {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "max_tokens: 9 > 5, which is the maximum allowed number of output tokens",
        },
    },
    {
        "error": {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "message": "The supported range is from 1 (inclusive) to 65537 (exclusive). maxOutputTokens",
            "details": [{"@type": "x"}],
        }
    },
    {"object": "error", "message": "x"},
    {"detail": [{"loc": ["a"], "msg": "b"}]},
)
