"""The real SDKs, of both generations, take a cut response stream for an answer that reached its output cap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bursar.core.usage import Usage
from bursar.wire.base import Refusal
from bursar.wire.openai_responses import OpenAIResponses

openai = pytest.importorskip("openai")
httpx2 = pytest.importorskip("httpx2")

WIRE = OpenAIResponses()
SDKS_OLD = Path(__file__).parents[2] / ".venv" / "sdks-old"
CLIENT = Path(__file__).with_name("responses_client.py")
SPENT = Usage(input_tokens=11, cache_read_tokens=4, output_tokens=20, reasoning_tokens=3)
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1755280559,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be kind.",
    "metadata": {},
    "model": "gpt-7",
    "output": [],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": None,
}
MESSAGE = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
CALL = {"id": "fc_1", "type": "function_call", "status": "in_progress", "name": "find", "call_id": "c", "arguments": ""}
CUSTOM = {
    "id": "ct_1",
    "type": "custom_tool_call",
    "status": "in_progress",
    "name": "patch",
    "call_id": "c",
    "input": "",
}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "searching", "action": {"type": "search", "query": "x"}}
PART = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
SUMMARY = {"type": "summary_text", "text": ""}

Event = tuple[str, dict[str, Any]]


def on(item_id: str, index: int, kind: str, **fields: Any) -> Event:
    return kind, {"item_id": item_id, "output_index": index, **fields}


def added(item: dict[str, Any], index: int = 0) -> Event:
    return "response.output_item.added", {"output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> Event:
    return "response.output_item.done", {"output_index": index, "item": {**item, "status": "completed"}}


START: list[Event] = [("response.created", {"response": RESPONSE}), ("response.in_progress", {"response": RESPONSE})]
OPEN_TEXT = [added(MESSAGE), on("msg_1", 0, "response.content_part.added", content_index=0, part=PART)]
TEXT = [
    *OPEN_TEXT,
    on("msg_1", 0, "response.output_text.delta", content_index=0, delta="Hel", logprobs=[]),
    on("msg_1", 0, "response.output_text.delta", content_index=0, delta="lo ☃", logprobs=[]),
]
TEXT_DONE = on("msg_1", 0, "response.output_text.done", content_index=0, text="Hello ☃", logprobs=[])
THOUGHT = [
    added(REASONING),
    on("rs_1", 0, "response.reasoning_summary_part.added", summary_index=0, part=SUMMARY),
    on("rs_1", 0, "response.reasoning_summary_text.delta", summary_index=0, delta="Hm"),
]
ARGUMENTS = on("fc_1", 1, "response.function_call_arguments.delta", delta='{"q":"a')
CASES: dict[str, list[Event]] = {
    "nothing yet": [],
    "created": START[:1],
    "in progress": START,
    "a message without a part": [*START, added(MESSAGE)],
    "a part without text": [*START, *OPEN_TEXT],
    "text": [*START, *TEXT],
    "text that is done": [*START, *TEXT, TEXT_DONE],
    "a part that is done": [
        *START,
        *TEXT,
        TEXT_DONE,
        on("msg_1", 0, "response.content_part.done", content_index=0, part={**PART, "text": "Hello ☃"}),
    ],
    "a refusal": [
        *START,
        added(MESSAGE),
        on("msg_1", 0, "response.content_part.added", content_index=0, part={"type": "refusal", "refusal": ""}),
        on("msg_1", 0, "response.refusal.delta", content_index=0, delta="I can"),
    ],
    "reasoning that is not shown": [*START, added(REASONING)],
    "a summary of reasoning": [*START, *THOUGHT],
    "reasoning itself": [
        *START,
        added({**REASONING, "content": []}),
        on("rs_1", 0, "response.content_part.added", content_index=0, part={"type": "reasoning_text", "text": ""}),
        on("rs_1", 0, "response.reasoning_text.delta", content_index=0, delta="Hm"),
    ],
    "a function call": [*START, added(REASONING), done(REASONING), added(CALL, 1), ARGUMENTS],
    "a custom tool call": [
        *START,
        added(CUSTOM),
        on("ct_1", 0, "response.custom_tool_call_input.delta", delta="*** Begin"),
    ],
    "a search": [*START, added(SEARCH), on("ws_1", 0, "response.web_search_call.searching")],
    "two items open": [*START, *TEXT, added(CALL, 1), ARGUMENTS],
}


def cut(events: list[Event], rest: bytes = b"") -> str:
    seen = b"".join(
        f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': at, **fields})}\n\n".encode()
        for at, (kind, fields) in enumerate(events)
    )
    reader = WIRE.reader(WIRE.parse(b'{"model":"gpt-7","input":"hi","stream":true}'))
    passed = reader.feed(seen + rest) + reader.cut(SPENT)
    assert reader.is_finished
    assert reader.cut(SPENT) == b""
    return passed.decode()


def run_client(generation: str, bodies: dict[str, str]) -> dict[str, Any]:
    environ = dict(os.environ)
    if generation == "2":
        if not SDKS_OLD.is_dir():
            pytest.skip("the SDKs of the generation before are not in .venv/sdks-old: scripts/test brings them")
        environ["PYTHONPATH"] = str(SDKS_OLD)
    done = subprocess.run(
        [sys.executable, str(CLIENT)],
        env=environ,
        input=json.dumps(bodies),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["version"].startswith(f"{generation}.")
    answers: dict[str, Any] = told["told"]
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["2", "3"])
def test_the_sdk_takes_a_cut_stream_for_one_that_reached_its_cap(generation: str) -> None:
    bodies = {name: cut(events) for name, events in CASES.items()}
    bodies["an incomplete event"] = cut(CASES["text"], b'event: response.output_text.delta\ndata: {"type":"resp')
    told = run_client(generation, bodies)
    assert list(told) == list(bodies)
    for name, seen in told.items():
        raw, helped = seen["raw"], seen["helped"]
        assert raw["kinds"][0] == "response.created", name
        assert raw["kinds"][-1] == helped["kinds"][-1] == "response.incomplete", name
        assert raw["numbers"] == list(range(len(raw["numbers"]))), name
        # The helper raises this for every answer that ends at its cap, the provider's own included.
        assert helped["final"] == "Didn't receive a `response.completed` event.", name
        last = raw["last"]
        assert (last["status"], last["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"}), name
        assert last["usage"]["output_tokens"] == 23
        assert last["usage"]["total_tokens"] == 38
        kinds = raw["kinds"]
        opened, closed = kinds.count("response.output_item.added"), kinds.count("response.output_item.done")
        assert opened == closed == len(last["output"]), name


def ended(name: str) -> list[dict[str, Any]]:
    """Give the events that were added behind a case."""
    events = [json.loads(event.partition("data: ")[2]) for event in cut(CASES[name]).split("\n\n") if event]
    return events[len(CASES[name]) :]


def test_text_ends_as_the_api_ends_it() -> None:
    text = {**PART, "text": "Hello ☃"}
    item = {**MESSAGE, "status": "incomplete", "content": [text]}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    response = {
        **RESPONSE,
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [item],
        "usage": {
            "input_tokens": 15,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 23,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 38,
        },
    }
    assert ended("text") == [
        {"type": "response.output_text.done", "sequence_number": 6, **place, "text": "Hello ☃", "logprobs": []},
        {"type": "response.content_part.done", "sequence_number": 7, **place, "part": text},
        {"type": "response.output_item.done", "sequence_number": 8, "output_index": 0, "item": item},
        {"type": "response.incomplete", "sequence_number": 9, "response": response},
    ]
    assert ended("text that is done")[0]["type"] == "response.content_part.done"
    assert ended("a part that is done")[0]["item"] == item


def test_a_call_ends_incomplete_and_never_as_if_its_arguments_were_done() -> None:
    closing = ended("a function call")
    assert [event["type"] for event in closing] == ["response.output_item.done", "response.incomplete"]
    assert closing[0]["item"] == {**CALL, "status": "incomplete", "arguments": '{"q":"a'}
    assert [item["status"] for item in closing[1]["response"]["output"]] == ["completed", "incomplete"]
    assert ended("a custom tool call")[0]["item"] == {**CUSTOM, "status": "incomplete", "input": "*** Begin"}


def test_reasoning_ends_with_what_was_shown_of_it() -> None:
    closing = ended("a summary of reasoning")
    assert [event["type"] for event in closing] == [
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert closing[2]["item"]["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert ended("reasoning itself")[2]["item"]["content"] == [{"type": "reasoning_text", "text": "Hm"}]


def test_a_character_split_between_two_deltas_is_whole_in_the_end() -> None:
    halves = [
        on("msg_1", 0, "response.output_text.delta", content_index=0, delta=half, logprobs=[])
        for half in ("\ud83d", "\ude00")
    ]
    body = cut([*START, *OPEN_TEXT, *halves])
    done = next(event for event in body.split("\n\n") if "output_text.done" in event)
    assert json.loads(done.partition("data: ")[2])["text"] == "😀"


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.wire.responses_shown.KEPT_BYTES_MAX", 2_000)
    delta = on("msg_1", 0, "response.output_text.delta", content_index=0, delta="x" * 50, logprobs=[])
    body = cut([*START, *OPEN_TEXT, *[delta] * 1_000])
    last = json.loads(body.rstrip().rpartition("data: ")[2])
    assert len(last["response"]["output"][0]["content"][0]["text"]) < 2_000
    assert last["sequence_number"] == 1_000 + len(START) + len(OPEN_TEXT) + 3


def test_the_sdk_raises_an_error_in_the_middle_of_a_stream() -> None:
    reader = WIRE.reader(WIRE.parse(b'{"model":"gpt-7","input":"hi","stream":true}'))
    body = cut(CASES["created"]).partition("\n\n")[0].encode() + b"\n\n"
    body += reader.error(Refusal(502, "upstream_failed", "broke off"))
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body))
    http = httpx2.Client(transport=transport)
    with openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=http) as client:
        stream = client.responses.create(model="m", input="hi", stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            list(stream)
