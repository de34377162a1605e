"""Bedrock's requests and answers: what decides money is read, the cap is written, streams pass byte for byte."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from bursar.core.usage import Usage
from bursar.errors import BadRequest, UpstreamFailed
from bursar.wire.base import Answer, Refusal, Request
from bursar.wire.bedrock_common import Asked, event_frame
from bursar.wire.bedrock_converse import BedrockConverse
from bursar.wire.bedrock_embed import TitanEmbed, is_titan_embed
from bursar.wire.bedrock_invoke import BedrockInvoke, chunk_frame
from bursar.wire.conversation import conversation_of, steps_of
from bursar.wire.event_stream import frame
from bursar.wire.signed import Signed, is_signed

eventstream = pytest.importorskip("botocore.eventstream")

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HIDDEN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
HELLO = [{"role": "user", "content": [{"text": "hello you"}]}]
MESSAGE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "hi"}],
}
PNG = b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (750).to_bytes(4, "big") + (100).to_bytes(4, "big") + b"\0" * 9
).decode()


def converse(model: str = CLAUDE, **more: Any) -> BedrockConverse:
    return BedrockConverse(Asked(model, **{"is_stream": True, **more}))


def invoke(model: str = CLAUDE, **more: Any) -> BedrockInvoke:
    return BedrockInvoke(Asked(model, **{"is_stream": True, **more}))


def asked(wire: Any = None, **fields: Any) -> Request:
    return (wire or converse()).parse(json.dumps({"messages": HELLO, **fields}).encode())


def with_blocks(*blocks: dict[str, Any], model: str = CLAUDE) -> Request:
    return asked(converse(model), messages=[{"role": "user", "content": list(blocks)}])


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_converse_request_is_read() -> None:
    tools = {"tools": [{"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object"}}}}]}
    request = asked(
        system=[{"text": "be brief"}, {"cachePoint": {"type": "default"}}],
        inferenceConfig={"maxTokens": 300},
        toolConfig=tools,
        requestMetadata={"agent": "researcher", "color": "blue"},
    )
    assert (request.model, request.cap, request.cap_least, request.is_stream) == (CLAUDE, 300, 1, True)
    assert (request.anatomy.system, request.anatomy.user) == (8, 9 + 8)
    assert request.anatomy.tools > 50
    assert (request.has_cache_write, request.has_cache_write_1h) == (True, False)
    assert request.body_labels == {"agent": "researcher", "tag.color": "blue"}
    assert not request.takes_comments


@pytest.mark.parametrize(
    ("ttls", "writes"),
    [((), (False, False)), ((None,), (True, False)), (("1h",), (False, True)), (("5m", "1h"), (True, True))],
)  # fmt: skip
def test_cache_points_of_either_lifetime_are_seen(ttls: tuple[str | None, ...], writes: tuple[bool, bool]) -> None:
    points = [{"cachePoint": {"type": "default", **({"ttl": ttl} if ttl else {})}} for ttl in ttls]
    request = with_blocks({"text": "a"}, *points)
    assert (request.has_cache_write, request.has_cache_write_1h) == writes


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guardrailConfig": {"guardrailIdentifier": "g"}}, "guardrailConfig"),
        ({"promptVariables": {"a": {"text": "b"}}}, "promptVariables"),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "toolConfig.tools[0].systemTool"),
        ({"inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": {"maxTokens": True}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": []}, "inferenceConfig"),
        ({"serviceTier": {"type": "gold"}}, "serviceTier"),
        ({"performanceConfig": {"latency": "warp"}}, "performanceConfig.latency"),
        ({"additionalModelRequestFields": {"max_tokens": 9}}, "additionalModelRequestFields.max_tokens"),
        ({"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 9}}},
         "additionalModelRequestFields.maxTokens"),
        ({"additionalModelRequestFields": {"max_gen_len": 9}}, "additionalModelRequestFields.max_gen_len"),
        ({"additionalModelRequestFields": {"n": 3}}, "additionalModelRequestFields.n"),
        ({"additionalModelRequestFields": {"tools": [{"type": "web_fetch_20250910"}]}}, "tools[0].type"),
        ({"additionalModelRequestFields": {"tools": [{"type": "web_search_20250305", "max_uses": 1}]}}, "tools"),
        ({"additionalModelRequestFields": {"mcp_servers": [{}]}}, "mcp_servers"),
        ({"additionalModelRequestFields": {"fallbacks": ["x"]}}, "fallbacks"),
        ({"additionalModelRequestFields": {"reasoningConfig": {"maxReasoningEffort": "high"}}},
         "additionalModelRequestFields.reasoningConfig.maxReasoningEffort"),
        ({"messages": None}, "messages"),
    ],
)  # fmt: skip
def test_what_cannot_be_bounded_is_refused_by_its_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "extra",
    [
        {"top_k": 5},
        {"inferenceConfig": {"topK": 20}},
        {"anthropic_beta": ["computer-use-2025-01-24"], "tools": [{"type": "computer_20250124", "name": "computer"}]},
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
        {"tools": [{"name": "f", "input_schema": {"properties": {"max_tokens": {"type": "integer"}}}}]},
    ],
)
def test_ordinary_additional_fields_pass(extra: dict[str, Any]) -> None:
    assert json.loads(converse().encode(asked(additionalModelRequestFields=extra), model=CLAUDE, cap=7)) == {
        "messages": HELLO,
        "additionalModelRequestFields": extra,
        "inferenceConfig": {"maxTokens": 7},
    }


def test_images_count_by_formula_and_documents_by_what_they_hold() -> None:
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    assert with_blocks(image).anatomy.user == 108 * 4 + 8  # 27 x 4 patches
    assert with_blocks(image, model="amazon.nova-lite-v1:0").images_tokens_most == 8_000 - 108
    text = {"document": {"format": "txt", "name": "n", "source": {"bytes": b64encode(b"x" * 90).decode()}}}
    assert with_blocks(text).anatomy.user == 91 + 8


@pytest.mark.parametrize(
    "block",
    [
        {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
        {"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}},
        {"document": {"format": "docx", "name": "n", "source": {"bytes": "AAAA"}}},
        {"document": {"format": "pdf", "name": "n", "source": {"bytes": "AAAA"}}},
        {"document": {"format": "txt", "name": "n", "source": {"s3Location": {"uri": "s3://b/k"}}}},
        {"toolResult": {"toolUseId": "t", "content": [{"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}]}},
    ],
)
def test_media_without_a_bound_are_refused(block: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        with_blocks(block)


def test_a_thinking_budget_goes_down_with_the_cap() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 8000}}
    request = asked(inferenceConfig={"maxTokens": 10_000}, additionalModelRequestFields=thinking)
    assert request.cap_least == 2_048
    body = json.loads(converse().encode(request, model=CLAUDE, cap=4_000))
    assert body["inferenceConfig"] == {"maxTokens": 4_000}
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2_976


@pytest.mark.parametrize(
    ("tier", "latency", "tiers"),
    [(None, None, ("",)), ("default", "standard", ("",)), ("flex", None, ("", "flex")), ("reserved", None, ("",)),
     ("priority", None, ("", "priority")), (None, "optimized", ("", "optimized"))],
)  # fmt: skip
def test_every_tier_that_may_be_billed_is_named(tier: str | None, latency: str | None, tiers: tuple[str, ...]) -> None:
    by_body = asked(serviceTier={"type": tier} if tier else None, performanceConfig={"latency": latency})
    by_header = invoke(service_tier=tier, latency=latency).parse(json.dumps(MESSAGE).encode())
    assert by_body.service_tiers == by_header.service_tiers == tiers


@pytest.mark.parametrize("wire", [converse("m:prompt/x"), converse(""), converse(has_guardrail=True)])
def test_what_the_url_and_headers_say_is_checked(wire: BedrockConverse) -> None:
    with pytest.raises(BadRequest):
        asked(wire)


def test_an_invoked_message_is_read_and_its_cap_written_without_a_model_in_the_body() -> None:
    request = invoke().parse(json.dumps(MESSAGE).encode())
    assert (request.model, request.cap, request.is_stream, request.takes_comments) == (CLAUDE, 500, True, False)
    assert json.loads(invoke().encode(request, model=CLAUDE, cap=20)) == {**MESSAGE, "max_tokens": 20}
    assert invoke(HIDDEN).parse(json.dumps(MESSAGE).encode()).model == HIDDEN


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("amazon.nova-lite-v1:0", {"messages": [], "inferenceConfig": {"max_new_tokens": 9}}),
        ("meta.llama3-8b-instruct-v1:0", {"anthropic_version": "x", "prompt": "p", "max_gen_len": 9}),
        (HIDDEN, {"prompt": "p"}),
        (CLAUDE, {**MESSAGE, "model": "another"}),
        (CLAUDE, {**MESSAGE, "stream": True}),
        (CLAUDE, {"anthropic_version": "bedrock-2023-05-31", "messages": []}),
    ],
)
def test_other_makers_bodies_and_misplaced_fields_are_refused(model: str, body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        invoke(model).parse(json.dumps(body).encode())


def test_an_embedding_bills_its_input_alone() -> None:
    wire = TitanEmbed(Asked("amazon.titan-embed-text-v2:0", is_stream=False))
    raw = b'{"inputText": "hello", "dimensions": 256}'
    request = wire.parse(raw)
    assert (request.has_output, request.cap, request.anatomy.user) == (False, None, 5)
    assert wire.encode(request, model="m", cap=0) == raw
    answer = wire.read_whole(request, b'{"embedding": [0.1], "inputTextTokenCount": 3}')
    assert answer == Answer(usage=Usage(input_tokens=3), visible_tokens=0)
    assert wire.read_whole(request, b'{"message": "no"}') is None
    for wrong in (b'{"inputText": 5}', b"{}"):
        with pytest.raises(BadRequest):
            wire.parse(wrong)
    assert is_titan_embed("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v1")
    assert not is_titan_embed("amazon.titan-text-express-v1")


@pytest.mark.parametrize("cap", [None, 500])
def test_a_body_in_which_nothing_changes_goes_on_byte_for_byte(cap: int | None) -> None:
    raw = json.dumps(MESSAGE, indent=3).encode()
    assert invoke().encode(invoke().parse(raw), model=CLAUDE, cap=cap) == raw
    raw = json.dumps({"messages": HELLO, "inferenceConfig": {"maxTokens": 500}}, indent=3).encode()
    assert converse().encode(converse().parse(raw), model=CLAUDE, cap=cap) == raw


def test_a_signed_body_stays_as_it_is_and_its_own_cap_is_held() -> None:
    raw = json.dumps({"messages": HELLO, "inferenceConfig": {"maxTokens": 700}}).encode()
    wire = Signed(converse(), raw)
    request = wire.parse(raw)
    assert (request.cap, request.cap_least) == (700, 700)
    assert wire.encode(request, model=CLAUDE, cap=200) == raw
    with pytest.raises(BadRequest):
        wire.parse(json.dumps({"messages": HELLO}).encode())
    raw = json.dumps(MESSAGE).encode()
    signed = Signed(invoke(), raw)
    assert signed.parse(raw).cap_least == 500
    assert signed.encode(signed.parse(raw), model=CLAUDE, cap=20) == raw
    with pytest.raises(BadRequest):
        signed.parse(json.dumps({**MESSAGE, "fallbacks": ["x"]}).encode())
    assert is_signed("AWS4-HMAC-SHA256 Credential=A/20261126/us-east-1/bedrock/aws4_request")
    assert not is_signed("Bearer sk-1")


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        (converse(), "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"),
        (converse("a/b", is_stream=False), "/model/a%2Fb/converse"),
        (invoke("m"), "/model/m/invoke-with-response-stream"),
        (invoke("m", is_stream=False), "/model/m/invoke"),
    ],
)
def test_the_model_stands_in_the_path(wire: Any, path: str) -> None:
    assert wire.path(wire.asked.model) == path


# --- answers --------------------------------------------------------------------------------------------------------

TOLD = {
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 115,
    "cacheReadInputTokens": 60,
    "cacheWriteInputTokens": 40,
}


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, Usage(input_tokens=10, output_tokens=5)),
        (TOLD, Usage(input_tokens=10, cache_read_tokens=60, cache_write_tokens=40, output_tokens=5)),
        ({**TOLD, "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}]},
         Usage(input_tokens=10, cache_read_tokens=60, cache_write_tokens=10, cache_write_1h_tokens=30,
               output_tokens=5)),
        ({"inputTokens": 10, "outputTokens": 5, "totalTokens": 22}, Usage(input_tokens=10, output_tokens=12)),
        ({"inputTokens": 10}, None),
        ({"inputTokens": -1, "outputTokens": 5}, None),
        ({"inputTokens": 1, "outputTokens": 5.0}, None),
    ],
)  # fmt: skip
def test_counters_become_disjoint_leaves(raw: object, usage: Usage | None) -> None:
    body = {"output": {"message": {"content": [{"text": "hi"}]}}, "stopReason": "max_tokens", "usage": raw}
    answer = converse().read_whole(asked(), json.dumps(body).encode())
    assert answer is not None
    assert (answer.usage, answer.is_capped) == (usage, True)


def test_writes_of_unknown_lifetime_cost_the_dearer_rate_where_it_was_asked_for() -> None:
    request = with_blocks({"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}})
    body = json.dumps({"output": {}, "usage": TOLD}).encode()
    answer = converse().read_whole(request, body)
    assert answer is not None and answer.usage is not None
    assert answer.usage.cache_write_1h_tokens == 40


STREAM = (
    event_frame("messageStart", {"role": "assistant", "p": "abc"}),
    event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hmm " * 3}}}),
    event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c" * 99}}}),
    event_frame("contentBlockStop", {"contentBlockIndex": 0}),
    event_frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hello there"}}),
    event_frame("contentBlockStop", {"contentBlockIndex": 1}),
    event_frame("contentBlockStart",
                {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "find"}}}),
    event_frame("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"q":1}'}}}),
    event_frame("contentBlockStop", {"contentBlockIndex": 2}),
    event_frame("messageStop", {"stopReason": "tool_use"}),
    event_frame("metadata", {"usage": TOLD, "metrics": {"latencyMs": 5}, "serviceTier": {"type": "default"}}),
)  # fmt: skip
VISIBLE = -(-(12 + 11 + 4 + 7) // 3) + 2 * 60


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_a_stream_passes_unchanged_and_is_counted(step: int) -> None:
    raw = b"".join(STREAM)
    reader = converse().reader(asked())
    passed = b"".join(reader.feed(raw[at : at + step]) for at in range(0, len(raw), step)) + reader.rest()
    assert passed == raw
    answer = reader.answer()
    assert answer.usage == Usage(input_tokens=10, cache_read_tokens=60, cache_write_tokens=40, output_tokens=5)
    assert (answer.visible_tokens, answer.tool_calls, answer.is_capped) == (VISIBLE, 1, False)
    assert reader.is_finished and reader.is_complete and not reader.is_error


def events(raw: bytes) -> list[tuple[str, Any]]:
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(raw)
    return [(each.headers.get(":event-type", ""), json.loads(each.payload)) for each in buffer]


@pytest.mark.parametrize("seen", range(len(STREAM) + 1))
def test_a_cut_stream_ends_as_one_that_reached_its_cap(seen: int) -> None:
    reader = converse().reader(asked())
    reader.feed(b"".join(STREAM[:seen]))
    cut = reader.cut(Usage(input_tokens=3, output_tokens=9))
    told = events(b"".join(STREAM[:seen]) + cut)
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "messageStart" and kinds[-2:] == ["messageStop", "metadata"]
    starts = {value["contentBlockIndex"] for kind, value in told if kind == "contentBlockDelta"}
    stops = [value["contentBlockIndex"] for kind, value in told if kind == "contentBlockStop"]
    assert sorted(stops) == sorted({*starts, *stops})
    if seen < 10:
        assert told[-2][1] == {"stopReason": "max_tokens"}
        assert told[-1][1]["usage"] == {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12}
    assert reader.is_finished
    assert reader.cut(Usage()) == b""


ANTHROPIC = (
    {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello there you"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 7}},
)
CHUNKS = tuple(chunk_frame(json.dumps(event).encode()) for event in ANTHROPIC)


def invoked() -> Any:
    return invoke().reader(invoke().parse(json.dumps(MESSAGE).encode()))


@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_an_invoked_stream_passes_unchanged_and_is_counted(step: int) -> None:
    raw, reader = b"".join(CHUNKS), invoked()
    assert b"".join(reader.feed(raw[at : at + step]) for at in range(0, len(raw), step)) == raw
    assert reader.answer().usage == Usage(input_tokens=7, output_tokens=5)
    assert reader.visible_tokens == 5
    assert reader.is_finished and reader.is_complete


@pytest.mark.parametrize("seen", range(len(CHUNKS)))
def test_a_cut_invoked_stream_ends_as_one_that_reached_its_cap(seen: int) -> None:
    reader = invoked()
    reader.feed(b"".join(CHUNKS[:seen]))
    told = events(reader.cut(Usage(input_tokens=7, output_tokens=9)))
    assert {kind for kind, _ in told} == {"chunk"}
    inner = [json.loads(b64decode(value["bytes"])) for _, value in told]
    assert inner[-1] == {"type": "message_stop"}
    if seen < 5:
        assert inner[-2]["delta"]["stop_reason"] == "max_tokens"
        assert inner[-2]["usage"]["output_tokens"] == 9
    assert (inner[0]["type"] == "message_start") == (seen == 0)
    assert ({"type": "content_block_stop", "index": 0} in inner) == (seen in (2, 3))


@pytest.mark.parametrize("payload", [b"{", b"[" * 9_000, b'{"contentBlockIndex":0,"delta":{"te'])
def test_what_cannot_be_read_counts_as_generated(payload: bytes) -> None:
    reader = converse().reader(asked())
    reader.feed(frame({":event-type": "contentBlockDelta"}, payload))
    assert reader.visible_tokens == -(-len(payload) // 3)


@pytest.mark.parametrize("inner", ["!", "AAAA", b64encode(b'{"type":"content_block_delta","del').decode()])
def test_a_chunk_that_cannot_be_read_counts_as_generated(inner: str) -> None:
    reader = invoked()
    reader.feed(event_frame("chunk", {"bytes": inner}))
    assert reader.visible_tokens > 0


def test_a_damaged_message_ends_the_reading() -> None:
    with pytest.raises(UpstreamFailed):
        converse().reader(asked()).feed(STREAM[0][:-1] + b"!")


def test_an_exception_is_an_error() -> None:
    reader = converse().reader(asked())
    raw = reader.error(Refusal(502, "upstream_failed", "it broke"))
    assert reader.feed(raw) == raw
    assert reader.is_error
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(raw)
    (told,) = list(buffer)
    assert told.headers[":exception-type"] == "modelStreamErrorException"
    assert json.loads(told.payload) == {"message": "it broke", "originalStatusCode": 502}


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "is_free"),
    [
        (400, {"message": "bad"}, True),
        (403, {"Message": "no"}, True),
        (429, {"__type": "ThrottlingException", "message": "slow"}, True),
        (408, {"message": "Model has timed out"}, False),
        (500, {"message": "internal"}, True),
        (500, {"output": {}, "message": "x"}, False),
        (200, {"output": {"message": {}}, "usage": {}}, False),
    ],
)
def test_the_providers_own_errors_are_known(status: int, body: dict[str, Any], is_free: bool) -> None:
    assert converse().is_provider_error(status, json.dumps(body).encode()) is is_free


def test_a_refusal_is_written_as_aws_writes_errors_and_is_never_throttling() -> None:
    body = json.loads(converse().refusal(Refusal(402, "budget_exceeded", "spent")))
    assert body == {"__type": "ServiceQuotaExceededException", "message": "spent"}
    assert json.loads(invoke().refusal(Refusal(429, "contended", "wait")))["__type"] == "ThrottlingException"


def test_a_maximum_is_learnt_from_bedrocks_words() -> None:
    text = "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value"
    assert converse().named_maximum(400, json.dumps({"message": text}).encode()) == 4096


# --- what guards see ------------------------------------------------------------------------------------------------


def test_a_conversation_is_read_for_the_guards() -> None:
    turns = [
        {"role": "user", "content": [{"text": "find it"}, {"cachePoint": {"type": "default"}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "find", "input": {}}}] * 2},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "there"}]}}]},
    ]
    request = asked(messages=turns, system=[{"text": "be brief"}])
    seen = conversation_of(request)
    assert seen is not None
    assert (*steps_of(request), seen.is_asking) == (1, 2, False)
    moved = [{"role": "user", "content": [{"text": "find it"}]}, {"role": "assistant", "content": [{"text": "yes"}]}]
    again = conversation_of(asked(messages=moved, system=[{"text": "be brief"}]))
    assert again is not None
    assert again.opening == seen.opening != b""
    invoked_too = conversation_of(invoke().parse(json.dumps(MESSAGE).encode()))
    assert invoked_too is not None and invoked_too.is_asking
