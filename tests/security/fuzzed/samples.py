"""Requests and streams of every API, as real clients and providers write them: what the fuzzing starts from."""

from __future__ import annotations

from typing import Any

from tests.security.fuzzed.mutate import PIXEL

__all__ = ["ANSWERS", "BODIES", "ERRORS", "EVENTS"]

TOOL = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q":"x"}'}}

BODIES: dict[str, tuple[dict[str, Any], ...]] = {
    "openai": (
        {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20, "stream": True},
        {
            "model": "openai/m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "name": "ada", "content": [{"type": "text", "text": "what is this?"},
                 {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": TOOL}}],
            "tool_choice": "auto", "n": 2, "max_completion_tokens": 30, "temperature": 0.5, "stop": ["a", "b"],
            "stream_options": {"include_usage": True}, "stream": True, "logit_bias": {"5": -100}, "seed": 5,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": TOOL, "strict": True}},
            "metadata": {"agent": "a", "project": "x"}, "user": "ada", "service_tier": "auto",
            "prediction": {"type": "content", "content": "hello"}, "reasoning_effort": "low", "prompt_cache_key": "k",
        },
    ),
    "anthropic": (
        {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20},
        {
            "model": "m", "max_tokens": 2_000, "stream": True, "temperature": 1, "stop_sequences": ["x"],
            "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "thinking": {"type": "enabled", "budget_tokens": 1_024}, "metadata": {"user_id": "ada"},
            "service_tier": "auto", "tool_choice": {"type": "auto"},
            "tools": [{"name": "f", "description": "d", "input_schema": TOOL, "cache_control": {"type": "ephemeral"}},
                      {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image", "source":
                 {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                 {"type": "tool_use", "id": "t", "name": "f", "input": {"q": "x"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
                 {"type": "text", "text": "42"}]}]},
            ],
        },
    ),
    "responses": (
        {"model": "m", "input": "hello", "max_output_tokens": 20},
        {
            "model": "m", "stream": True, "instructions": "be brief", "store": False, "max_output_tokens": 40,
            "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"},
            "parallel_tool_calls": True, "tool_choice": "auto", "service_tier": "auto", "prompt_cache_key": "k",
            "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "x", "schema": TOOL}},
            "tools": [{"type": "function", "name": "f", "parameters": TOOL, "strict": False},
                      {"type": "custom", "name": "patch"}],
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"},
                 {"type": "input_image", "image_url": PIXEL, "detail": "auto"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "42"},
                {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "abc"},
                {"role": "assistant", "content": "yes"},
            ],
            "metadata": {"run": "r1"},
        },
    ),
    "embeddings": (
        {"model": "m", "input": "hello"},
        {"model": "m", "input": ["a", "b"], "dimensions": 8, "encoding_format": "float", "user": "ada"},
        {"model": "m", "input": [[1, 2], [3]]},
    ),
    "completions": (
        {"model": "m", "prompt": "hello", "max_tokens": 20},
        {"model": "m", "prompt": ["a", [1, 2]], "n": 2, "best_of": 3, "suffix": "x", "echo": True, "logprobs": 2,
         "max_tokens": 10, "stop": "x"},
        {"model": "m", "prompt": "a", "stream": True, "stream_options": {"include_usage": True}},
    ),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        {
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "hello"}, {"inlineData": {"mimeType": "image/png",
                 "data": PIXEL.partition(",")[2]}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"q": "x"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 42}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": TOOL}]}],
            "generationConfig": {"maxOutputTokens": 2_000, "candidateCount": 2, "temperature": 0.5, "stopSequences": ["x"],
                                 "thinkingConfig": {"thinkingBudget": 1_024, "includeThoughts": True},
                                 "responseMimeType": "application/json", "responseSchema": TOOL},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            "labels": {"team": "x"},
        },
        {"contents": {"parts": {"text": "x"}}, "system_instruction": {"parts": [{"text": "x"}]},
         "generation_config": {"max_output_tokens": 5}},
    ),
}  # fmt: skip

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "prompt_tokens_details": {"cached_tokens": 2},
         "completion_tokens_details": {"reasoning_tokens": 1}, "cost": 0.01}  # fmt: skip
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "service_tier": "default"}
TEXT = {"id": "c", "object": "text_completion", "created": 1, "model": "m-1"}
MESSAGE = {"id": "msg", "type": "message", "role": "assistant", "model": "m-1", "content": [], "stop_reason": None,
           "usage": {"input_tokens": 5, "cache_read_input_tokens": 1, "output_tokens": 1,
                     "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 0}}}  # fmt: skip
RESPONSE = {"id": "resp_1", "object": "response", "model": "m-1", "status": "in_progress", "output": [], "usage": None}
ITEM = {"id": "i", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
TOLD = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 8}  # fmt: skip
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
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
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
        {"type": "response.content_part.added", "sequence_number": 2, "output_index": 0, "content_index": 0,
         "item_id": "i", "part": {"type": "output_text", "text": "", "annotations": []}},
        {"type": "response.output_text.delta", "sequence_number": 3, "output_index": 0, "content_index": 0,
         "item_id": "i", "delta": "hello"},
        {"type": "response.function_call_arguments.delta", "sequence_number": 4, "output_index": 1, "item_id": "j",
         "delta": "{}"},
        {"type": "response.output_item.added", "sequence_number": 5, "output_index": 1,
         "item": {"id": "j", "type": "function_call", "name": "f", "call_id": "c", "arguments": ""}},
        {"type": "response.output_text.done", "sequence_number": 6, "output_index": 0, "content_index": 0,
         "item_id": "i", "text": "hello"},
        {"type": "response.output_item.done", "sequence_number": 7, "output_index": 0,
         "item": {**ITEM, "status": "completed", "content": [{"type": "output_text", "text": "hello"}]}},
        {"type": "response.completed", "sequence_number": 8,
         "response": {**RESPONSE, "status": "completed", "usage": TOLD}},
        {"type": "response.failed", "sequence_number": 9, "response": {**RESPONSE, "status": "failed",
         "error": {"code": "server_error", "message": "x"}}},
        {"type": "error", "sequence_number": 10, "code": "x", "message": "y", "param": None},
    ),
    "gemini": (
        {"candidates": [{"content": {"parts": [{"text": "hello"}], "role": "model"}, "index": 0}], **GEMINI},
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}], "role": "model"}}],
         "usageMetadata": META, **GEMINI},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"q": "x"}}}]}, "index": 1}]},
        {"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}],
         "usageMetadata": META, **GEMINI},
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}},
    ),
}  # fmt: skip
"""Embeddings have no streams."""

ANSWERS: dict[str, tuple[dict[str, Any], ...]] = {
    "openai": (
        {**CHUNK, "object": "chat.completion", "usage": USAGE, "choices": [{"index": 0, "finish_reason": "stop",
         "message": {"role": "assistant", "content": "hello", "refusal": None, "tool_calls": [CALL]}}]},
    ),
    "completions": ({**TEXT, "usage": USAGE, "choices": [{"index": 0, "text": "hello", "finish_reason": "length"}]},),
    "anthropic": (
        {**MESSAGE, "stop_reason": "max_tokens", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hello", "citations": None},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"q": "x"}},
            {"type": "server_tool_use", "id": "u", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "u", "content": [{"type": "web_search_result", "url": "x"}]}]},
    ),
    "responses": (
        {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "usage": TOLD,
         "service_tier": "default", "output": [
            {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {**ITEM, "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}]},
            {"id": "j", "type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}]},
    ),
    "embeddings": ({"object": "list", "model": "m-1", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
                    "usage": {"prompt_tokens": 5, "total_tokens": 5}},),
    "gemini": (
        {"candidates": [{"content": {"parts": [{"text": "hello"}, {"functionCall": {"name": "f", "args": {"q": "x"}}},
         {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}], "role": "model"}, "finishReason": "MAX_TOKENS"}],
         "usageMetadata": {**META, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}], "trafficType": "ON_DEMAND"},
         **GEMINI},
    ),
}  # fmt: skip
ERRORS: tuple[dict[str, Any], ...] = (
    {"error": {"message": "max_tokens is too large: 5. This model supports at most 4 completion tokens", "type": "x",
               "param": "max_tokens", "code": None}},
    {"type": "error", "error": {"type": "invalid_request_error",
     "message": "max_tokens: 9 > 5, which is the maximum allowed number of output tokens"}},
    {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
     "The supported range is from 1 (inclusive) to 65537 (exclusive). maxOutputTokens", "details": [{"@type": "x"}]}},
    {"object": "error", "message": "x"}, {"detail": [{"loc": ["a"], "msg": "b"}]},
)  # fmt: skip
