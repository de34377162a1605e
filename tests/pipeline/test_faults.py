"""R34 to R38: whatever a provider does, the hold ends by the table, and the client is told.

`invoice <= settled + presumed` is asserted by `assert_sound` after every single one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.gateway.house import DOLLAR, House, house, until, usd

from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.core.provider import Deadlines
from bursar.testing import Rates, Script

WIRES = ["openai", "anthropic"]
SHORT = Deadlines(connect_s=5, first_byte_s=0.3, idle_s=5, total_s=10)
SPEED = 1_000_000


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, [usd(100 * DOLLAR)]) as made:
        yield made


def only(home: House) -> HoldRow:
    """The one call, closed and sound."""
    home.provider.wait(open_calls=0)
    until(lambda: home.balance().held == 0)
    (row,) = home.holds()
    home.assert_sound()
    return row


# --- refused by the provider: nothing was generated, so nothing is counted -------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 529])
def test_a_refusal_by_the_provider_is_handed_on_and_released(
    home: House, wire: str, status: int, is_stream: bool
) -> None:
    home.provider.set("m", Script(fault="status", fault_status=status, retry_after_s=7))
    got = home.ask(wire, stream=is_stream)
    assert got.status == status
    assert got.headers["retry-after"] == "7"
    assert got.message
    row = only(home)
    assert (row.state, row.note.status, row.note.ended) == (State.RELEASED, status, "error")
    assert home.balance().settled == home.balance().presumed == 0
    assert got.headers["x-bursar-call"] == row.id


@pytest.mark.parametrize("status", [408, 504])
def test_a_time_out_that_the_provider_reports_stays_counted(home: House, wire: str, status: int) -> None:
    """The model may have run, whatever the body says."""
    home.provider.set("m", Script(fault="status", fault_status=status))
    assert home.ask(wire).status == status
    row = only(home)
    assert (row.state, row.note.status) == (State.PRESUMED, status)
    assert home.balance().presumed == row.held.cost_nano > 0


# --- no answer: what may have been sent stays counted, and is not tried again ----------------------------------------


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("is_billed", [False, True], ids=["unbilled", "billed"])
def test_a_reset_before_the_answer_is_presumed(home: House, wire: str, is_stream: bool, is_billed: bool) -> None:
    home.provider.set("m", Script(fault="reset_before", fault_billed=is_billed))
    got = home.ask(wire, stream=is_stream)
    assert (got.status, got.headers["x-should-retry"]) == (502, "false")
    assert "broke off" in got.message
    row = only(home)
    assert (row.state, row.note.ended) == (State.PRESUMED, "lost")
    assert home.provider.invoice()["requests"] == 1


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_provider_that_takes_too_long_is_presumed(tmp_path: Path, wire: str, is_stream: bool) -> None:
    script = Script(fault="slow", fault_after_s=60)
    with house(tmp_path, [usd()], scripts={"m": script}, deadlines=SHORT) as home:
        got = home.ask(wire, stream=is_stream, max_tokens=100)
        assert (got.status, got.headers["x-should-retry"]) == (504, "false")
        assert "within 0.3 s" in got.message
        assert only(home).state is State.PRESUMED


def test_a_provider_that_is_not_there_costs_nothing(tmp_path: Path, wire: str) -> None:
    with house(tmp_path, [usd()]) as home:
        home.provider.stop()
        got = home.ask(wire)
        assert got.status == 502
        assert "x-should-retry" not in got.headers  # It was not sent: trying again is safe.
        assert "cannot be reached" in got.message
        until(lambda: home.balance().held == 0)
        assert home.holds()[0].state is State.RELEASED
        assert home.balance().presumed == 0
        assert home.provider.url.removeprefix("http://") not in got.message


def test_a_whole_answer_that_is_cut_is_presumed(home: House, wire: str) -> None:
    home.provider.set("m", Script(fault="cut", fault_after_tokens=20))
    assert home.ask(wire).status == 502
    assert only(home).state is State.PRESUMED


def test_an_answer_that_cannot_be_read_is_handed_on_and_presumed(home: House, wire: str) -> None:
    home.provider.set("m", Script(fault="garbage"))
    got = home.ask(wire)
    assert got.status == 200 and got.body.startswith(b"<html>")
    assert only(home).state is State.PRESUMED


# --- answers that tell too little, too much, or twice ----------------------------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_without_usage_is_settled_at_an_upper_estimate(home: House, wire: str, is_stream: bool) -> None:
    home.provider.set("m", Script(output_tokens=500, fault="no_usage"))
    got = home.ask(wire, stream=is_stream)
    assert got.status == 200 and got.is_whole
    row = only(home)
    assert row.state is State.SETTLED
    assert "estimated" in row.flags
    assert row.settled.output_tokens >= 500
    assert row.settled.cost_nano >= home.invoice_nano() > 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_usage_of_zero_is_zero(home: House, wire: str, is_stream: bool) -> None:
    home.provider.set("m", Script(output_tokens=0, input_tokens=0))
    assert home.ask(wire, stream=is_stream).status == 200
    row = only(home)
    assert row.state is State.SETTLED
    assert "estimated" not in row.flags
    assert row.settled.cost_nano == home.invoice_nano() == 0


def test_a_usage_that_comes_twice_counts_once(home: House, wire: str) -> None:
    home.provider.set("m", Script(output_tokens=400, fault="usage_twice"))
    assert home.ask(wire, stream=True).status == 200
    row = only(home)
    assert row.settled.output_tokens == 400
    assert row.settled.cost_nano == home.invoice_nano()
    assert row.flags == frozenset()


@pytest.mark.parametrize("top_speed", [None, SPEED], ids=["speed unknown", "speed known"])
def test_a_stream_that_is_cut_is_counted_from_above_and_the_client_told(
    tmp_path: Path, wire: str, top_speed: int | None
) -> None:
    script = Script(output_tokens=900, fault="cut", fault_after_tokens=300, tokens_per_s=3000, run_ahead_tokens=50)
    with house(tmp_path, [usd()], scripts={"m": script}, top_speed=top_speed) as home:
        got = home.ask(wire, stream=True, max_tokens=1000)
        assert got.is_whole
        assert b"broke off in the middle" in got.body
        row = only(home)
        assert row.state is (State.PRESUMED if top_speed is None else State.SETTLED)
        assert "estimated" in row.flags
        assert row.note.ended == "lost"


@pytest.mark.parametrize("top_speed", [None, SPEED], ids=["speed unknown", "speed known"])
def test_an_error_event_is_handed_on_and_what_was_generated_is_counted(
    tmp_path: Path, wire: str, top_speed: int | None
) -> None:
    script = Script(output_tokens=900, fault="error_event", tokens_per_s=3000)
    with house(tmp_path, [usd()], scripts={"m": script}, top_speed=top_speed) as home:
        got = home.ask(wire, stream=True, max_tokens=1000)
        assert got.is_whole and b"error" in got.body
        row = only(home)
        assert row.state is (State.PRESUMED if top_speed is None else State.SETTLED)
        assert row.note.ended == "error"


def test_broken_json_in_a_stream_does_not_hide_what_follows(home: House, wire: str) -> None:
    home.provider.set("m", Script(output_tokens=400, fault="garbage"))
    assert home.ask(wire, stream=True).status == 200
    row = only(home)
    assert row.state is State.SETTLED
    assert row.settled.cost_nano == home.invoice_nano()


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_provider_that_passes_its_cap_is_recorded_in_full_and_flagged(
    home: House, wire: str, is_stream: bool
) -> None:
    home.provider.set("m", Script(output_tokens=1500, fault="over_cap"))
    assert home.ask(wire, stream=is_stream, max_tokens=1000).status == 200
    row = only(home)
    assert row.settled.cost_nano == home.invoice_nano() > row.held.cost_nano * 0
    assert row.settled.output_tokens == 1500 > row.held.output_tokens
    assert "bound_violation" in row.flags


def test_a_stream_far_beyond_its_cap_is_cut(tmp_path: Path, wire: str) -> None:
    script = Script(output_tokens=900_000, fault="over_cap", tokens_per_s=100_000, tokens_per_event=100)
    with house(tmp_path, [usd(100 * DOLLAR)], scripts={"m": script}) as home:
        got = home.ask(wire, stream=True, max_tokens=1000)
        assert got.is_whole
        home.provider.wait(open_calls=0)
        (row,) = home.holds()
        assert "cut" in row.flags and row.note.ended == "cut"
        (call,) = home.provider.invoice()["calls"]
        assert call["ended"] == "disconnect" and call["output_tokens"] < 100_000


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_more_input_than_was_estimated_is_recorded_flagged_and_learnt(home: House, wire: str, is_stream: bool) -> None:
    home.provider.set("m", Script(input_tokens=50_000))
    for _ in range(2):
        assert home.ask(wire, stream=is_stream).status == 200
    home.provider.wait(billed=2)
    until(lambda: home.balance().held == 0)
    first, second = home.holds()
    assert "input_over" in first.flags
    assert "input_over" not in second.flags
    assert second.held.input_tokens > 50_000
    assert home.assert_sound().settled == home.invoice_nano()


# --- more than one attempt ------------------------------------------------------------------------------------------


def test_an_attempt_that_may_be_billed_and_its_successor_are_both_counted_in_one_hold(
    tmp_path: Path, wire: str
) -> None:
    """R38. The first is billed and never answers, the second answers."""
    script = Script(output_tokens=50, fault="reset_before", fault_billed=True, fault_times=1)
    with house(tmp_path, [usd()], scripts={"m": script}, attempts=2) as home:
        got = home.ask(wire, max_tokens=100)
        assert got.status == 200
        row = only(home)
        assert home.provider.invoice()["billed"] == 2
        assert row.state is State.SETTLED
        assert {"attempts", "estimated"} <= row.flags
        assert row.settled.requests == 2
        assert home.invoice_nano() <= row.settled.cost_nano <= row.held.cost_nano


def test_two_attempts_that_both_fail_stay_counted_twice(tmp_path: Path, wire: str) -> None:
    script = Script(output_tokens=50, fault="reset_before", fault_billed=True)
    with house(tmp_path, [usd()], scripts={"m": script}, attempts=2) as home:
        assert home.ask(wire, max_tokens=100).status == 502
        row = only(home)
        assert row.state is State.PRESUMED
        assert row.held.output_tokens == 200 and row.held.requests == 2
        assert home.provider.invoice()["billed"] == 2


def test_a_time_out_and_its_successor_are_both_counted(tmp_path: Path, wire: str) -> None:
    script = Script(output_tokens=50, tokens_per_s=None, fault="slow", fault_after_s=30, fault_times=1)
    with house(tmp_path, [usd()], scripts={"m": script}, attempts=2, deadlines=SHORT) as home:
        assert home.ask(wire, max_tokens=100).status == 200
        row = only(home)
        assert row.settled.requests == 2
        assert "attempts" in row.flags


@pytest.mark.parametrize("status", [500, 503])
def test_an_unbilled_failure_and_its_successor_count_once(tmp_path: Path, wire: str, status: int) -> None:
    script = Script(fault="status", fault_status=status, fault_times=1)
    with house(tmp_path, [usd()], scripts={"m": script}, attempts=2) as home:
        assert home.ask(wire).status == 200
        row = only(home)
        assert home.provider.invoice()["requests"] == 2
        assert row.settled.requests == 1
        assert row.flags == frozenset()
        assert home.balance().settled == home.invoice_nano()


def test_a_second_attempt_that_the_budget_has_no_room_for_is_not_made(tmp_path: Path, wire: str) -> None:
    script = Script(output_tokens=50, fault="reset_before", fault_billed=True)
    budget = usd(100 * 10_000 + 1510 * 2_500)
    with house(tmp_path, [budget], scripts={"m": script}, attempts=3) as home:
        assert home.ask(wire, max_tokens=100).status == 502
        assert only(home).state is State.PRESUMED
        assert home.provider.invoice()["requests"] == 1


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_maximum_that_a_refusal_names_is_learnt_and_tried_once_more_in_the_same_hold(
    home: House, wire: str, is_stream: bool
) -> None:
    home.provider.set("m", Script(output_tokens=40, max_output_tokens=2000))
    for _ in range(2):
        assert home.ask(wire, max_tokens=20_000, stream=is_stream).status == 200
    home.provider.wait(billed=2)
    until(lambda: home.balance().held == 0)
    first, second = home.holds()
    assert home.provider.invoice()["requests"] == 3  # Refused, then 2,000; the second call knows it.
    assert first.settled.requests == second.settled.requests == 1
    assert second.held.output_tokens == 2000 == first.note.cap == second.note.cap
    assert home.assert_sound().settled == home.invoice_nano()


# --- through the SDKs -----------------------------------------------------------------------------------------------


def through_sdk(home: House, wire: str, *, is_stream: bool, retries: int = 2) -> Any:
    """Make one call as its SDK does; a stream is read to its end."""
    messages: Any = [{"role": "user", "content": "hello"}]
    if wire == "openai":
        with openai.OpenAI(base_url=f"{home.url}/v1", api_key="k", max_retries=retries) as client:
            if not is_stream:
                return client.chat.completions.create(model="m", messages=messages)
            return list(client.chat.completions.create(model="m", messages=messages, stream=True))
    with anthropic.Anthropic(base_url=home.url, api_key="k", max_retries=retries) as other:
        if not is_stream:
            return other.messages.create(model="m", messages=messages, max_tokens=1000)
        return list(other.messages.create(model="m", messages=messages, max_tokens=1000, stream=True))


def errors_of(wire: str) -> Any:
    return openai if wire == "openai" else anthropic


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_sdk_understands_an_ordinary_answer(home: House, wire: str, is_stream: bool) -> None:
    assert through_sdk(home, wire, is_stream=is_stream)
    assert only(home).settled.cost_nano == home.invoice_nano()


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_sdk_gives_up_at_once_when_the_budget_is_spent(tmp_path: Path, wire: str, is_stream: bool) -> None:
    with house(tmp_path, [usd(0, link="https://example.com/more")]) as home:
        with pytest.raises(errors_of(wire).APIStatusError) as caught:
            through_sdk(home, wire, is_stream=is_stream)
        assert caught.value.status_code == 402
        assert "https://example.com/more" in str(caught.value)
        assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_sdk_does_not_try_again_what_may_be_billed(home: House, wire: str, is_stream: bool) -> None:
    home.provider.set("m", Script(fault="reset_before", fault_billed=True))
    with pytest.raises(errors_of(wire).APIStatusError) as caught:
        through_sdk(home, wire, is_stream=is_stream)
    assert caught.value.status_code == 502
    assert home.provider.invoice()["requests"] == 1
    only(home)


def test_an_sdk_raises_on_an_error_in_a_stream(home: House, wire: str) -> None:
    home.provider.set("m", Script(output_tokens=400, fault="cut", fault_after_tokens=200, tokens_per_s=4000))
    with pytest.raises(errors_of(wire).APIError) as caught:
        through_sdk(home, wire, is_stream=True)
    assert "broke off" in str(caught.value)
    assert home.provider.invoice()["requests"] == 1
    only(home)


def test_an_sdk_sees_the_length_limited_end_of_a_stream_that_was_cut(tmp_path: Path, wire: str) -> None:
    """The budget ends in the middle: no error, but the end that this API gives an answer at its cap."""
    rates = Rates(input=0, cache_read=0, output=10_000_000)
    script = Script(output_tokens=8000, tokens_per_s=4000, tokens_per_event=20, run_ahead_tokens=20, rates=rates)
    other = {**_speed(4000), "scripts": {"m": script}}
    with house(tmp_path, [usd(50_000_000)], **other) as home:
        told = _stream_without_cap(home, wire)
        row = only(home)
        assert row.note.ended in ("cut", "capped")
        assert told in ("length", "max_tokens")


def _speed(tokens_per_s: int) -> dict[str, Any]:
    from bursar.config.settings import PriceRow

    return {"top_speed": tokens_per_s, "prices": (PriceRow("*", "*", False, (("input", "0"), ("output", "10"))),)}


def _stream_without_cap(home: House, wire: str) -> str | None:
    messages: Any = [{"role": "user", "content": "hello"}]
    if wire == "openai":
        with openai.OpenAI(base_url=f"{home.url}/v1", api_key="k") as client:
            chunks = list(client.chat.completions.create(model="m", messages=messages, stream=True))
            reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
            return next((reason for reason in reasons if reason), None)
    with anthropic.Anthropic(base_url=home.url, api_key="k") as other:
        events = list(other.messages.create(model="m", messages=messages, max_tokens=100_000, stream=True))
        return next((event.delta.stop_reason for event in events if event.type == "message_delta"), None)
