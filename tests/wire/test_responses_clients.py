"""What Codex and openai-agents send to the responses API passes, with nothing lost but what is told."""

from __future__ import annotations

import json
from typing import Any

from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.openai_responses import OpenAIResponses

WIRE = OpenAIResponses()
FUNCTION = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}
CODEX_SEARCH = {"type": "web_search", "external_web_access": False}
CODEX: dict[str, Any] = {
    "model": "gpt-5.2-codex",
    "instructions": "You are Codex, based on GPT-5.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context>"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAAA" * 100},
        {"type": "function_call", "name": "exec_command", "arguments": '{"cmd":"ls"}', "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "README.md"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin Patch", "call_id": "call_2"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done"},
        {
            "type": "local_shell_call",
            "call_id": "c",
            "status": "completed",
            "action": {"type": "exec", "command": ["x"]},
        },
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "weather"}},
        {"type": "tool_search_call", "call_id": "t", "execution": "client", "arguments": {"query": "git"}},
        {
            "type": "tool_search_output",
            "call_id": "t",
            "status": "completed",
            "execution": "client",
            "tools": [FUNCTION],
        },
        {"type": "compaction", "encrypted_content": "gAAAA" * 10},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]},
    ],
    "tools": [
        FUNCTION,
        {"type": "namespace", "name": "mcp__git", "description": "d", "tools": [FUNCTION]},
        {"type": "tool_search", "execution": "client", "description": "d", "parameters": {"type": "object"}},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        CODEX_SEARCH,
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "service_tier": "priority",
    "prompt_cache_key": "0198-thread",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "0198"},
}
AGENTS: dict[str, Any] = {
    "model": "gpt-5",
    "instructions": "Help.",
    "input": [
        {"role": "user", "content": "hi"},
        {"id": "rs_1", "summary": [], "type": "reasoning"},
        {
            "id": "msg_1",
            "content": [{"annotations": [], "text": "hello", "type": "output_text", "logprobs": []}],
            "role": "assistant",
            "status": "completed",
            "type": "message",
        },
        {"arguments": "{}", "call_id": "c", "name": "find", "type": "function_call", "id": "f", "status": "completed"},
        {"call_id": "c", "output": [{"type": "input_text", "text": "found"}], "type": "function_call_output"},
    ],
    "include": [],
    "tools": [
        FUNCTION,
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "shell", "environment": {"type": "local"}},
    ],
    "previous_response_id": "resp_123",
    "temperature": 0.5,
    "top_p": 1,
    "truncation": "auto",
    "max_output_tokens": 500,
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "text": {"format": {"type": "json_schema", "name": "final_output", "schema": {"type": "object"}, "strict": True}},
    "store": True,
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low", "summary": "detailed"},
    "metadata": {"agent": "helper"},
    "top_logprobs": 2,
    "stream": False,
}


def test_what_codex_sends_passes_without_the_search_that_it_adds_by_default() -> None:
    request = WIRE.parse(json.dumps(CODEX).encode())
    assert request.dropped == ("tools.web_search",)
    assert request.service_tiers == ("", "priority")
    written = json.loads(WIRE.encode(request, model="gpt-5.2-codex", cap=4_000))
    assert list(written) == [*CODEX, "max_output_tokens"]
    assert written.pop("max_output_tokens") == 4_000
    tools = written.pop("tools")
    assert tools == [tool for tool in CODEX["tools"] if tool is not CODEX_SEARCH]
    assert written == {name: value for name, value in CODEX.items() if name != "tools"}
    assert request.anatomy.user == len("go on") + FRAME_BYTES
    assert request.anatomy.history > 500
    assert request.anatomy.system >= len("You are Codex, based on GPT-5.<permissions>")
    assert request.images_tokens_most == 0


def test_what_openai_agents_sends_passes_unchanged() -> None:
    request = WIRE.parse(json.dumps(AGENTS).encode())
    assert json.loads(WIRE.encode(request, model="gpt-5", cap=500)) == AGENTS
    assert (request.cap, request.dropped, request.previous_id) == (500, (), "resp_123")
    assert request.body_labels == {"agent": "helper"}
    assert request.anatomy.user == len("found") + len("c") + FRAME_BYTES
