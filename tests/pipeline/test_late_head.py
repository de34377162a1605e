"""A stream whose head comes late: time spends money before the first byte does, and never more than is held."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.gateway.house import Got, House, house, until, usd

from bursar.core.hold import State
from bursar.testing import Script

SPEED = 3_000
LIMIT = 100_000_000
WIRES = ["openai", "anthropic", "responses", "gemini"]
LATE = Script(output_tokens=8_000, tokens_per_s=2_500, tokens_per_event=50, head_after_tokens=6_000)
LOST = Script(output_tokens=6_000, first_byte_s=2.0, fault="reset_before", fault_billed=True)
WARM = Script(output_tokens=200)


def ask(home: House, wire: str) -> Got:
    """Ask without a cap of the client's own that would be held whole."""
    cap = 64_000 if wire == "anthropic" else None
    return home.ask(wire, stream=True, max_tokens=cap)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("script", [LATE, LOST], ids=["late", "lost"])
def test_calls_that_await_their_heads_together_never_cost_more_than_is_held(
    tmp_path: Path, wire: str, script: Script
) -> None:
    with house(tmp_path, [usd(LIMIT)], scripts={"m": WARM}, top_speed=SPEED) as home:
        for _ in range(3):
            assert ask(home, wire).status == 200
        home.provider.set("m", script)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(home, wire), range(8)))
        home.provider.wait(open_calls=0)
        until(lambda: home.balance().held == 0)
        balance = home.assert_sound()
        assert home.invoice_nano() <= balance.settled + balance.presumed <= LIMIT
        assert all(got.status in (200, 402, 502) for got in answers)


def test_a_lone_call_is_extended_while_it_waits_and_answered_whole(tmp_path: Path) -> None:
    with house(tmp_path, [usd(10**12)], scripts={"m": LATE}, top_speed=SPEED) as home:
        got = ask(home, "openai")
        assert got.status == 200
        (row,) = home.holds()
        assert (row.state, row.note.ended) == (State.SETTLED, "complete")
        assert row.settled.cost_nano == home.invoice_nano()
        assert "bound_violation" not in row.flags


def test_calls_whose_money_ends_before_their_heads_are_refused_once_and_their_connections_closed(
    tmp_path: Path,
) -> None:
    """Each is sent what the budget has for it alone, and they spend it together."""
    slow = Script(output_tokens=60_000, tokens_per_s=2_500, head_after_tokens=50_000)
    budget = usd(2 * LIMIT, link="https://ask.example")
    with house(tmp_path, [budget], scripts={"m": slow}, top_speed=SPEED) as home:
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: ask(home, "openai"), range(3)))
        home.provider.wait(open_calls=0)
        refused = [got for got in answers if got.status == 402]
        assert refused
        for got in refused:
            assert got.headers["x-should-retry"] == "false"
            assert "one" in got.message and "https://ask.example" in got.message
        cut = [row for row in home.holds() if row.note.ended == "cut"]
        assert len(cut) == len(refused)
        assert all("cut" in row.flags for row in cut)
        assert home.provider.invoice()["requests"] == 3
        assert home.invoice_nano() <= home.assert_sound().settled <= 2 * LIMIT


def test_a_second_attempt_counts_all_that_the_first_may_have_cost(tmp_path: Path) -> None:
    lost_once = Script(output_tokens=6_000, first_byte_s=2.0, fault="reset_before", fault_billed=True, fault_times=1)
    with house(tmp_path, [usd(10**12)], scripts={"m": lost_once}, top_speed=SPEED, attempts=2) as home:
        assert ask(home, "openai").status == 200
        home.provider.wait(open_calls=0)
        assert home.invoice_nano() <= home.assert_sound().settled
