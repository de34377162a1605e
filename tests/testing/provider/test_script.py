"""A script is valid or cannot be made, and survives its JSON form."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.testing import Rates, Script, ToolCall


@pytest.mark.parametrize(
    "fields",
    [
        {"output_tokens": -1},
        {"output_tokens": 1.5},
        {"output_tokens": True},
        {"tokens_per_event": 0},
        {"tokens_per_s": 0},
        {"tokens_per_s": float("nan")},
        {"first_byte_s": -0.1},
        {"first_byte_s": float("inf")},
        {"input_tokens": 5, "cached_input_tokens": 4, "cache_write_tokens": 2},
        {"max_output_tokens": 0},
        {"fault": "explode"},
        {"fault_status": 200},
        {"fault_status": 600},
        {"fault_bytes": 10},
        {"fault_times": -1},
        {"fault_billed": 1},
        {"retry_after_s": -1},
        {"text": "a", "tool_call": ToolCall("f")},
        {"text": 5},
    ],
    ids=str,
)
def test_an_invalid_script_cannot_be_made(fields: dict[str, Any]) -> None:
    name = next(iter(fields)) if "tool_call" not in fields else "text"
    with pytest.raises(ValueError, match=name):
        Script(**fields)


@pytest.mark.parametrize("fields", [{"input": -1}, {"output": 0.5}, {"cache_write": -1}], ids=str)
def test_rates_are_whole_numbers_that_are_not_negative(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Rates(**fields)


def test_a_script_survives_its_json_form() -> None:
    script = Script(
        output_tokens=7,
        tool_call=ToolCall("f", "{}"),
        rates=Rates(input=1, cache_write=9),
        fault="cut",
        fault_times=2,
        tokens_per_s=1.5,
    )
    assert Script.from_json(script.to_json()) == script
    assert Script.from_json({}) == Script()


@pytest.mark.parametrize(
    "data", [{"outptu_tokens": 1}, {"rates": {"outptu": 1}}, {"tool_call": {"nmae": "f"}}, {"rates": 5}], ids=str
)
def test_what_a_script_does_not_know_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown keys|must be an object"):
        Script.from_json(data)
