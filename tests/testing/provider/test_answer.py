"""What an answer will be: its prompt, its cap, its content."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.testing import Script, ToolCall
from bursar.testing.provider import Units
from bursar.testing.provider.answer import Answer, Ask, plan, prompt_tokens, text_bytes


def _answer(script: Script, cap: int | None = None, *, is_stream: bool = False, prompt_bytes: int = 0) -> Answer:
    return plan(Ask("openai", "m", is_stream, cap, "max_tokens", 1, False, prompt_bytes), script, "id", 0)


@pytest.mark.parametrize(("size_bytes", "tokens"), [(0, 9), (1, 9), (4, 9), (5, 10), (400, 108)])
def test_a_prompt_is_a_token_for_four_bytes_begun_and_eight_more(size_bytes: int, tokens: int) -> None:
    assert prompt_tokens(Script(), size_bytes) == tokens


@pytest.mark.parametrize(
    ("messages", "size_bytes"),
    [
        ([{"role": "user", "content": "hello"}], 5),
        ([{"role": "user", "content": "é€😀"}], 9),
        ([{"role": "user", "content": [{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]}], 3),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 999}}]}], 0),
        ([{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "A" * 999}}]}], 0),
        ([{"role": "tool", "tool_call_id": "call_1", "content": "done"}], 4),
        ([{"role": "user", "content": "\ud800"}], 3),
    ],
    ids=ascii,
)
def test_text_is_counted_in_utf8_bytes_and_nothing_else_is(messages: Any, size_bytes: int) -> None:
    assert text_bytes(messages, None, None) == size_bytes
    assert text_bytes(messages, "sys", None) == size_bytes + 3
    assert text_bytes(messages, [{"type": "text", "text": "sys"}], [{"a": 1}]) == size_bytes + 3 + len('[{"a":1}]')


@pytest.mark.parametrize(
    ("script", "cap", "total", "visible", "is_length"),
    [
        (Script(output_tokens=40), None, 40, 40, False),
        (Script(output_tokens=40), 40, 40, 40, False),
        (Script(output_tokens=40), 39, 39, 39, True),
        (Script(output_tokens=40, reasoning_tokens=10), 45, 45, 35, True),
        (Script(output_tokens=40, reasoning_tokens=10), 7, 7, 0, True),
        (Script(output_tokens=40, max_output_tokens=30), None, 30, 30, True),
        (Script(output_tokens=40, max_output_tokens=30), 20, 20, 20, True),
        (Script(output_tokens=40, fault="over_cap"), 20, 40, 40, False),
    ],
    ids=str,
)
def test_reasoning_uses_the_cap_first_and_the_cap_ends_the_answer(
    script: Script, cap: int | None, total: int, visible: int, is_length: bool
) -> None:
    answer = _answer(script, cap)
    assert (answer.total_tokens, answer.visible_tokens, answer.is_length) == (total, visible, is_length)
    assert len(answer.text) == 4 * visible


def test_a_prompt_splits_into_disjoint_parts() -> None:
    fixed = Script(input_tokens=100, cached_input_tokens=60, cache_write_tokens=30)
    assert _answer(fixed).units(5) == Units(10, 60, 30, 5)
    counted = Script(cached_input_tokens=7, cache_write_tokens=30)
    assert _answer(counted, prompt_bytes=8).units(5) == Units(0, 7, 3, 5)


@pytest.mark.parametrize("per_event", [1, 3, 4, 100])
@pytest.mark.parametrize("script", [{}, {"text": "Grüße, 世界"}, {"tool_call": ToolCall("f", '{"a": 1}')}], ids=str)
def test_the_events_together_are_the_content(script: dict[str, Any], per_event: int) -> None:
    answer = _answer(Script(output_tokens=10, tokens_per_event=per_event, **script))
    assert (
        b"".join(answer.events).replace(b'""', b"").strip(b'"').decode("unicode_escape").replace('\\"', '"')
        == answer.text
    )
    assert len(answer.events) == -(-10 // per_event)


def test_a_literal_is_complete_when_all_its_tokens_are_generated_and_cut_when_not() -> None:
    script = Script(output_tokens=4, text="abcdefgh")
    assert _answer(script).text == "abcdefgh"
    assert _answer(script, 3).text == "abcdef"


def test_an_event_is_ready_when_its_last_token_is() -> None:
    answer = _answer(Script(output_tokens=10, reasoning_tokens=5, tokens_per_event=4))
    ready = [answer.events_ready(tokens) for tokens in (0, 5, 8, 9, 12, 13, 14, 15)]
    assert ready == [0, 0, 0, 1, 1, 2, 2, 3]
    assert [answer.tokens_at_event(events) for events in (1, 2, 3)] == [9, 13, 15]
