"""Messages requests: what decides money is read, what cannot be bounded is refused, and only the cap is written."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.anthropic_request import SEARCH_TOKENS_MOST
from bursar.wire.base import Request

WIRE = AnthropicMessages()
USER = [{"role": "user", "content": "hi"}]
UUID = "0a1b2c3d-0000-4000-8000-00000000000f"


def parse(**fields: Any) -> Request:
    return WIRE.parse(json.dumps({"model": "claude-x", "max_tokens": 4096, "messages": USER, **fields}).encode())


def refused(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value


def claude_code() -> dict[str, Any]:
    """A request as Claude Code sends it, shortened."""
    ephemeral = {"type": "ephemeral", "ttl": "1h"}
    return {
        "model": "claude-opus-4-8",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "<system-reminder>"}, {"type": "text", "text": "fix it"}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "/a.py"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "tool_reference", "tool_name": "X"}],
                    },
                    {"type": "text", "text": "go on", "cache_control": ephemeral},
                ],
            },
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.275; cch=0;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": ephemeral},
        ],
        "tools": [
            {"name": "Read", "description": "reads", "input_schema": {"type": "object"}, "eager_input_streaming": True},
            {"name": "X", "description": "later", "input_schema": {"type": "object"}, "defer_loading": True},
            {"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5"},
        ],
        "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": UUID})},
        "max_tokens": 128_000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "fallbacks": [{"model": "claude-opus-4-8"}],
        "diagnostics": {"previous_message_id": "msg_1"},
        "stream": True,
    }


def test_a_request_of_claude_code_passes() -> None:
    request = WIRE.parse(json.dumps(claude_code()).encode())
    assert (request.cap, request.cap_least, request.is_stream, request.wants_usage) == (128_000, 1, True, True)
    assert (request.has_cache_write, request.has_cache_write_1h) == (False, True)
    assert request.body_labels == {"user": "d" * 64, "session": UUID}
    assert request.dropped == ("fallbacks", "tools.advisor")
    written = json.loads(WIRE.encode(request, model="claude-opus-4-8", cap=2_000))
    expected = claude_code()
    del expected["fallbacks"]
    expected["tools"] = expected["tools"][:2]
    expected["max_tokens"] = 2_000
    assert written == expected
    assert list(written) == list(expected)


def test_the_billing_header_of_claude_code_is_no_part_of_the_shape() -> None:
    body = claude_code()
    shape = WIRE.parse(json.dumps(body).encode()).shape_key
    body["system"][0]["text"] = "x-anthropic-billing-header: cc_version=2.1.275; cch=1;"
    assert WIRE.parse(json.dumps(body).encode()).shape_key == shape
    body["system"][1]["text"] = "You are another."
    assert WIRE.parse(json.dumps(body).encode()).shape_key != shape


@pytest.mark.parametrize("bad", [-1, 0, "5", True, 1e9, 1.5, 2**31, None, []])
def test_the_cap_is_required_whole_and_positive(bad: object) -> None:
    assert refused(max_tokens=bad).param == "max_tokens"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].max_uses"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 0}]}, "tools[0].max_uses"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 10**9}]}, "tools[0].max_uses"),
        ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1}]}, "tools[0].type"),
        ({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "next_year_20270101", "name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": 5, "name": "x"}]}, "tools[0].type"),
        ({"mcp_servers": [{"type": "url", "url": "https://x"}]}, "mcp_servers"),
        ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"speed": "ludicrous"}, "speed"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": "5"}}, "thinking.budget_tokens"),
        ({"stream": 1}, "stream"),
        ({"system": 5}, "system"),
        ({"messages": {}}, "messages"),
        ({"api_key": "x"}, "api_key"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://x"}}]}
                ]
            },
            "messages[0].content[0].source",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "messages[0].content[0].source",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "base64", "data": "QUJD"}}]}
                ]
            },
            "messages[0].content[0].source",
        ),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert error.param == param
    assert len(error.message) > 20


def test_client_tools_and_bounded_searches_pass() -> None:
    kinds = [
        "custom",
        "bash_20250124",
        "text_editor_20250728",
        "computer_20251124",
        "memory_20250818",
        "tool_search_tool_regex_20251119",
        "browser_toolset_20260801",
        "computer_toolset_20260801",
    ]
    request = parse(tools=[{"type": kind, "name": kind} for kind in kinds] + [{"name": "own", "input_schema": {}}])
    assert (request.searches_most, request.images_tokens_most) == (0, 0)
    search = parse(tools=[{"type": "web_search_20260318", "name": "web_search", "max_uses": 3}])
    assert (search.searches_most, search.images_tokens_most) == (3, 3 * SEARCH_TOKENS_MOST)


def test_without_its_only_tool_a_body_has_no_tool_choice() -> None:
    advisor = {"type": "advisor_20260301", "name": "advisor", "model": "m"}
    request = parse(tools=[advisor], tool_choice={"type": "auto"})
    assert "tools" not in request.body
    assert "tool_choice" not in request.body


def test_fast_speed_and_compaction_widen_the_bound() -> None:
    assert parse(service_tier="auto", speed="standard").service_tiers == ("",)
    assert parse(speed="fast").service_tiers == ("", "fast")
    assert parse(context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}).passes_most == 1
    assert parse(context_management={"edits": [{"type": "compact_20260112"}]}).passes_most == 2


def test_cache_writes_of_both_lifetimes_are_seen() -> None:
    assert (parse().has_cache_write, parse().has_cache_write_1h) == (False, False)
    request = parse(cache_control={"type": "ephemeral"})
    assert (request.has_cache_write, request.has_cache_write_1h) == (True, False)
    long = {"type": "ephemeral", "ttl": "1h"}
    request = parse(system=[{"type": "text", "text": "s", "cache_control": long}], cache_control={"type": "ephemeral"})
    assert (request.has_cache_write, request.has_cache_write_1h) == (True, True)
    assert not parse(cache_control=None).has_cache_write
    assert not parse(system='the key "cache_control": {"type": 1}').has_cache_write
    raw = b'{"model":"m","max_tokens":5,"messages":[],"\\u0063ache_control":{"type":"ephemeral","ttl":"1\\u0068"}}'
    assert WIRE.parse(raw).has_cache_write_1h


@pytest.mark.parametrize(
    ("user_id", "labels"),
    [
        (
            f"user_{'ab' * 32}_account_{UUID}_session_{UUID}",
            {"user": f"user_{'ab' * 32}_account_{UUID}", "session": UUID},
        ),
        (f"user_ab12_account__session_{UUID}", {"user": "user_ab12_account_", "session": UUID}),
        (json.dumps({"device_id": "d", "account_uuid": "a", "session_id": "s"}), {"user": "a", "session": "s"}),
        (json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s"}), {"user": "d", "session": "s"}),
        ('{"broken', {"user": '{"broken'}),
        ("ada", {"user": "ada"}),
        ("", {}),
        (5, {}),
        (None, {}),
        ("x" * 5_000, {}),
    ],
)
def test_user_and_session_are_taken_apart(user_id: object, labels: dict[str, str]) -> None:
    assert parse(metadata={"user_id": user_id}).body_labels == labels


def test_the_anatomy_names_where_the_input_sits() -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    request = parse(
        system=[{"type": "text", "text": "s" * 100}],
        tools=tools,
        messages=[
            {"role": "user", "content": "u" * 10},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": "b"}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": "é" * 50},
                    {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "z" * 9}]},
                ],
            },
        ],
    )
    anatomy = request.anatomy
    assert anatomy.system == 100
    assert anatomy.tools == len(json.dumps(tools, separators=(",", ":")))
    assert anatomy.history == 10 + len('f{"a":"b"}') + 2 * FRAME_BYTES
    assert anatomy.user == 100 + 9 + FRAME_BYTES


def test_images_and_documents_count_by_formula_and_never_by_bytes() -> None:
    pdf = base64.b64encode(b"%PDF-1.4 /Type /Page " + b"x" * 90_000).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 90_000}}
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}}
    text = {"type": "document", "title": "ab", "source": {"type": "text", "media_type": "text/plain", "data": "c" * 30}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [image]}
    request = parse(messages=[{"role": "user", "content": [image, document, text, result]}])
    assert request.anatomy.user == (1_600 + 2_000 + 1_600) * 4 + 32 + FRAME_BYTES
    assert request.images_tokens_most == 3_400 + 1_000 + 3_400


@pytest.mark.parametrize(
    ("cap", "budget", "written_cap", "written_budget"),
    [
        (32_000, 31_999, 8_000, 6_000),
        (32_000, 31_999, 2_048, 1_024),
        (32_000, 10_000, 20_000, 10_000),
        (32_000, 31_999, 32_000, 31_999),
        (4_096, 50_000, 4_096, 50_000),
    ],
)
def test_the_thinking_budget_stays_below_the_cap(cap: int, budget: int, written_cap: int, written_budget: int) -> None:
    request = parse(max_tokens=cap, thinking={"type": "enabled", "budget_tokens": budget, "display": "omitted"})
    assert request.cap_least == 2_048
    body = json.loads(WIRE.encode(request, model="m", cap=written_cap))
    assert body["max_tokens"] == written_cap
    assert body["thinking"] == {"type": "enabled", "budget_tokens": written_budget, "display": "omitted"}


@given(st.integers(2_048, 200_000), st.integers(1_024, 200_000))
def test_every_allowed_cap_leaves_thinking_and_an_answer(cap: int, budget: int) -> None:
    request = parse(max_tokens=200_001, thinking={"type": "enabled", "budget_tokens": budget})
    written = json.loads(WIRE.encode(request, model="m", cap=cap))["thinking"]["budget_tokens"]
    assert 1_024 <= written < cap
    assert written <= budget


def test_the_least_cap_is_never_above_the_clients_own() -> None:
    assert parse(max_tokens=1_500, thinking={"type": "enabled", "budget_tokens": 1_024}).cap_least == 1_500
    assert parse(thinking={"type": "adaptive"}).cap_least == 1
    assert parse(thinking={"type": "disabled"}).cap_least == 1


def test_nothing_but_model_and_cap_changes() -> None:
    raw = b'{"messages":[{"content":"h\xc3\xa9","role":"user"}],"x":{"y":[1.0,null]},"max_tokens":9,"model":"claude-x"}'
    assert WIRE.encode(WIRE.parse(raw), model="claude-x", cap=None) == raw
    assert WIRE.encode(WIRE.parse(raw), model="claude-y", cap=8) == raw.replace(b":9", b":8").replace(b"-x", b"-y")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=5)
    | st.sampled_from(["tool_use", "tool_result", "image", "document", "base64", "content", "enabled", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "source", "data", "input", "name", "cache_control"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=14,
)
FIELDS = [
    "messages",
    "tools",
    "system",
    "thinking",
    "metadata",
    "context_management",
    "fallbacks",
    "thread",
    "speed",
    "output_config",
    "cache_control",
    "service_tier",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), st.lists(JSON, max_size=3))
def test_no_body_raises_anything_but_bad_request(fields: dict[str, Any], contents: list[Any]) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    try:
        request = parse(**{"messages": messages, **fields})
    except BadRequest:
        return
    WIRE.encode(request, model="m", cap=5)
    assert request.anatomy.total >= 0
