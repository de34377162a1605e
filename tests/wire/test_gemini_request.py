"""Gemini requests: either spelling is read, what cannot be bounded is refused, and only the cap is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest, TooLarge
from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.base import Request, Wire
from bursar.wire.gemini_generate import GeminiGenerate, split_action

USER = [{"role": "user", "parts": [{"text": "hi"}]}]


def wire(model: str = "gemini-2.5-flash", *, is_stream: bool = False, is_sse: bool = True) -> GeminiGenerate:
    return GeminiGenerate(model, is_stream, is_sse)


def parse(model: str = "gemini-2.5-flash", /, **fields: Any) -> Request:
    return wire(model).parse(json.dumps({"contents": USER, **fields}).encode())


def refused(model: str = "gemini-2.5-flash", /, **fields: Any) -> str | None:
    with pytest.raises(BadRequest) as caught:
        parse(model, **fields)
    return caught.value.param


def parts(*parts: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "parts": list(parts)}]


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


# --- plain requests ------------------------------------------------------------------------------------------------


def test_a_plain_request_is_read_with_the_model_and_the_kind_of_the_url() -> None:
    made: Wire = wire(is_stream=True)
    request = made.parse(json.dumps({"contents": USER}).encode())
    assert (request.wire, request.model, request.is_stream, request.cap) == (
        "gemini.generate",
        "gemini-2.5-flash",
        True,
        None,
    )
    assert (request.choices, request.cap_least, request.has_output, request.wants_usage) == (1, 1, True, True)
    assert request.anatomy.user == request.anatomy.total == 2 + FRAME_BYTES
    assert not parse().is_stream


def test_everything_that_real_clients_send_passes() -> None:
    parse(
        systemInstruction={"role": "user", "parts": [{"text": "s"}]},
        tools=[{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}], "googleSearch": None}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        generationConfig={
            "temperature": 0.2,
            "topP": 0.95,
            "topK": 40.0,
            "stopSequences": ["x"],
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
            "responseModalities": ["TEXT"],
            "speechConfig": {},
            "seed": 1,
            "logprobs": 5,
            "thinkingConfig": {"includeThoughts": True},
            "maxOutputTokens": None,
        },
        labels={"team": "core", "colour": "red"},
        store=False,
        cachedContent="",
        model="models/gemini-2.5-flash",
        somethingNew={"x": 1},
    )


def test_one_object_stands_for_a_list_as_in_the_documentation_of_the_api() -> None:
    request = parse(
        contents={"parts": {"text": "abc"}},
        system_instruction={"parts": {"text": "sys"}},
        tools={"function_declarations": [{"name": "f"}]},
    )
    assert (request.anatomy.user, request.anatomy.system) == (3 + FRAME_BYTES, 3)
    assert request.anatomy.tools > 0


def test_the_anatomy_follows_the_turns_of_the_conversation() -> None:
    contents = [
        {"role": "user", "parts": [{"text": "abc"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"b": [1, 2]}}}]},
    ]
    request = parse(contents=contents, systemInstruction={"parts": [{"text": "four"}]})
    assert request.anatomy.system == 4
    assert request.anatomy.history == 3 + 2 * FRAME_BYTES + len('{"name":"f","args":{"a":1}}') + 4
    assert request.anatomy.user == FRAME_BYTES + 1 + len('{"b":[1,2]}')


def test_the_shape_is_of_system_tools_and_schema() -> None:
    keys = {
        parse().shape_key,
        parse(contents=parts({"text": "other"})).shape_key,
        parse(systemInstruction={"parts": [{"text": "s"}]}).shape_key,
        parse(tools=[{"functionDeclarations": [{"name": "f"}]}]).shape_key,
        parse(**config(responseJsonSchema={"type": "object"})).shape_key,
    }
    assert len(keys) == 4


def test_labels_and_service_tiers_are_read() -> None:
    assert parse(labels={"team": "core", "colour": "red"}).body_labels == {"team": "core", "tag.colour": "red"}
    assert parse(serviceTier="FLEX").service_tiers == ("", "flex")
    assert parse(service_tier="priority").service_tiers == ("", "priority")
    assert parse(serviceTier="standard").service_tiers == ("",)


# --- what decides money ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"generationConfig": {"maxOutputTokens": 99, "candidateCount": 3}},
        {"generation_config": {"max_output_tokens": 99, "candidate_count": 3}},
        {"generation_config": {"maxOutputTokens": 99, "candidate_count": 3}},
    ],
)
def test_caps_and_candidates_are_read_in_either_spelling(fields: dict[str, Any]) -> None:
    request = parse(**fields)
    assert (request.cap, request.choices) == (99, 3)


@pytest.mark.parametrize(
    ("thinking", "least"),
    [
        ({}, 1),
        ({"thinkingBudget": 0}, 1),
        ({"thinkingBudget": -1}, 2_048),
        ({"thinking_budget": 100}, 1_124),
        ({"thinkingBudget": 24_576}, 2_048),
        ({"thinkingLevel": "HIGH"}, 2_048),
        ({"thinkingLevel": "MINIMAL"}, 1),
    ],
)
def test_thinking_needs_room_inside_the_cap(thinking: dict[str, Any], least: int) -> None:
    assert parse(**config(thinkingConfig=thinking)).cap_least == least
    assert parse(**config(thinking_config=thinking, maxOutputTokens=500)).cap_least == min(500, least)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": None}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": ["hi"]}, "contents[0]"),
        ({"contents": parts({"fileData": {"fileUri": "gs://x"}})}, "contents[0].parts[0].fileData"),
        ({"contents": parts({"file_data": {"file_uri": "x"}})}, "contents[0].parts[0].fileData"),
        ({"systemInstruction": {"parts": [{"fileData": {}}]}}, "systemInstruction.parts[0].fileData"),
        (
            {"contents": parts({"functionResponse": {"name": "f", "parts": [{"fileData": {}}]}})},
            "contents[0].parts[0].functionResponse.parts[0].fileData",
        ),
        ({"contents": parts({"text": "a", "mediaProcessing": "AGENTIC", "inlineData": {}})},
         "contents[0].parts[0].mediaProcessing"),
        ({"contents": parts({"inlineData": {}})}, "contents[0].parts[0].inlineData"),
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"cached_content": "cachedContents/1"}, "cachedContent"),
        ({"continuationToken": "QUJD"}, "continuationToken"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"tools": [{"google_search": {}}]}, "tools[0].google_search"),
        ({"tools": [{"functionDeclarations": []}, {"codeExecution": {}}]}, "tools[1].codeExecution"),
        ({"tools": {"urlContext": {}}}, "tools.urlContext"),
        ({"tools": [{"newThing": {}}]}, "tools[0].newThing"),
        ({"tools": 5}, "tools"),
        ({"serviceTier": "batch"}, "serviceTier"),
        ({"serviceTier": 5}, "serviceTier"),
        ({"model": "gemini-2.5-pro"}, "model"),
        ({"model": 5}, "model"),
        ({"api_key": "x"}, "api_key"),
        ({"generationConfig": []}, "generationConfig"),
        (config(maxOutputTokens=0), "generationConfig.maxOutputTokens"),
        (config(max_output_tokens="9"), "generationConfig.max_output_tokens"),
        (config(maxOutputTokens=9, max_output_tokens=99), "generationConfig.max_output_tokens"),
        (config(maxOutputTokens=9, max_output_tokens=None), "generationConfig.max_output_tokens"),
        (config(MaxOutputTokens=9), "generationConfig.maxOutputTokens"),
        ({"generationConfig": {}, "generation_config": {"maxOutputTokens": 9}}, "generation_config"),
        (config(candidateCount=9), "generationConfig.candidateCount"),
        (config(responseModalities=["TEXT", "IMAGE"]), "generationConfig.responseModalities"),
        (config(response_modalities=["AUDIO"]), "generationConfig.responseModalities"),
        (config(responseModalities={}), "generationConfig.responseModalities"),
        (config(routingConfig={"autoMode": {}}), "generationConfig.routingConfig"),
        (config(thinkingConfig={"thinkingBudget": -2}), "generationConfig.thinkingConfig.thinkingBudget"),
        (config(thinkingConfig={"thinkingBudget": 1.5}), "generationConfig.thinkingConfig.thinkingBudget"),
        (config(thinkingConfig=5), "generationConfig.thinkingConfig"),
    ],
)  # fmt: skip
def test_what_cannot_be_bounded_is_refused_and_named(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


@pytest.mark.parametrize(
    "model",
    ["", "a/b", "../x", "x?y", "x:y", "-x", "a b", "x" * 257, "gemini-2.5-flash-image", "gemini-3-pro-image-preview",
     "gemini-nano-banana-2.1", "gemini-2.5-pro-preview-tts", "imagen-4.0", "gemini-2.5-flash-native-audio"],
)  # fmt: skip
def test_models_that_break_the_url_or_answer_with_other_than_text_are_refused(model: str) -> None:
    assert refused(model) == "model"


def test_a_stream_without_server_sent_events_is_refused() -> None:
    with pytest.raises(BadRequest, match="alt=sse") as caught:
        wire(is_stream=True, is_sse=False).parse(json.dumps({"contents": USER}).encode())
    assert caught.value.param == "alt"
    wire(is_sse=False).parse(json.dumps({"contents": USER}).encode())


def test_a_body_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        GeminiGenerate("m", False, body_bytes_max=10).parse(b'{"contents":[]}')


# --- writing ---------------------------------------------------------------------------------------------------------


def written(request: Request, cap: int | None, model: str = "gemini-2.5-flash") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(wire().encode(request, model=model, cap=cap))
    return value


def test_only_the_cap_is_written_under_the_names_of_the_client() -> None:
    assert written(parse(), None) == {"contents": USER}
    assert written(parse(), 9) == {"contents": USER, "generationConfig": {"maxOutputTokens": 9}}
    assert written(parse(generation_config=None), 9)["generation_config"] == {"maxOutputTokens": 9}
    snake = parse(generation_config={"max_output_tokens": 99, "top_k": 1})
    assert written(snake, 9) == {"contents": USER, "generation_config": {"max_output_tokens": 9, "top_k": 1}}
    assert written(snake, 99)["generation_config"]["max_output_tokens"] == 99


def test_a_model_in_the_body_follows_the_one_that_answers() -> None:
    assert written(parse(model="models/gemini-2.5-flash"), None, "other")["model"] == "models/other"
    assert written(parse(model="gemini-2.5-flash"), None, "other")["model"] == "other"


@pytest.mark.parametrize(
    ("budget", "cap", "lowered"),
    [(8_000, 4_000, 3_000), (8_000, 600, 512), (8_000, 8_001, 8_000), (-1, 600, -1), (0, 600, 0), (300, 200, 300)],
)
def test_a_thinking_budget_that_a_new_cap_overtakes_is_lowered(budget: int, cap: int, lowered: int) -> None:
    request = parse(**config(thinkingConfig={"includeThoughts": True, "thinkingBudget": budget}))
    thinking = written(request, cap)["generationConfig"]["thinkingConfig"]
    assert thinking == {"includeThoughts": True, "thinkingBudget": lowered}


def test_the_end_of_the_url_is_read_and_written() -> None:
    assert split_action("models/gemini-2.5-flash:generateContent") == ("gemini-2.5-flash", "generateContent")
    assert split_action("gemini-2.5-pro:countTokens") == ("gemini-2.5-pro", "countTokens")
    for text in ("models/x", "models/a/b:generateContent", "models/../x:y", "models/x:y?z", "models/x:y\n", "x" * 999):
        assert split_action(text) is None
    assert wire().action("m") == "models/m:generateContent"
    assert wire(is_stream=True).action("m") == "models/m:streamGenerateContent?alt=sse"


# --- hostile bodies -------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["contents", "parts", "role", "text", "inlineData", "mime_type", "mimeType", "data", "functionResponse", "tools",
     "functionDeclarations", "generationConfig", "generation_config", "maxOutputTokens", "max_output_tokens",
     "candidateCount", "thinkingConfig", "thinkingBudget", "systemInstruction", "mediaResolution", "numTokens",
     "videoMetadata", "fps", "labels", "serviceTier", "model", "responseModalities"]
)  # fmt: skip
SHAPED = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, SHAPED, max_size=6), st.booleans())
def test_hostile_bodies_are_parsed_or_refused(body: dict[str, Any], has_contents: bool) -> None:
    if has_contents:
        body = {**body, "contents": [{"parts": [body.get("parts") if isinstance(body.get("parts"), dict) else {}]}]}
    try:
        request = wire().parse(json.dumps(body).encode())
    except BadRequest:
        return
    assert request.anatomy.total >= 0 and request.images_tokens_most >= 0 and request.cap_least >= 1
    again = wire().parse(wire().encode(request, model=request.model, cap=7))
    assert again.cap == 7
