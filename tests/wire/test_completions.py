"""Text completions: every answer that is billed is counted, echoes are not, and only the cap is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.errors import BadRequest
from bursar.wire.base import Answer, Request, Wire
from bursar.wire.openai_completions import CAP_DEFAULT, OpenAICompletions

WIRE = OpenAICompletions()
DONE = b"data: [DONE]\n\n"
TOLD = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def parse(**fields: Any) -> Request:
    return WIRE.parse(json.dumps({"model": "gpt-3.5-turbo-instruct", "prompt": "hi", **fields}).encode())


def refused(**fields: Any) -> str | None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value.param


def chunk(text: str | None, *, index: int = 0, reason: str | None = None, **more: Any) -> bytes:
    shown = [] if text is None else [{"text": text, "index": index, "logprobs": None, "finish_reason": reason}]
    value = {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": shown, "model": "m-1", **more}
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def run(request: Request, raw: bytes, size: int = 0) -> tuple[bytes, Answer]:
    reader, step = WIRE.reader(request), size or max(1, len(raw))
    passed = b"".join(reader.feed(raw[at : at + step]) for at in range(0, len(raw), step)) + reader.rest()
    return passed, reader.answer()


def test_it_is_a_wire_and_without_a_cap_it_takes_the_default_of_the_api() -> None:
    wire: Wire = WIRE
    request = wire.parse(b'{"model":"m","prompt":"hi"}')
    assert (request.wire, request.cap, request.choices, request.has_output) == ("openai.completions", 16, 1, True)
    assert (request.anatomy.user, request.wants_usage) == (2, True)


@pytest.mark.parametrize(
    ("fields", "choices", "size_bytes"),
    [
        ({"n": 3}, 3, 2),
        ({"n": 2, "best_of": 5}, 5, 2),
        ({"best_of": 20}, 20, 2),
        ({"prompt": ["a", "bc"], "n": 3}, 6, 3),
        ({"prompt": [1, 2, 3], "n": 2}, 2, 12),
        ({"prompt": [[1], [2, 3]], "best_of": 4}, 8, 12),
        ({"prompt": None}, 1, 0),
        ({"prompt": ["x"] * 2_048}, 2_048, 2_048),
    ],
)
def test_every_answer_of_every_prompt_is_counted(fields: dict[str, Any], choices: int, size_bytes: int) -> None:
    request = parse(**fields)
    assert (request.choices, request.anatomy.user) == (choices, size_bytes)


def test_a_suffix_is_input() -> None:
    assert parse(suffix="abc").anatomy.total == 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": [{"x": 1}]}, "prompt[0]"),
        ({"prompt": ["x"] * 2_049}, "prompt"),
        ({"prompt": ["x"] * 100, "n": 100}, "prompt"),
        ({"prompt_embeds": "QUJD"}, "prompt_embeds"),
        ({"n": 0}, "n"),
        ({"best_of": 129}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": False}, "max_tokens"),
        ({"suffix": 5}, "suffix"),
        ({"stream": 1}, "stream"),
        ({"echo": "yes"}, "echo"),
        ({"stream_options": [], "stream": True}, "stream_options"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"models": ["x"]}, "models"),
        ({"api_key": "x"}, "api_key"),
    ],
)
def test_what_cannot_be_bounded_is_refused(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


def test_only_the_cap_and_include_usage_are_written() -> None:
    fields: dict[str, Any] = {"temperature": 0, "logprobs": 5, "echo": True, "stop": ["x"], "logit_bias": {"1": 1}}
    request = parse(**fields)
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "hi", **fields}
    assert json.loads(WIRE.encode(request, model=request.model, cap=None)) == body
    assert json.loads(WIRE.encode(request, model="o", cap=CAP_DEFAULT)) == {**body, "model": "o", "max_tokens": 16}
    request = parse(stream=True, max_tokens=50, stream_options={"x": 1})
    written = json.loads(WIRE.encode(request, model="o", cap=40))
    assert written["max_tokens"] == 40
    assert written["stream_options"] == {"x": 1, "include_usage": True}


def test_scoring_alone_has_no_output_and_keeps_its_cap_of_zero() -> None:
    request = parse(max_tokens=0, echo=True, logprobs=1)
    assert (request.has_output, request.cap) == (False, None)
    assert json.loads(WIRE.encode(request, model="m", cap=1))["max_tokens"] == 0
    body = {"choices": [{"text": "hi", "finish_reason": "length"}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    answer = WIRE.read_whole(request, json.dumps(body).encode())
    assert answer is not None
    assert (answer.usage, answer.visible_tokens) == (Usage(input_tokens=5), 0)


def test_the_usage_chunk_that_the_client_did_not_ask_for_is_kept_back() -> None:
    text, end, usage = chunk("hi"), chunk("", reason="stop"), chunk(None, usage=TOLD)
    for size in (0, 1, 97):
        passed, answer = run(parse(stream=True), text + end + usage + DONE, size)
        assert passed == text + end + DONE
        assert answer.usage == Usage(input_tokens=5, output_tokens=3)
        asked = parse(stream=True, stream_options={"include_usage": True})
        assert run(asked, text + end + usage + DONE, size)[0] == text + end + usage + DONE


def test_a_stream_ends_when_every_shown_answer_has_ended() -> None:
    reader = WIRE.reader(parse(stream=True, prompt=["a", "b"], n=2))
    states = []
    for event in (*(chunk("x", index=index, reason="length") for index in range(4)), chunk(None, usage=TOLD)):
        reader.feed(event)
        states.append((reader.is_complete, reader.is_finished))
    assert states == [(False, False)] * 3 + [(True, False), (True, True)]
    assert reader.answer().is_capped


def test_text_is_counted_but_not_the_echo_of_the_prompt() -> None:
    raw = b"".join(chunk("abcdef", index=index % 2) for index in range(10))
    assert run(parse(stream=True, n=2), raw)[1].visible_tokens == 20
    echoed = parse(stream=True, n=2, echo=True, prompt="abcdefabc")
    assert run(echoed, raw)[1].visible_tokens == 14
    body = {"choices": [{"text": "abcdefabcXYZ"}] * 2, "usage": None}
    answer = WIRE.read_whole(parse(n=2, echo=True, prompt="abcdefabc"), json.dumps(body).encode())
    assert answer == Answer(usage=None, visible_tokens=2)


def test_a_cut_ends_every_open_answer_and_says_what_it_came_to() -> None:
    reader = WIRE.reader(parse(stream=True, n=2, stream_options={"include_usage": True}))
    reader.feed(chunk("abc") + chunk("x", index=1, reason="stop"))
    cut = reader.cut(Usage(input_tokens=5, output_tokens=9))
    assert cut.endswith(DONE)
    first, second = (json.loads(line[6:]) for line in cut.split(b"\n\n")[:2])
    assert first == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m-1",
        "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}],
    }
    assert second["choices"] == []
    assert second["usage"]["completion_tokens"] == 9
    assert reader.cut(Usage()) == b""


def sdk(body: bytes, kind: str) -> Any:
    """Make the SDK's client of a server that always answers so."""
    openai, httpx = pytest.importorskip("openai"), pytest.importorskip("httpx2")

    def answer(request: Any) -> Any:
        assert request.url.path == "/v1/completions"
        return httpx.Response(200, content=body, headers={"content-type": kind})

    return openai.OpenAI(
        api_key="k", base_url="http://x/v1", http_client=httpx.Client(transport=httpx.MockTransport(answer))
    ).completions


def test_the_sdk_reads_cut_answers() -> None:
    reader = WIRE.reader(parse(stream=True, stream_options={"include_usage": True}))
    raw = reader.feed(chunk("abc") + chunk("def")) + reader.cut(Usage(input_tokens=4, output_tokens=2))
    chunks = list(sdk(raw, "text/event-stream").create(model="m", prompt="hi", stream=True))
    assert "".join(part.choices[0].text for part in chunks if part.choices) == "abcdef"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (4, 2)


def test_the_sdk_reads_the_same_usage_of_a_whole_answer() -> None:
    shown = [{"text": "x", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    body = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "usage": TOLD, "choices": shown}
    raw = json.dumps(body).encode()
    answer, usage = WIRE.read_whole(parse(), raw), sdk(raw, "application/json").create(model="m", prompt="hi").usage
    assert answer is not None and answer.usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (answer.usage.input_total, answer.usage.output_total)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"[" * 99_999, b'{"error":{}}'])
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert WIRE.read_whole(parse(), body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["prompt", "n", "best_of", "max_tokens", "suffix", "stream", "stream_options", "echo", "user", "model", "x"]
)


@given(st.dictionaries(NAMES, JSON))
def test_hostile_bodies_are_parsed_or_refused(body: dict[str, Any]) -> None:
    try:
        request = WIRE.parse(json.dumps({"model": "m", "prompt": "x", **body}).encode())
    except BadRequest:
        return
    assert request.choices >= 1
    WIRE.encode(request, model="m", cap=7)
    WIRE.reader(request).feed(chunk("x"))


SAMPLES = [
    chunk("abc"),
    chunk("é€"),
    chunk('a"\\'),
    chunk("", reason="stop"),
    chunk("x", index=1, reason="length"),
    chunk(None, usage=TOLD),
    chunk("y", usage=TOLD),
    b'data: {"choices":[5,{"text":5,"index":"x"},{"index":99999999}],"usage":7}\n\n',
    b'data: {"error":{"message":"x"}}\n\n',
    b'data: {"id":"\\ud800","created":NaN,"model":1e999,"choices":[]}\n\n',
    b"data: {broken\n\n",
    b": ping\n\n",
    DONE,
]


@given(st.lists(st.sampled_from(SAMPLES), max_size=12), st.lists(st.integers(1, 60), max_size=60), st.booleans())
def test_any_split_of_any_stream_gives_the_same_answer(events: list[bytes], sizes: list[int], echo: bool) -> None:
    raw = b"".join(events)
    request = parse(stream=True, n=2, echo=echo, prompt="abcd")
    reader, at, got = WIRE.reader(request), 0, b""
    for size in sizes:
        got += reader.feed(raw[at : at + size])
        at += size
    got += reader.feed(raw[at:]) + reader.rest()
    assert (got, reader.answer()) == run(request, raw)
    reader.cut(Usage())
