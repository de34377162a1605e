"""The promises of the clock that tests move by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bursar.testing import START_NS, FixedClock


def test_time_stands_still_until_someone_advances_it() -> None:
    clock = FixedClock()
    assert [clock(), clock()] == [START_NS, START_NS]


def test_advancing_adds_exactly_what_was_asked() -> None:
    clock = FixedClock(0)
    assert clock.advance(seconds=3) == 3_000_000_000
    assert clock.advance(seconds=0.25, ns=7) == 3_250_000_007
    assert clock() == 3_250_000_007


def test_whole_seconds_lose_nothing_however_many_they_are() -> None:
    assert FixedClock(1).advance(seconds=10**10 + 1) == (10**10 + 1) * 10**9 + 1


def test_a_clock_never_runs_back() -> None:
    clock = FixedClock(1_000)
    with pytest.raises(ValueError, match="never runs back"):
        clock.advance(seconds=-1)
    with pytest.raises(ValueError, match="never runs back"):
        clock.move_to(999)
    assert clock() == 1_000
    assert clock.move_to(1_000) == 1_000


def test_no_step_is_lost_among_threads() -> None:
    clock = FixedClock(0)
    with ThreadPoolExecutor(8) as pool:
        seen = sorted(pool.map(lambda _: clock.advance(ns=1), range(2_000)))
    assert seen == list(range(1, 2_001))
