"""A client that leaves is billed for what was generated, and for what the provider ran ahead."""

from __future__ import annotations

import time

import pytest
from tests.testing.provider.plain import HELLO_TOKENS, Plain

from bursar.testing import Script, ScriptedProvider

WIRES = pytest.mark.parametrize("wire", ["openai", "anthropic"])
STALLED = 0.001
"""A pace at which no token appears while a test runs, so that the bill is known to the token."""


@WIRES
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("run_ahead", "cap", "billed"), [(0, 50, 0), (7, 50, 7), (900, 50, 50), (900, 9_000, 200)])
def test_leaving_before_the_first_byte_bills_the_prompt_and_the_run_ahead(
    provider: ScriptedProvider, plain: Plain, wire: str, is_stream: bool, run_ahead: int, cap: int, billed: int
) -> None:
    provider.set("m", Script(output_tokens=200, first_byte_s=3_600, run_ahead_tokens=run_ahead))
    with plain.ask(wire, stream=is_stream, max_tokens=cap):
        provider.wait(open_calls=1)
    provider.wait(billed=1)
    (line,) = provider.invoice()["calls"]
    assert (line["ended"], line["status"], line["input_tokens"]) == ("disconnect", None, HELLO_TOKENS)
    assert line["output_tokens"] == billed
    assert line["cost_nano"] == HELLO_TOKENS * 2_500 + billed * 10_000


@WIRES
def test_leaving_a_stream_bills_the_run_ahead_of_every_choice(
    provider: ScriptedProvider, plain: Plain, wire: str
) -> None:
    provider.set("m", Script(output_tokens=200, tokens_per_s=STALLED, run_ahead_tokens=7))
    choices = 2 if wire == "openai" else None
    with plain.ask(wire, stream=True, n=choices) as connection, connection.getresponse() as response:
        assert response.readline()
    provider.wait(billed=1)
    (line,) = provider.invoice()["calls"]
    assert (line["ended"], line["output_tokens"]) == ("disconnect", 7 * (choices or 1))


@WIRES
def test_leaving_in_the_middle_bills_at_least_what_was_seen_and_at_most_what_time_allowed(
    provider: ScriptedProvider, plain: Plain, wire: str
) -> None:
    pace = 400
    provider.set("m", Script(output_tokens=100_000, tokens_per_s=pace, tokens_per_event=1))
    started_s = time.monotonic()
    with plain.ask(wire, stream=True) as connection, connection.getresponse() as response:
        seen = 0
        while seen < 20:
            line = response.readline()
            seen += (b'"content":"' in line and b'"content":""' not in line) or b"text_delta" in line
    provider.wait(billed=1)
    most = (time.monotonic() - started_s) * pace
    (call,) = provider.invoice()["calls"]
    assert call["ended"] == "disconnect"
    assert 20 <= call["output_tokens"] <= most


def test_leaving_after_all_was_generated_bills_all_of_it_as_complete(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=200_000))
    with plain.ask("openai", stream=True) as connection, connection.getresponse() as response:
        response.readline()
    provider.wait(billed=1, open_calls=0)
    (line,) = provider.invoice()["calls"]
    assert (line["ended"], line["output_tokens"]) == ("complete", 200_000)


def test_generating_and_billing_do_not_wait_for_a_reader_that_reads_nothing(
    provider: ScriptedProvider, plain: Plain
) -> None:
    provider.set("m", Script(output_tokens=200_000, tokens_per_s=2_000_000, tokens_per_event=1))
    with plain.ask("openai", stream=True):  # The answer is far larger than any socket buffer.
        provider.wait(billed=1)
        (line,) = provider.invoice()["calls"]
        assert (line["ended"], line["output_tokens"]) == ("complete", 200_000)


def test_a_call_in_flight_shows_what_it_has_generated(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(output_tokens=1_000, tokens_per_s=STALLED))
    with plain.ask("openai", stream=True, max_tokens=77):
        provider.wait(open_calls=1)
        report = provider.invoice()
        assert (report["requests"], report["calls"], report["total_nano"]) == (1, [], 0)
        (line,) = report["open"]
        assert (line["model"], line["cap"], line["stream"], line["generated_tokens"]) == ("m", 77, True, 0)
    provider.wait(open_calls=0)
    assert provider.invoice()["open"] == []


def test_a_client_that_leaves_while_sending_has_not_arrived(provider: ScriptedProvider, plain: Plain) -> None:
    with plain.open("POST", "/v1/chat/completions", b"{", {"content-length": "1000"}):
        pass
    assert plain.generate("openai").status == 200
    report = provider.invoice()
    assert (report["requests"], report["ended"]) == (1, 1)
