"""Chat requests: what decides money is read, what cannot be bounded is refused, and only the cap is written."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.base import Request
from bursar.wire.openai_chat import OpenAIChat

WIRE = OpenAIChat()
USER = [{"role": "user", "content": "hi"}]
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 512, 512) + b"\x08\x06\0\0\0" * 5000
).decode()


def parse(**fields: Any) -> Request:
    return WIRE.parse(json.dumps({"model": "gpt-4o", "messages": USER, **fields}).encode())


def refused(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value


def test_a_plain_request_is_read() -> None:
    request = parse()
    assert (request.wire, request.model, request.is_stream, request.cap) == ("openai.chat", "gpt-4o", False, None)
    assert (request.choices, request.cap_least, request.passes_most, request.output_beyond_cap) == (1, 1, 1, 0)
    assert request.wants_usage
    assert request.service_tiers == ("",)
    assert request.anatomy.user == 2 + FRAME_BYTES
    assert request.anatomy.total == request.anatomy.user


def test_everything_that_real_clients_send_passes() -> None:
    parse(
        temperature=0.2,
        top_p=1,
        frequency_penalty=0,
        presence_penalty=0,
        seed=1,
        stop=["x"],
        logit_bias={"1": -100},
        logprobs=True,
        top_logprobs=5,
        parallel_tool_calls=False,
        tool_choice="auto",
        reasoning_effort="high",
        verbosity="low",
        store=True,
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        response_format={"type": "text"},
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        n=None,
        max_tokens=None,
        modalities=["text"],
        audio=None,
        web_search_options=None,
        search_parameters={"mode": "off"},
        plugins=[],
        models=[],
        provider={"order": ["x"]},
        reasoning={"effort": "low"},
        transforms=["middle-out"],
        usage={"include": True},
        top_k=40,
        min_p=0.1,
        repetition_penalty=1.1,
        chat_template_kwargs={"enable_thinking": False},
        safe_prompt=True,
        tools=[
            {"type": "function", "function": {"name": "f", "parameters": {}}},
            {"type": "custom", "custom": {"name": "c"}},
        ],
        something_of_next_year={"deep": [1, 2, {"x": "y"}]},
    )


@pytest.mark.parametrize("model", [None, "", 5, ["gpt"], "x" * 257, "gpt\n4", "gpt\x00"])
def test_a_model_must_be_a_printable_name(model: object) -> None:
    assert refused(model=model).param == "model"


def test_the_model_and_the_messages_are_required() -> None:
    with pytest.raises(BadRequest) as caught:
        WIRE.parse(b'{"messages":[]}')
    assert caught.value.param == "model"
    with pytest.raises(BadRequest) as caught:
        WIRE.parse(b'{"model":"m"}')
    assert caught.value.param == "messages"
    assert refused(messages="hi").param == "messages"
    assert refused(messages=["hi"]).param == "messages"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n", "best_of"])
@pytest.mark.parametrize("bad", [-1, 0, "5", True, 1e9, 1.5, 2**31, [], {}])
def test_counts_are_whole_and_positive(name: str, bad: object) -> None:
    assert refused(**{name: bad}).param == name


def test_caps_of_both_names_are_read_and_exclude_each_other() -> None:
    assert parse(max_tokens=5).cap == 5
    assert parse(max_completion_tokens=2**31 - 1).cap == 2**31 - 1
    assert parse(max_completion_tokens=7, max_tokens=None).cap == 7
    assert refused(max_completion_tokens=7, max_tokens=7).param == "max_tokens"


def test_choices_are_bounded() -> None:
    assert parse(n=128).choices == 128
    assert refused(n=129).param == "n"


@pytest.mark.parametrize("bad", ["true", 1, 0, "yes", []])
def test_stream_is_a_boolean(bad: object) -> None:
    assert refused(stream=bad).param == "stream"
    assert not parse(stream=None).is_stream


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"best_of": 2}, "best_of"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["image", "text"]}, "modalities"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"service_tier": "platinum"}, "service_tier"),
        ({"service_tier": 5}, "service_tier"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"search_parameters": {"mode": "auto"}}, "search_parameters"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"models": ["gpt-4o", "o3-pro"]}, "models"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}, {"type": "code_interpreter"}]}, "tools[1].type"),
        ({"tools": "all"}, "tools"),
        ({"prediction": "text"}, "prediction"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"stream": True, "stream_options": True}, "stream_options"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            "messages[0].content[0].file",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/x;base64,QUJD"}}]}
                ]
            },
            "messages[0].content[0].file",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "messages[0].audio"),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert error.param == param
    assert error.status == 400
    assert len(error.message) > 20


@pytest.mark.parametrize(
    "name",
    ["base_url", "api_base", "api_key", "organization", "extra_headers", "extra_body", "callbacks", "mock_response"],
)
def test_a_body_cannot_say_where_a_call_goes(name: str) -> None:
    assert refused(**{name: None}).param == name


@pytest.mark.parametrize(
    ("tier", "tiers"),
    [
        (None, ("",)),
        ("auto", ("",)),
        ("default", ("",)),
        ("flex", ("", "flex")),
        ("priority", ("", "priority")),
        ("fast", ("", "priority")),
        ("scale", ("", "scale")),
    ],
)
def test_a_service_tier_names_all_it_can_be_billed_at(tier: str | None, tiers: tuple[str, ...]) -> None:
    assert parse(service_tier=tier).service_tiers == tiers


def test_a_prediction_is_bounded_by_its_bytes() -> None:
    assert parse(prediction={"type": "content", "content": "é" * 10}).output_beyond_cap == 20
    parts = [{"type": "text", "text": "abc"}]
    assert parse(prediction={"type": "content", "content": parts}).output_beyond_cap >= 3


def test_the_anatomy_names_where_the_input_sits() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    request = parse(
        messages=[
            {"role": "system", "content": "s" * 100},
            {"role": "user", "content": "u" * 10},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "é" * 50},
            {"role": "developer", "content": [{"type": "text", "text": "d" * 7}]},
            {"role": "user", "content": [{"type": "text", "text": "v" * 30}]},
        ],
        tools=tools,
        response_format={"type": "json_object"},
    )
    anatomy = request.anatomy
    assert anatomy.system == 107 + 2 * FRAME_BYTES
    assert anatomy.tools >= len(json.dumps(tools, separators=(",", ":")))
    assert anatomy.user == 100 + 1 + 30 + 2 * FRAME_BYTES
    assert anatomy.history == 10 + len("1") + len("f{}") + 2 * FRAME_BYTES


def test_a_prefilled_answer_is_no_user_turn() -> None:
    request = parse(messages=[*USER, {"role": "assistant", "content": "abc"}])
    assert (request.anatomy.user, request.anatomy.history) == (2 + FRAME_BYTES, 3 + FRAME_BYTES)


def test_text_in_unknown_fields_counts_as_input() -> None:
    assert parse(documents=[{"title": "t" * 40}]).anatomy.system >= 40


def test_images_count_by_formula_and_never_by_bytes() -> None:
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    request = parse(messages=[{"role": "user", "content": content}])
    assert request.anatomy.user == 255 * 4 + FRAME_BYTES
    assert request.images_tokens_most == 0
    unseen = parse(
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]
    )
    assert unseen.anatomy.user // 4 + unseen.images_tokens_most >= 1_445
    low = parse(
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]}]
    )
    assert (low.anatomy.user, low.images_tokens_most) == (85 * 4 + FRAME_BYTES, 0)


def test_the_shape_is_the_system_prompt_the_tools_and_the_schema() -> None:
    system = [{"role": "system", "content": "be kind"}]
    shape = parse(messages=system + USER).shape_key
    assert len(shape) == 16
    assert shape == parse(messages=[*system, {"role": "user", "content": "other"}], temperature=1).shape_key
    assert shape != parse(messages=[{"role": "system", "content": "be brief"}, *USER]).shape_key
    assert shape != parse(messages=system + USER, tools=[{"type": "function", "function": {"name": "f"}}]).shape_key
    assert shape != parse(messages=system + USER, response_format={"type": "json_object"}).shape_key


def test_cache_writes_are_seen_even_when_their_name_is_escaped() -> None:
    assert not parse().has_cache_write
    assert not parse(messages=[{"role": "user", "content": 'say "cache_control" please'}]).has_cache_write
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    assert parse(messages=[{"role": "user", "content": [part]}]).has_cache_write
    part = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert parse(messages=[{"role": "user", "content": [part]}]).has_cache_write
    raw = b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","\\u0063ache_control":{"type":1}}]}]}'
    assert WIRE.parse(raw).has_cache_write


def test_labels_are_read_from_the_fields_that_clients_use() -> None:
    metadata = {"agent": "coder", "task_type": "fix", "colour": "blue", "bad": 5, "nul": "\0"}
    labels = parse(user="u", safety_identifier="s" * 200, metadata=metadata).body_labels
    assert labels == {"user": "s" * 128, "agent": "coder", "task_type": "fix", "tag.colour": "blue"}
    assert parse(user="u").body_labels == {"user": "u"}
    assert parse(metadata="text", user=5).body_labels == {}
    assert len(parse(metadata={f"k{at}": "v" for at in range(40)}).body_labels) == 16


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_cap_is_written_under_the_clients_name_and_nothing_else_changes(name: str) -> None:
    raw = json.dumps({"temperature": 0.5, name: 900, "model": "gpt-4o", "messages": USER, "x": {"é": [1.0, None]}})
    written = WIRE.encode(WIRE.parse(raw.encode()), model="gpt-4o-mini", cap=400)
    expected = raw.replace("900", "400").replace('"gpt-4o"', '"gpt-4o-mini"')
    assert written.decode() == json.dumps(json.loads(expected), separators=(",", ":"), ensure_ascii=False)


def test_a_cap_that_the_client_did_not_send_gets_the_servers_name() -> None:
    request = parse(max_tokens=None)
    assert json.loads(WIRE.encode(request, model="m", cap=9))["max_completion_tokens"] == 9
    local = OpenAIChat(cap_parameter="max_tokens")
    body = json.loads(local.encode(request, model="m", cap=9))
    assert body["max_tokens"] == 9
    assert "max_completion_tokens" not in body
    assert "max_completion_tokens" not in json.loads(WIRE.encode(request, model="m", cap=None))


@pytest.mark.parametrize("cap", [9, None])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_server_that_knows_the_older_name_alone_is_never_sent_the_newer(name: str, cap: int | None) -> None:
    written = OpenAIChat(cap_parameter="max_tokens").encode(parse(**{"max_tokens": None, name: 50}), model="m", cap=cap)
    body = json.loads(written)
    assert body["max_tokens"] == (cap or 50)
    assert "max_completion_tokens" not in body


def test_a_server_that_refuses_stream_options_is_sent_none() -> None:
    request = parse(stream=True, stream_options={"include_usage": True})
    body = json.loads(OpenAIChat(takes_stream_options=False).encode(request, model="m", cap=9))
    assert body["stream"] is True
    assert "stream_options" not in body


def test_include_usage_is_asked_for_on_streams_only() -> None:
    request = parse(stream=True, stream_options={"include_obfuscation": False})
    assert not request.wants_usage
    body = json.loads(WIRE.encode(request, model="m", cap=None))
    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert json.loads(WIRE.encode(parse(stream=True), model="m", cap=None))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(WIRE.encode(parse(), model="m", cap=None))
    assert parse(stream=True, stream_options={"include_usage": True}).wants_usage
    assert not parse(stream=True, stream_options={"include_usage": "true"}).wants_usage


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "image_url", "url", "file", "content", "source", "data"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)
FIELDS = [
    "messages",
    "tools",
    "n",
    "max_tokens",
    "stream",
    "stream_options",
    "metadata",
    "user",
    "prediction",
    "functions",
    "response_format",
    "service_tier",
    "modalities",
    "web_search_options",
    "cache_control",
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
