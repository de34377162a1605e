"""What is nearly right is refused or understood: no 500, nothing lost, nothing left behind (at length: `scripts/soak`).

A failure names its seed, and the check with `random.Random(seed)` makes the same input again.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.security.fuzzed.answers import KNOWN as WHOLE
from tests.security.fuzzed.answers import check_answer
from tests.security.fuzzed.bodies import BodyFuzz
from tests.security.fuzzed.heads import HeadFuzz
from tests.security.fuzzed.provided import EVENTS
from tests.security.fuzzed.streams import KNOWN, check_stream
from tests.security.fuzzed.texts import check_config, check_price

from bursar.core.usage import Usage
from bursar.wire.responses_shown import KEPT_BYTES_MAX

SEEDS = st.integers(0, 2**48)
USAGE = Usage(input_tokens=5, output_tokens=7)


def few(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def bodies() -> Iterator[BodyFuzz]:
    with BodyFuzz() as fuzz:
        yield fuzz


@pytest.fixture(scope="module")
def heads() -> Iterator[HeadFuzz]:
    with HeadFuzz() as fuzz:
        yield fuzz


@few(250)
@given(seed=SEEDS)
def test_bodies_of_every_api_are_refused_or_answered_and_leave_nothing_behind(bodies: BodyFuzz, seed: int) -> None:
    bodies.check(Random(seed))


@few(150)
@given(seed=SEEDS)
def test_heads_are_refused_or_answered(heads: HeadFuzz, seed: int) -> None:
    heads.check(Random(seed))


@few(300)
@given(seed=SEEDS)
def test_streams_pass_byte_for_byte_however_they_are_split(seed: int) -> None:
    check_stream(Random(seed))


@few(400)
@given(seed=SEEDS)
def test_whole_answers_and_errors_are_understood_or_not(seed: int) -> None:
    check_answer(Random(seed))


@few(60)
@given(seed=SEEDS)
def test_configuration_is_taken_or_refused_with_its_place(seed: int) -> None:
    check_config(Random(seed))


@few(200)
@given(seed=SEEDS)
def test_a_price_is_exact_or_refused(seed: int) -> None:
    check_price(Random(seed))


# --- what it has found ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [628879674, 628880211])
def test_line_ends_that_are_mixed_are_understood_alike_in_any_split(seed: int) -> None:
    check_stream(Random(seed))


HALF = "\ud83d"
"""Half of a surrogate pair: models write one when they stop in the middle of a letter."""
FOUND_WHOLE = [
    ("anthropic", {"type": "message", "content": [{"type": ["text"], "text": "x"}], "usage": {"input_tokens": 1}}),
    ("anthropic", {"type": "message", "content": [], "usage": {"input_tokens": 1, "service_tier": {}}}),
    ("anthropic", {"type": "message", "content": [{"type": "tool_use", "input": {"q": HALF}}]}),
    ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"args": {"q": HALF}}}]}}]}),
]
FOUND_STREAMED = [
    ("anthropic", {"type": "content_block_stop", "index": [0]}),
    ("anthropic", {"type": "content_block_start", "index": 0, "content_block": {"type": {}}}),
    ("openai", {"choices": [{"delta": {"tool_calls": 5}}]}),
    ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"args": {"q": HALF}}}]}}]}),
]


@pytest.mark.parametrize(("name", "value"), FOUND_WHOLE)
def test_an_odd_answer_is_read(name: str, value: object) -> None:
    wire, request = WHOLE[name]
    assert wire.read_whole(request, json.dumps(value).encode()) is not None


@pytest.mark.parametrize(("name", "value"), FOUND_STREAMED)
def test_an_odd_event_passes(name: str, value: object) -> None:
    wire, request = KNOWN[name][0]
    event = b"data: " + json.dumps(value).encode() + b"\n\n"
    reader = wire.reader(request)
    assert reader.feed(event) == event
    assert reader.cut(USAGE)


@pytest.mark.parametrize("depth", [300, 600, 900, 960, 990, 100_000])
@pytest.mark.parametrize("name", KNOWN)
def test_however_deep_an_answer_nests_it_is_read_or_not_understood(name: str, depth: int) -> None:
    for deep in ('{"a":' * depth + '"x"' + "}" * depth, "[" * depth + "]" * depth):
        wire, request = KNOWN[name][0]
        reader = wire.reader(request)
        raw = b"".join(
            b"data: " + json.dumps(value).replace('"hello"', deep).replace("{}", deep).encode() + b"\n\n"
            for value in EVENTS[name]
        )
        passed = reader.feed(raw) + reader.rest()
        assert passed == raw if request.wants_usage else raw.startswith(passed[:1_000])
        reader.answer()
        reader.cut(USAGE)
        whole = json.dumps({"output": [5], "choices": [5], "candidates": [5], "content": [5], "type": "message"})
        wire.read_whole(request, whole.replace("5", deep).encode())


@pytest.mark.parametrize("name", KNOWN)
def test_a_reader_keeps_no_more_than_its_limit_of_an_endless_stream(name: str) -> None:
    """Each event is another one: indexes, ids and texts never come twice."""
    wire, request = KNOWN[name][0]
    reader = wire.reader(request)
    events = [
        json.dumps(value) for value in EVENTS[name] if "error" not in value and value.get("type") != "message_stop"
    ]
    events = [event.replace('"hello"', '"' + "x" * 4_000 + '"') for event in events]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(700):
            for event in events:
                other = event.replace('index": 0', f'index": {number}').replace('index": 1', f'index": {-number}')
                reader.feed(b"data: " + other.encode() + b"\n\n")
        assert tracemalloc.get_traced_memory()[0] - before < KEPT_BYTES_MAX + 8 * 2**20
    finally:
        tracemalloc.stop()
