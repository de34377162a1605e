"""Overlapping counters become disjoint leaves whose sums are the provider's totals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.usage import Usage
from bursar.wire.usage import anthropic_input, anthropic_usage, openai_cost, openai_usage

COUNT = st.integers(0, 10**9)


def chat(prompt: object, completion: object, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def test_input_includes_cached_and_audio_and_output_includes_reasoning() -> None:
    raw = chat(
        100,
        50,
        total_tokens=150,
        prompt_tokens_details={"cached_tokens": 40, "audio_tokens": 10},
        completion_tokens_details={"reasoning_tokens": 20, "audio_tokens": 5, "rejected_prediction_tokens": 7},
    )
    usage = openai_usage(raw)
    assert usage == Usage(
        input_tokens=50,
        cache_read_tokens=40,
        input_audio_tokens=10,
        output_tokens=25,
        reasoning_tokens=20,
        output_audio_tokens=5,
    )
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (100, 50)


def test_cached_audio_is_inside_cached_and_inside_audio() -> None:
    details = {"cached_tokens": 40, "audio_tokens": 30, "cached_tokens_details": {"audio_tokens": 20}}
    usage = openai_usage(chat(100, 0, prompt_tokens_details=details))
    assert usage is not None
    assert (usage.cache_read_tokens, usage.cache_read_audio_tokens) == (20, 20)
    assert (usage.input_audio_tokens, usage.input_tokens) == (10, 50)
    assert usage.input_total == 100


@given(COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT)
def test_the_leaves_sum_to_the_totals(
    text: int, cached: int, audio: int, written: int, said: int, thought: int, spoken: int
) -> None:
    prompt, completion = text + cached + audio + written, said + thought + spoken
    details = {"cached_tokens": cached, "audio_tokens": audio, "cache_write_tokens": written}
    made = {"reasoning_tokens": thought, "audio_tokens": spoken}
    raw = chat(prompt, completion, prompt_tokens_details=details, completion_tokens_details=made)
    usage = openai_usage({**raw, "total_tokens": prompt + completion})
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (prompt, completion)
    assert (usage.input_tokens, usage.cache_write_tokens, usage.output_tokens) == (text, written, said)


def test_explicit_zero_is_zero() -> None:
    assert openai_usage(chat(0, 0)) == Usage()
    assert anthropic_usage({"input_tokens": 0, "output_tokens": 0}) == Usage()


@pytest.mark.parametrize("bad", [-1, True, 1.0, "1", None, 2**63, [], {}])
def test_a_counter_that_is_no_whole_number_is_not_told(bad: object) -> None:
    assert openai_usage(chat(bad, 1)) is None
    assert openai_usage(chat(1, bad)) is None
    assert anthropic_usage({"input_tokens": bad, "output_tokens": 1}) is None
    assert anthropic_usage({"input_tokens": 1, "output_tokens": bad}) is None
    if bad is not None:
        assert anthropic_usage({"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": bad}) is None
    if type(bad) is not dict and bad is not None:
        assert openai_usage(chat(9, 9, prompt_tokens_details={"cached_tokens": bad})) is None


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        "usage",
        [],
        {},
        {"total_tokens": 5},
        chat(10, 5, prompt_tokens_details={"cached_tokens": 11}),
        chat(10, 5, prompt_tokens_details={"cached_tokens": 6, "audio_tokens": 5}),
        chat(10, 5, total_tokens=15, completion_tokens_details={"reasoning_tokens": 6}),
        chat(10, 5, completion_tokens_details={"audio_tokens": 6}),
    ],
)
def test_what_would_leave_a_negative_leaf_is_not_told(raw: object) -> None:
    assert openai_usage(raw) is None


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "input_tokens",
                "output_tokens",
                "iterations",
                "prompt_tokens_details",
                "completion_tokens_details",
                "cache_creation",
                "cost",
                "is_byok",
                "cost_details",
                "cost_in_usd_ticks",
                "server_tool_use",
                "cache_read_input_tokens",
            ]
        ),
        st.none()
        | st.integers()
        | st.floats()
        | st.text(max_size=3)
        | st.booleans()
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(
            st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens", "web_search_requests"]),
            st.integers() | st.none() | st.floats(),
            max_size=3,
        ),
    )
)
def test_no_usage_object_ever_raises(raw: dict[str, Any]) -> None:
    openai_usage(raw)
    anthropic_usage(raw)
    anthropic_input(raw)
    openai_cost(raw)


def test_other_names_for_cached_tokens() -> None:
    deepseek = openai_usage(chat(10, 5, prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=6))
    moonshot = openai_usage(chat(10, 5, cached_tokens=4))
    assert deepseek == moonshot == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)


def test_reasoning_that_stands_outside_of_the_completion_is_still_billed() -> None:
    xai = openai_usage(chat(32, 9, total_tokens=135, completion_tokens_details={"reasoning_tokens": 94}))
    gemini = openai_usage(chat(32, 9, total_tokens=135))
    assert xai == gemini == Usage(input_tokens=32, output_tokens=9, reasoning_tokens=94)


def test_written_tokens_never_overlap_what_was_read() -> None:
    usage = openai_usage(chat(100, 1, prompt_tokens_details={"cached_tokens": 80, "cache_write_tokens": 100}))
    assert usage == Usage(cache_read_tokens=80, cache_write_tokens=20, output_tokens=1)


def test_messages_input_excludes_the_cache_and_writes_split_by_lifetime() -> None:
    raw = {
        "input_tokens": 10,
        "cache_read_input_tokens": 200,
        "cache_creation_input_tokens": 75,
        "cache_creation": {"ephemeral_5m_input_tokens": 25, "ephemeral_1h_input_tokens": 50},
        "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 12},
        "server_tool_use": {"web_search_requests": 3},
    }
    usage = anthropic_usage(raw)
    assert usage == Usage(
        input_tokens=10,
        cache_read_tokens=200,
        cache_write_tokens=25,
        cache_write_1h_tokens=50,
        output_tokens=18,
        reasoning_tokens=12,
        web_searches=3,
    )
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (285, 30)
    assert anthropic_input(raw) == Usage(
        input_tokens=10, cache_read_tokens=200, cache_write_tokens=25, cache_write_1h_tokens=50, web_searches=3
    )


def test_writes_of_an_untold_lifetime_follow_the_request() -> None:
    raw = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9}
    ordinary, long = anthropic_usage(raw), anthropic_usage(raw, is_1h_asked=True)
    assert ordinary is not None
    assert long is not None
    assert (ordinary.cache_write_tokens, ordinary.cache_write_1h_tokens) == (9, 0)
    assert (long.cache_write_tokens, long.cache_write_1h_tokens) == (0, 9)


def test_iterations_are_summed_since_the_top_level_omits_compaction() -> None:
    raw = {
        "input_tokens": 23_000,
        "output_tokens": 1_000,
        "iterations": [
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
            {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000, "cache_read_input_tokens": 5},
        ],
        "server_tool_use": {"web_search_requests": 1},
    }
    usage = anthropic_usage(raw)
    assert usage == Usage(input_tokens=203_000, cache_read_tokens=5, output_tokens=4_500, web_searches=1)
    assert anthropic_usage({**raw, "iterations": None}) == Usage(
        input_tokens=23_000, output_tokens=1_000, web_searches=1
    )
    assert anthropic_usage({**raw, "iterations": ["odd"]}) is None


@pytest.mark.parametrize(
    ("raw", "nano"),
    [
        ({"cost": 0.00095}, 950_000),
        ({"cost": 1e-10}, 1),
        ({"cost": 0.1 + 0.2}, 300_000_001),
        ({"cost": 2}, 2_000_000_000),
        ({"cost": 0}, None),
        ({"cost": 0.0}, None),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": "1"}, None),
        ({"cost": float("nan")}, None),
        ({"cost": float("inf")}, None),
        ({"cost": 1e300}, None),
        ({"cost": {"total_cost": 0.5}}, 500_000_000),
        ({"cost_in_usd_ticks": 37_756_000}, 3_775_600),
        ({"cost_in_usd_ticks": 1}, 1),
        ({"cost_in_usd_ticks": 0}, None),
        ({"cost": 0.01, "is_byok": True}, None),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, 210_000_000),
        ({"cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}, 10_000_000),
        (None, None),
    ],
)
def test_a_reported_cost_is_read_exactly_and_rounded_up(raw: object, nano: int | None) -> None:
    assert openai_cost(raw) == nano
