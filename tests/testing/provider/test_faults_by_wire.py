"""The same faults on the wires beside chat and messages: what the client sees and what the provider bills."""

from __future__ import annotations

import http.client
import json
from typing import Any

import openai
import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Got, Plain

from bursar.testing import Script, ScriptedProvider
from bursar.testing.provider.client import CallLine

STREAMED = ["responses", "completions", "gemini"]
WIRES = pytest.mark.parametrize(
    ("wire", "is_stream"),
    [(wire, is_stream) for wire in STREAMED for is_stream in (False, True)] + [("embeddings", False)],
)
STREAMS = pytest.mark.parametrize("wire", STREAMED)
ASKED: dict[str, Any] = {"completions": {"stream_options": {"include_usage": True}}}
CAPPED: dict[str, Any] = {
    "responses": {"max_output_tokens": 16},
    "completions": {"max_tokens": 16},
    "gemini": {"generationConfig": {"maxOutputTokens": 16}},
}
USAGES = {"responses": "usage", "embeddings": "usage", "completions": "usage", "gemini": "usageMetadata"}
OUTPUTS = {"responses": "output_tokens", "completions": "completion_tokens"}


def _only_line(provider: ScriptedProvider) -> CallLine:
    (line,) = provider.invoice()["calls"]
    return line


def _generate(plain: Plain, wire: str, is_stream: bool, **fields: Any) -> Got:
    asked = ASKED.get(wire, {}) if is_stream else {}
    return plain.generate(wire, stream=is_stream or None, **asked, **fields)


def _text(wire: str, events: list[Any]) -> str:
    """Return the text of a stream's content events."""
    if wire == "responses":
        return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    if wire == "completions":
        return "".join(choice["text"] for event in events for choice in event.get("choices", ()))
    candidates = [candidate for event in events for candidate in event.get("candidates", ())]
    return "".join(part["text"] for candidate in candidates for part in candidate["content"].get("parts", ()))


def _usages(wire: str, documents: list[Any]) -> list[Any]:
    """Return all usage that is told, wherever it stands."""
    places = [each.get("response", each) if wire == "responses" else each for each in documents]
    return [place[USAGES[wire]] for place in places if place.get(USAGES[wire]) is not None]


@WIRES
def test_slow_sends_nothing_before_its_time(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="slow", fault_after_s=3_600, fault_times=1, run_ahead_tokens=3))
    with plain.ask(wire, stream=is_stream or None) as connection:
        provider.wait(open_calls=1)
        assert connection.sock is not None
        connection.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
    provider.wait(ended=1)
    assert _only_line(provider)["output_tokens"] == (0 if wire == "embeddings" else 3)


@WIRES
@pytest.mark.parametrize(("after", "ahead", "billed"), [(0, 0, 0), (10, 5, 15), (99, 0, 40)])
def test_cut_ends_the_connection_without_an_end_and_bills_up_to_there(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, after: int, ahead: int, billed: int
) -> None:
    provider.set("m", Script(fault="cut", fault_after_tokens=after, run_ahead_tokens=ahead))
    got = plain.generate(wire, stream=is_stream or None)
    assert (got.status, got.is_whole) == (200, False)
    if is_stream:
        assert len(_text(wire, got.events)) == 4 * min(after, 40)
        for end in (b'finish_reason":"', b"finishReason", b"response.completed", b"DONE"):
            assert end not in got.body
    line = _only_line(provider)
    tokens = 0 if wire == "embeddings" else billed
    assert (line["ended"], line["billed"], line["output_tokens"]) == ("cut", True, tokens)
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + tokens * 10_000


@WIRES
@pytest.mark.parametrize("is_billed", [False, True])
def test_reset_before_closes_without_a_byte_billed_or_not(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, is_billed: bool
) -> None:
    provider.set("m", Script(fault="reset_before", fault_billed=is_billed))
    with pytest.raises(http.client.RemoteDisconnected):
        plain.generate(wire, stream=is_stream or None)
    line = _only_line(provider)
    output = 0 if wire == "embeddings" else 40
    assert (line["ended"], line["status"], line["billed"]) == ("reset", None, is_billed)
    assert line["cost_nano"] == (HELLO_TOKENS * 2_500 + output * 10_000 if is_billed else 0)


@WIRES
def test_no_usage_leaves_usage_out_and_bills_all_the_same(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    told = _generate(plain, wire, is_stream)
    provider.set("m", Script(fault="no_usage"))
    got = _generate(plain, wire, is_stream)
    assert _usages(wire, told.events if is_stream else [told.json])
    assert _usages(wire, got.events if is_stream else [got.json]) == []
    first, second = provider.invoice()["calls"]
    assert first["cost_nano"] == second["cost_nano"] > 0


@WIRES
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_status_answers_with_the_wires_error_and_bills_nothing(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, status: int
) -> None:
    provider.set("m", Script(fault="status", fault_status=status, retry_after_s=7))
    got = plain.generate(wire, stream=is_stream or None)
    assert (got.status, got.headers["retry-after"]) == (status, "7")
    if wire == "gemini":
        assert (set(got.json["error"]), got.json["error"]["code"]) == ({"code", "message", "status"}, status)
    else:
        assert set(got.json["error"]) == {"message", "type", "param", "code"}
    line = _only_line(provider)
    assert (line["ended"], line["status"], line["billed"], line["cost_nano"]) == ("error", status, False, 0)


@WIRES
def test_garbage_is_no_json_and_is_billed(provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool) -> None:
    provider.set("m", Script(fault="garbage"))
    got = plain.generate(wire, stream=is_stream or None)
    assert (got.status, got.is_whole) == (200, True)
    broken = 0
    for data in got.data if is_stream else [got.body.decode()]:
        try:
            json.loads(data.replace("[DONE]", "0"))
        except json.JSONDecodeError:
            broken += 1
    assert broken == 1
    assert _only_line(provider)["billed"]


@pytest.mark.parametrize("is_stream", [False, True])
@STREAMS
def test_over_cap_generates_and_bills_more_than_the_cap(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="over_cap", output_tokens=90, max_output_tokens=50))
    assert plain.generate(wire, stream=is_stream or None, **CAPPED[wire]).is_whole
    line = _only_line(provider)
    assert (line["cap"], line["output_tokens"], line["ended"]) == (16, 90, "complete")


@WIRES
def test_never_ends_bills_its_content_and_keeps_sending(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="never_ends", output_tokens=8))
    beat = {"gemini": b"\r\n\r\n\r\n\r\n\r\n"}.get(wire, b": keep-alive\n\n: keep-alive\n") if is_stream else b"   "
    with plain.ask(wire, stream=is_stream or None) as connection, connection.getresponse() as response:
        provider.wait(billed=1)
        body = b""
        while beat not in body[-64:]:
            body += response.read1()
    assert _only_line(provider)["output_tokens"] == (0 if wire == "embeddings" else 8)
    if not is_stream:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


@WIRES
@pytest.mark.parametrize("size_bytes", [4_096, 3_000_000])
def test_long_line_is_as_long_as_asked(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, size_bytes: int
) -> None:
    provider.set("m", Script(fault="long_line", fault_bytes=size_bytes))
    fields: dict[str, Any] = {"dimensions": 4} if wire == "embeddings" else {}
    got = plain.generate(wire, stream=is_stream or None, **fields)
    if is_stream:
        assert size_bytes in [len(line) for line in got.body.split(b"\n")]
        assert len(_text(wire, got.events)) == 160
    else:
        assert len(got.body) == size_bytes
        assert got.json[USAGES[wire]]


@STREAMS
def test_usage_twice_is_cumulative_and_billed_once(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set("m", Script(fault="usage_twice", reasoning_tokens=10))
    usages = _usages(wire, _generate(plain, wire, True).events)
    if wire == "gemini":
        counts = [usage["candidatesTokenCount"] + usage["thoughtsTokenCount"] for usage in usages]
        assert counts == sorted(counts)
        assert (counts.count(30), counts[-1]) == (2, 50)
    else:
        assert [usage[OUTPUTS[wire]] for usage in usages] == [30, 50]
    assert _only_line(provider)["output_tokens"] == 50


@STREAMS
def test_error_event_ends_a_stream_half_way_and_bills_half(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set("m", Script(fault="error_event", run_ahead_tokens=9))
    got = plain.generate(wire, stream=True)
    assert got.is_whole
    end = got.body.decode().rstrip().rpartition("\r\n\r\n")[2] if wire == "gemini" else got.data[-1]
    assert json.loads(end)["error"]["message"]
    assert len(_text(wire, got.events)) == 80
    line = _only_line(provider)
    assert (line["ended"], line["billed"], line["output_tokens"]) == ("error", True, 20)
    assert plain.generate(wire).json[USAGES[wire]]


@pytest.mark.parametrize("wire", ["responses", "completions"])
def test_the_sdk_sees_an_error_event_as_an_error(provider: ScriptedProvider, wire: str) -> None:
    provider.set("m", Script(fault="error_event"))
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as client:
        stream: Any = (
            client.responses.create(model="m", input="hello", stream=True)
            if wire == "responses"
            else client.completions.create(model="m", prompt="hello", max_tokens=99, stream=True)
        )
        with pytest.raises(openai.APIError, match="server had an error"):
            list(stream)


@STREAMS
def test_a_stream_that_is_left_is_billed_for_what_was_generated_and_the_run_ahead(
    provider: ScriptedProvider, plain: Plain, wire: str
) -> None:
    provider.set("m", Script(output_tokens=100_000, tokens_per_s=500.0, run_ahead_tokens=7))
    with plain.ask(wire, stream=True) as connection, connection.getresponse() as response:
        while b"the " not in response.read1():
            pass
    provider.wait(ended=1)
    line = _only_line(provider)
    assert (line["ended"], line["billed"]) == ("disconnect", True)
    assert 7 < line["output_tokens"] < 10_000
