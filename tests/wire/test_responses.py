"""Responses requests: what decides money is read, what cannot be bounded is refused, and only the cap is written."""

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
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.responses_items import HIDDEN_REASONING
from bursar.wire.responses_request import SEARCH_TOKENS_MOST

WIRE = OpenAIResponses()
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 512, 512) + b"\x08\x06\0\0\0" * 5000
).decode()
FUNCTION = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}
CODEX_SEARCH = {"type": "web_search", "external_web_access": False}


def parse(**fields: Any) -> Request:
    return WIRE.parse(json.dumps({"model": "gpt-5", "input": "hi", **fields}).encode())


def refused(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


def test_a_plain_request_is_read() -> None:
    request = parse()
    assert (request.wire, request.model, request.is_stream, request.cap) == ("openai.responses", "gpt-5", False, None)
    assert (request.choices, request.cap_least, request.passes_most, request.output_beyond_cap) == (1, 16, 1, 0)
    assert request.wants_usage
    assert request.service_tiers == ("",)
    assert (request.previous_id, request.dropped, request.searches_most) == ("", (), 0)
    assert request.anatomy.user == request.anatomy.total == 2 + FRAME_BYTES


def test_harmless_fields_pass() -> None:
    parse(
        background=False,
        background_options={"completion_window": "soonest"},
        conversation=None,
        prompt=None,
        max_tool_calls=3,
        moderation={"model": "omni-moderation-latest"},
        access_programs={"cyber": "standard"},
        image={"context_compression": "auto"},
        stream_options={"include_obfuscation": False},
        prompt_cache_options={"mode": "implicit"},
        modalities=["text"],
        plugins=[],
        models=[],
        provider={"order": ["x"]},
        something_of_next_year={"deep": [1, 2, {"x": "y"}]},
    )


@pytest.mark.parametrize("model", [None, "", 5, ["gpt"], "x" * 257, "gpt\n4"])
def test_a_model_must_be_a_printable_name(model: object) -> None:
    assert refused(model=model).param == "model"


def test_an_input_is_required_but_after_an_earlier_response() -> None:
    assert refused(input=None).param == "input"
    assert refused(input=5).param == "input"
    assert refused(input=["hi"]).param == "input"
    assert parse(input=None, previous_response_id="resp_1").previous_id == "resp_1"
    assert parse(input=[], instructions="x").anatomy.user == 0


@pytest.mark.parametrize("bad", [-1, 0, "5", True, 1e9, 1.5, 2**31, [], {}])
def test_the_cap_is_whole_and_positive(bad: object) -> None:
    assert refused(max_output_tokens=bad).param == "max_output_tokens"


def test_the_least_cap_is_that_of_the_api_or_the_clients_own() -> None:
    assert (parse(max_output_tokens=900).cap, parse(max_output_tokens=900).cap_least) == (900, 16)
    assert (parse(max_output_tokens=5).cap, parse(max_output_tokens=5).cap_least) == (5, 5)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"background": "yes"}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"models": ["gpt-5", "o3-pro"]}, "models"),
        ({"service_tier": "platinum"}, "service_tier"),
        ({"service_tier": 5}, "service_tier"),
        ({"instructions": ["be", "kind"]}, "instructions"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"previous_response_id": ""}, "previous_response_id"),
        ({"previous_response_id": "x" * 257}, "previous_response_id"),
        ({"tools": "all"}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "max_tool_calls"),
        ({"tools": [{"type": "web_search_preview"}, FUNCTION]}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 101}, "max_tool_calls"),
        ({"tools": [CODEX_SEARCH]}, "max_tool_calls"),
        ({"tools": [CODEX_SEARCH, FUNCTION], "tool_choice": "required"}, "max_tool_calls"),
        ({"tools": [CODEX_SEARCH, FUNCTION], "tool_choice": {"type": "web_search"}}, "max_tool_calls"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0].type"),
        ({"tools": [FUNCTION, {"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools[1].type"),
        ({"tools": [{"type": "image_generation"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]}, "tools[0].type"),
        ({"tools": [{"type": "programmatic_tool_calling"}]}, "tools[0].type"),
        ({"tools": [{"type": ["function"]}]}, "tools[0].type"),
        ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools[0].environment"),
        ({"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [], "tools": [{"type": "namespace", "tools": [{"type": {}}]}]}, "tools[0].tools[0].type"),
        ({"input": [{"type": "additional_tools", "tools": [{"type": "mcp"}]}]}, "input[0].tools[0].type"),
        ({"input": [{"type": "tool_search_output", "tools": [{"type": "mcp"}]}]}, "input[0].tools[0].type"),
        ({"input": [user({"type": "input_file", "file_id": "file-1"})]}, "input[0].content[0]"),
        ({"input": [user({"type": "input_file", "file_url": "https://x/y.pdf"})]}, "input[0].content[0]"),
        ({"input": [user({"type": "input_file", "file_data": "data:text/x;base64,QUJD"})]}, "input[0].content[0]"),
        ({"input": [user({"type": "input_audio", "input_audio": {"data": "AA"}})]}, "input[0].content[0]"),
        (
            {"input": [{"type": "function_call_output", "output": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].output[0]",
        ),
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
    "kind",
    ["function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "shell", "tool_search"],
)
def test_tools_that_the_client_runs_pass(kind: str) -> None:
    assert parse(tools=[{"type": kind}]).anatomy.tools > 0


def test_a_search_passes_with_a_bound_on_the_providers_calls() -> None:
    request = parse(input="x" * 400, tools=[{"type": "web_search"}], max_tool_calls=3)
    assert (request.searches_most, request.dropped) == (3, ())
    assert request.images_tokens_most == 3 * (SEARCH_TOKENS_MOST + request.anatomy.total // 4)
    kept = parse(tools=[CODEX_SEARCH, FUNCTION], max_tool_calls=2)
    assert (kept.searches_most, kept.dropped) == (2, ())


@pytest.mark.parametrize(
    ("tier", "tiers"),
    [
        (None, ("",)),
        ("auto", ("",)),
        ("flex", ("", "flex")),
        ("fast", ("", "priority")),
        ("ultrafast", ("", "ultrafast")),
    ],
)
def test_a_service_tier_names_all_it_can_be_billed_at(tier: str | None, tiers: tuple[str, ...]) -> None:
    assert parse(service_tier=tier).service_tiers == tiers


def test_the_anatomy_names_where_the_input_sits() -> None:
    request = parse(
        instructions="s" * 100,
        input=[
            {"role": "user", "content": "u" * 10},
            {
                "type": "function_call",
                "name": "f",
                "arguments": "{}",
                "call_id": "1",
                "id": "fc_1",
                "status": "completed",
            },
            {"type": "function_call_output", "call_id": "1", "output": "é" * 50},
            {"role": "developer", "content": [{"type": "input_text", "text": "d" * 7}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "v" * 30}]},
            {"type": "additional_tools", "role": "developer", "tools": [FUNCTION]},
        ],
        tools=[FUNCTION],
        text={"format": {"type": "json_object"}, "verbosity": "low"},
    )
    anatomy = request.anatomy
    assert anatomy.system == 107 + FRAME_BYTES
    assert anatomy.tools >= 2 * len(json.dumps(FUNCTION, separators=(",", ":")))
    assert anatomy.user == 100 + 1 + 30 + 2 * FRAME_BYTES
    assert anatomy.history == 10 + len("f{}1") + 2 * FRAME_BYTES


def test_reasoning_counts_by_its_bytes_or_by_a_bound_where_only_its_id_is_shown() -> None:
    shown = parse(input=[{"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x" * 900}])
    assert (shown.anatomy.history, shown.images_tokens_most) == (900 + FRAME_BYTES, 0)
    hidden = parse(input=[{"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "abc"}]}])
    assert hidden.anatomy.history == 3 + 4 * HIDDEN_REASONING.likely + FRAME_BYTES
    assert hidden.anatomy.history // 4 + hidden.images_tokens_most >= HIDDEN_REASONING.most


def test_images_count_by_formula_and_never_by_bytes() -> None:
    url = f"data:image/png;base64,{PNG}"
    for item in (
        user({"type": "input_image", "image_url": url, "detail": "auto"}),
        {"type": "function_call_output", "call_id": "", "output": [{"type": "input_image", "image_url": url}]},
        {"type": "computer_call_output", "call_id": "", "output": {"type": "computer_screenshot", "image_url": url}},
        {"type": "image_generation_call", "id": "ig", "status": "completed", "result": PNG},
    ):
        request = parse(model="gpt-4o", input=[item])
        assert request.anatomy.total == 255 * 4 + FRAME_BYTES
        assert request.images_tokens_most == 0
    for part in ({"image_url": "https://x/y.png"}, {"file_id": "file-1"}):
        unseen = parse(model="gpt-4o", input=[user({"type": "input_image", **part})])
        assert unseen.anatomy.user // 4 + unseen.images_tokens_most >= 1_445


def test_a_pdf_counts_by_its_pages() -> None:
    pdf = base64.b64encode(b"%PDF-1.4 /Type /Page /Type /Page").decode()
    part = {"type": "input_file", "filename": "x.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}
    request = parse(input=[user(part)])
    assert request.anatomy.user == 2 * 2_000 * 4 + FRAME_BYTES
    assert request.images_tokens_most == 2 * 1_000


def test_the_shape_is_the_instructions_the_tools_and_the_schema() -> None:
    shape = parse(instructions="be kind").shape_key
    assert len(shape) == 16
    assert shape == parse(instructions="be kind", input="other", temperature=1).shape_key
    assert shape == parse(instructions="be kind", text={"format": {"type": "text"}}).shape_key
    assert shape != parse(instructions="be brief").shape_key
    assert shape != parse(instructions="be kind", tools=[FUNCTION]).shape_key
    assert shape != parse(instructions="be kind", text={"format": {"type": "json_object"}}).shape_key


def test_what_may_bill_more_than_the_input_once_is_seen() -> None:
    assert parse(context_management=[{"type": "compaction", "compact_threshold": 1000}]).passes_most == 2
    assert parse(input=[{"role": "user", "content": "x"}, {"type": "compaction_trigger"}]).passes_most == 2
    assert not parse().has_cache_write
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert parse(input=[user(part)]).has_cache_write


def test_labels_are_read_from_the_fields_that_clients_use() -> None:
    labels = parse(user="u", safety_identifier="s", metadata={"agent": "coder", "colour": "blue"}).body_labels
    assert labels == {"user": "s", "agent": "coder", "tag.colour": "blue"}


def test_the_cap_is_written_under_its_name_and_nothing_else_changes() -> None:
    raw = json.dumps({"temperature": 0.5, "max_output_tokens": 900, "model": "gpt-5", "input": "x", "y": {"é": [1.0]}})
    written = WIRE.encode(WIRE.parse(raw.encode()), model="gpt-5-mini", cap=400)
    expected = raw.replace("900", "400").replace('"gpt-5"', '"gpt-5-mini"')
    assert written.decode() == json.dumps(json.loads(expected), separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("own", "cap", "sent"), [(None, 9, 16), (None, 400, 400), (5, 5, 5), (900, 9, 16), (900, None, 900)]
)
def test_the_cap_sent_is_never_below_what_the_api_takes_but_the_clients_own(
    own: int | None, cap: int | None, sent: int
) -> None:
    written = json.loads(WIRE.encode(parse(max_output_tokens=own), model="m", cap=cap))
    assert written["max_output_tokens"] == sent
    assert json.loads(WIRE.encode(parse(), model="m", cap=None)) == {"model": "m", "input": "hi"}


def test_types_and_roles_that_are_no_text_never_raise_anything_else() -> None:
    part = {"type": ["input_text"], "text": "x"}
    assert parse(input=[{"role": ["user"], "content": [part]}]).anatomy.total > 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(
        ["message", "reasoning", "input_image", "input_file", "web_search", "shell", "namespace", "user"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "text",
                    "role",
                    "content",
                    "output",
                    "tools",
                    "image_url",
                    "file_data",
                    "result",
                    "environment",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = [
    "input", "tools", "instructions", "max_output_tokens", "max_tool_calls", "stream", "metadata", "user", "text",
    "tool_choice", "service_tier", "background", "conversation", "prompt", "previous_response_id", "context_management",
    "reasoning", "cache_control", "modalities",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), st.lists(JSON, max_size=3))
def test_no_body_raises_anything_but_bad_request(fields: dict[str, Any], items: list[Any]) -> None:
    try:
        request = parse(**{"input": items, **fields})
    except BadRequest:
        return
    WIRE.encode(request, model="m", cap=5)
    assert request.anatomy.total >= 0
    assert request.images_tokens_most >= 0
