"""A program's holds go ahead of closes that wait, and nothing it is stopped by, told or shown comes later for that."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.client.house import ASKED, PRICES, House, house

import bursar
from bursar.client.runtime import runtime
from bursar.core.hold import State
from bursar.stores.joined import AHEAD_MAX, InlineStore
from bursar.testing import Rates, Script, ToolCall

RATES = Rates(input=0, cache_read=0, output=50_000_000)
FIFTH = Script(output_tokens=4_000, rates=RATES)
"""What costs a fifth of a dollar, and a quarter at most."""
TOOL = Script(tool_call=ToolCall("search", '{"q": "x"}'), output_tokens=8, rates=RATES)
TOOLS: Any = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}]


@contextlib.contextmanager
def held_up() -> Iterator[None]:
    """Keep the ledger's own thread from writing what waits, as on a busy machine."""
    face = runtime.engine()._face
    assert isinstance(face, InlineStore)
    with face._turn:
        yield


def guards(**limits: str) -> str:
    """Write a configuration with these guards, and no other."""
    off = dict.fromkeys(("steps", "tool_calls", "tokens", "cost", "spend_per_minute", "parallel", "loops"), "off")
    return f"{PRICES}guards: {{{', '.join(f'{name}: {limit}' for name, limit in (off | limits).items())}}}\n"


def states(home: House) -> list[State]:
    return [hold.state for hold in home.holds() if not hold.is_unused]


def test_the_eighth_call_writes_what_waits_and_a_look_sees_it_all(tmp_path: Path) -> None:
    with house(tmp_path, FIFTH) as home:
        with bursar.budget("$50") as budget, httpx2.Client() as client, held_up():
            for _ in range(AHEAD_MAX + 1):
                client.post(home.chat_url, json=ASKED)
            assert states(home) == [State.OPEN] * (AHEAD_MAX + 1)
            client.post(home.chat_url, json=ASKED)
            assert states(home) == [State.SETTLED] * (AHEAD_MAX + 1) + [State.OPEN]
            client.post(home.chat_url, json=ASKED)
            calls = AHEAD_MAX + 3
            assert (budget.spent, budget.calls) == (Decimal("0.20") * calls, calls)
            assert states(home) == [State.SETTLED] * calls
        home.assert_sound()


def test_to_the_last_cent_as_without(tmp_path: Path) -> None:
    with house(tmp_path, FIFTH) as home:
        with bursar.budget("$2") as budget, httpx2.Client() as client, held_up():
            statuses = [client.post(home.chat_url, json=ASKED).status_code for _ in range(11)]
        # After nine calls $0.20 are left: the tenth is held with what that pays for.
        assert statuses == [200] * 10 + [402]
        assert budget.spent == Decimal("2.00")
        home.assert_sound()


def test_tool_calls_are_counted_before_the_next_call(tmp_path: Path) -> None:
    with house(tmp_path, TOOL, configuration=guards(tool_calls="2")) as home:
        with bursar.budget("$50", run="r"), httpx2.Client() as client, held_up():
            statuses = [client.post(home.chat_url, json={**ASKED, "tools": TOOLS}).status_code for _ in range(3)]
        assert (statuses, home.requests) == ([200, 200, 402], 2)
        home.assert_sound()


@pytest.mark.parametrize(
    ("guard", "limit", "expected"),
    [
        ("steps", "5", 5),
        ("parallel", "1", 8),
        ("cost", "$1", 5),
        ("tokens", "20500", 5),
        ("spend_per_minute", "$0.8", 4),
    ],
)
def test_other_guards_stop_a_run_where_they_would(tmp_path: Path, guard: str, limit: str, expected: int) -> None:
    with house(tmp_path, FIFTH, configuration=guards(**{guard: limit})) as home:
        with bursar.budget("$50", run="r"), httpx2.Client() as client, held_up():
            statuses = [client.post(home.chat_url, json=ASKED).status_code for _ in range(8)]
        assert statuses.count(200) == expected == home.requests
        home.assert_sound()


def test_a_rung_is_stepped_on_by_what_was_spent(tmp_path: Path) -> None:
    with house(tmp_path, FIFTH, configuration=guards(cost="{limit: $2, on_trip: note at 15%}")) as home:
        with bursar.budget("$50", run="r"), httpx2.Client() as client, held_up():
            for _ in range(3):
                client.post(home.chat_url, json=ASKED)
        bodies = [json.loads(each["body"]) for each in home.provider.requests()]
        noted = ["Budget notice" in body["messages"][-1]["content"] for body in bodies]
        assert noted == [False, False, True]
