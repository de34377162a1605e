"""Requests of every API, as real clients write them: what the fuzzing starts from."""

from __future__ import annotations

from typing import Any

from tests.security.fuzzed.mutate import PIXEL

__all__ = ["BODIES", "CALL"]

TOOL = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q":"x"}'}}

BODIES: dict[str, tuple[dict[str, Any], ...]] = {
    "openai": (
        {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20, "stream": True},
        {
            "model": "openai/m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {
                    "role": "user",
                    "name": "ada",
                    "content": [
                        {"type": "text", "text": "what is this?"},
                        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": TOOL}}],
            "tool_choice": "auto",
            "n": 2,
            "max_completion_tokens": 30,
            "temperature": 0.5,
            "stop": ["a", "b"],
            "stream_options": {"include_usage": True},
            "stream": True,
            "logit_bias": {"5": -100},
            "seed": 5,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": TOOL, "strict": True}},
            "metadata": {"agent": "a", "project": "x"},
            "user": "ada",
            "service_tier": "auto",
            "prediction": {"type": "content", "content": "hello"},
            "reasoning_effort": "low",
            "prompt_cache_key": "k",
        },
    ),
    "anthropic": (
        {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20},
        {
            "model": "m",
            "max_tokens": 2_000,
            "stream": True,
            "temperature": 1,
            "stop_sequences": ["x"],
            "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "thinking": {"type": "enabled", "budget_tokens": 1_024},
            "metadata": {"user_id": "ada"},
            "service_tier": "auto",
            "tool_choice": {"type": "auto"},
            "tools": [
                {"name": "f", "description": "d", "input_schema": TOOL, "cache_control": {"type": "ephemeral"}},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
            ],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hello"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {"q": "x"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "42"}]}
                    ],
                },
            ],
        },
    ),
    "responses": (
        {"model": "m", "input": "hello", "max_output_tokens": 20},
        {
            "model": "m",
            "stream": True,
            "instructions": "be brief",
            "store": False,
            "max_output_tokens": 40,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "low", "summary": "auto"},
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "service_tier": "auto",
            "prompt_cache_key": "k",
            "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "x", "schema": TOOL}},
            "tools": [
                {"type": "function", "name": "f", "parameters": TOOL, "strict": False},
                {"type": "custom", "name": "patch"},
            ],
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "hello"},
                        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
                    ],
                },
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
        {
            "model": "m",
            "prompt": ["a", [1, 2]],
            "n": 2,
            "best_of": 3,
            "suffix": "x",
            "echo": True,
            "logprobs": 2,
            "max_tokens": 10,
            "stop": "x",
        },
        {"model": "m", "prompt": "a", "stream": True, "stream_options": {"include_usage": True}},
    ),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        {
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "hello"},
                        {"inlineData": {"mimeType": "image/png", "data": PIXEL.partition(",")[2]}},
                    ],
                },
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"q": "x"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 42}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": TOOL}]}],
            "generationConfig": {
                "maxOutputTokens": 2_000,
                "candidateCount": 2,
                "temperature": 0.5,
                "stopSequences": ["x"],
                "thinkingConfig": {"thinkingBudget": 1_024, "includeThoughts": True},
                "responseMimeType": "application/json",
                "responseSchema": TOOL,
            },
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            "labels": {"team": "x"},
        },
        {
            "contents": {"parts": {"text": "x"}},
            "system_instruction": {"parts": [{"text": "x"}]},
            "generation_config": {"max_output_tokens": 5},
        },
    ),
}
