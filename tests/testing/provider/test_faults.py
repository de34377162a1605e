"""Every fault, on both wires, whole and streamed: what the client sees and what the provider bills."""

from __future__ import annotations

import http.client
import json
from typing import Any

import openai
import pytest
from tests.testing.provider.plain import HELLO, HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider
from bursar.testing.provider.client import CallLine

MESSAGES: Any = HELLO

WIRES = pytest.mark.parametrize("wire", ["openai", "anthropic"])
STREAMS = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
ASKED: dict[str, Any] = {"openai": {"stream_options": {"include_usage": True}}, "anthropic": {}}


def _only_line(provider: ScriptedProvider) -> CallLine:
    (line,) = provider.invoice()["calls"]
    return line


def _visible_text(wire: str, events: list[Any]) -> str:
    """Return the text of a stream's content events."""
    text = ""
    for event in events:
        if wire == "anthropic" and event["type"] == "content_block_delta":
            text += event["delta"]["text"]
        elif wire == "openai" and event.get("choices"):
            text += event["choices"][0]["delta"].get("content") or ""
    return text


@WIRES
@STREAMS
def test_slow_sends_nothing_before_its_time_and_then_answers(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="slow", fault_after_s=3_600, fault_times=1, run_ahead_tokens=3))
    with plain.ask(wire, stream=is_stream) as connection:
        provider.wait(open_calls=1)
        assert connection.sock is not None
        connection.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
    provider.wait(ended=1)
    assert _only_line(provider)["output_tokens"] == 3
    provider.set("m", Script(fault="slow", fault_after_s=0.01))
    assert plain.generate(wire, stream=is_stream).is_whole


@WIRES
@STREAMS
@pytest.mark.parametrize(("after", "ahead", "billed"), [(0, 0, 0), (10, 0, 10), (10, 5, 15), (10, 99, 40), (99, 0, 40)])
def test_cut_ends_the_connection_without_an_end_and_bills_up_to_there(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, after: int, ahead: int, billed: int
) -> None:
    provider.set("m", Script(fault="cut", fault_after_tokens=after, run_ahead_tokens=ahead))
    got = plain.generate(wire, stream=is_stream)
    assert (got.status, got.is_whole) == (200, False)
    if is_stream:
        assert len(_visible_text(wire, got.events)) == 4 * min(after, 40)
        assert b'finish_reason":"' not in got.body
        assert b"message_stop" not in got.body
    line = _only_line(provider)
    assert (line["ended"], line["billed"], line["output_tokens"]) == ("cut", True, billed)
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + billed * 10_000


@WIRES
@STREAMS
@pytest.mark.parametrize("is_billed", [False, True])
def test_reset_before_closes_without_a_byte_billed_or_not(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, is_billed: bool
) -> None:
    provider.set("m", Script(fault="reset_before", fault_billed=is_billed))
    with pytest.raises(http.client.RemoteDisconnected):
        plain.generate(wire, stream=is_stream)
    line = _only_line(provider)
    assert (line["ended"], line["status"], line["billed"]) == ("reset", None, is_billed)
    assert line["cost_nano"] == (HELLO_TOKENS * 2_500 + 40 * 10_000 if is_billed else 0)


@WIRES
@STREAMS
def test_no_usage_leaves_usage_out_and_bills_all_the_same(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="no_usage"))
    got = plain.generate(wire, stream=is_stream, **(ASKED[wire] if is_stream else {}))
    assert got.is_whole
    documents = got.events if is_stream else [got.json]
    assert [each["usage"] for each in documents if each.get("usage") is not None] == []
    assert "usage" not in documents[0].get("message", {})
    assert _only_line(provider)["output_tokens"] == 40


@WIRES
@STREAMS
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529, 599])
def test_status_answers_with_the_wires_error_and_bills_nothing(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, status: int
) -> None:
    provider.set("m", Script(fault="status", fault_status=status, retry_after_s=7))
    got = plain.generate(wire, stream=is_stream)
    assert (got.status, got.headers["retry-after"]) == (status, "7")
    if wire == "openai":
        assert set(got.json["error"]) == {"message", "type", "param", "code"}
    else:
        assert (set(got.json), set(got.json["error"])) == ({"type", "error", "request_id"}, {"type", "message"})
        assert got.json["request_id"] == got.headers["request-id"]
    line = _only_line(provider)
    assert (line["ended"], line["status"], line["billed"], line["cost_nano"]) == ("error", status, False, 0)


def test_status_without_a_retry_time_sends_none(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(fault="status", fault_status=429))
    assert "retry-after" not in plain.generate("openai").headers


@WIRES
def test_garbage_is_no_json_and_is_billed(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set("m", Script(fault="garbage"))
    whole = plain.generate(wire)
    assert (whole.status, whole.is_whole) == (200, True)
    with pytest.raises(json.JSONDecodeError):
        json.loads(whole.body)
    data = [each for each in plain.generate(wire, stream=True).data if each != "[DONE]"]
    broken = [number for number, each in enumerate(data) if not _is_json(each)]
    assert len(broken) == 1
    assert 2 < broken[0] < len(data) - 3, "the broken event must stand in the middle"
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [40, 40]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


@WIRES
@STREAMS
def test_over_cap_generates_and_bills_more_than_the_cap(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="over_cap", output_tokens=90, max_output_tokens=50))
    got = plain.generate(wire, stream=is_stream, max_tokens=10)
    assert got.is_whole
    line = _only_line(provider)
    assert (line["cap"], line["output_tokens"], line["ended"]) == (10, 90, "complete")


@WIRES
@STREAMS
def test_never_ends_bills_its_content_and_keeps_sending(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool
) -> None:
    provider.set("m", Script(fault="never_ends", output_tokens=8))
    with plain.ask(wire, stream=is_stream) as connection, connection.getresponse() as response:
        provider.wait(billed=1)
        body = b""
        beat = b": keep-alive\n" if wire == "openai" else b'data: {"type": "ping"}\n'
        while not (body.count(beat) >= 3 if is_stream else body.endswith(b"   ")):
            body += response.read1()
        assert b"DONE" not in body
        assert b"message_stop" not in body
    assert _only_line(provider)["output_tokens"] == 8
    assert plain.send("GET", "/v1/models").status == 200, "the provider must live on when its reader has left"


@WIRES
@pytest.mark.parametrize("size_bytes", [1024, 3_000_000])
def test_long_line_is_as_long_as_asked(provider: ScriptedProvider, plain: Plain, wire: str, size_bytes: int) -> None:
    provider.set("m", Script(fault="long_line", fault_bytes=size_bytes))
    got = plain.generate(wire, stream=True)
    assert size_bytes in [len(line) for line in got.body.split(b"\n")]
    assert len(_visible_text(wire, got.events)) == 160
    whole = plain.generate(wire)
    assert len(whole.body) == size_bytes
    assert whole.json["usage"]
    assert [line["output_tokens"] for line in provider.invoice()["calls"]] == [40, 40]


@WIRES
def test_usage_twice_is_cumulative_and_billed_once(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set("m", Script(fault="usage_twice", reasoning_tokens=10))
    got = plain.generate(wire, stream=True, **ASKED[wire])
    name = "completion_tokens" if wire == "openai" else "output_tokens"
    assert [event["usage"][name] for event in got.events if event.get("usage")] == [30, 50]
    assert _only_line(provider)["output_tokens"] == 50


@WIRES
def test_error_event_ends_a_stream_half_way_and_bills_half(provider: ScriptedProvider, plain: Plain, wire: str) -> None:
    provider.set("m", Script(fault="error_event", run_ahead_tokens=9))
    got = plain.generate(wire, stream=True)
    assert got.is_whole
    assert set(got.events[-1]) >= {"error"}
    assert got.data[-1] != "[DONE]"
    assert len(_visible_text(wire, got.events)) == 80
    line = _only_line(provider)
    assert (line["ended"], line["billed"], line["output_tokens"]) == ("error", True, 20)
    assert plain.generate(wire).json["usage"]


def test_the_sdk_sees_an_error_event_as_an_error(provider: ScriptedProvider) -> None:
    provider.set("m", Script(fault="error_event"))
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIError, match="server had an error"):
            list(stream)


def test_a_fault_goes_away_after_its_times_and_comes_back_with_a_new_script(
    provider: ScriptedProvider, plain: Plain
) -> None:
    script = Script(fault="status", fault_status=500, fault_times=2)
    provider.set("m", script)
    assert [plain.generate("openai").status for _ in range(4)] == [500, 500, 200, 200]
    provider.set("m", script)
    assert plain.generate("openai").status == 500


def test_a_refused_request_uses_up_no_fault(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(fault="status", fault_times=1, max_output_tokens=10))
    assert [plain.generate("openai", max_tokens=cap).status for cap in (11, 10, 10)] == [400, 500, 200]
