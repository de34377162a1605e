"""U, the usual answer: p95 of recent ones, doubled where our own cap ended them, never less than 1,024."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.metering.usual import LEAST, RECENT, UNKNOWN, UsualAnswers, UsualKey

KEY = UsualKey("t", "a", "m", "w")


def learnt(*lengths: int) -> int:
    usuals = UsualAnswers()
    for length in lengths:
        usuals.learn(KEY, length)
    return usuals.usual(KEY)


def test_nothing_known_is_4096() -> None:
    assert UsualAnswers().usual(KEY) == UNKNOWN == 4096


@pytest.mark.parametrize(
    ("lengths", "usual"),
    [
        ([10], 1024),
        ([2000], 2000),
        ([2000, 9000], 9000),
        ([2000] * 19 + [9000], 2000),
        ([2000] * 18 + [9000] * 2, 9000),
        ([2000] * 60 + [9000] * 4, 9000),
        ([2000] * 61 + [9000] * 3, 2000),
    ],
)
def test_it_is_the_95th_percentile(lengths: list[int], usual: int) -> None:
    assert learnt(*lengths) == usual


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=100))
def test_it_lies_between_the_least_and_the_longest(lengths: list[int]) -> None:
    usual = learnt(*lengths)
    recent = lengths[-RECENT:]
    assert max(LEAST, sorted(recent)[len(recent) // 2]) <= usual <= max(LEAST, *recent)


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=200))
def test_it_is_the_95th_percentile_of_the_latest_answers_after_each(lengths: list[int]) -> None:
    usuals = UsualAnswers()
    for number, length in enumerate(lengths, 1):
        usuals.learn(KEY, length)
        recent = sorted(lengths[max(0, number - RECENT) : number])
        assert usuals.usual(KEY) == max(LEAST, recent[-(-len(recent) * 95 // 100) - 1])


def test_old_answers_are_forgotten() -> None:
    assert learnt(*[100_000] * RECENT, *[2000] * RECENT) == 2000


def test_keys_do_not_teach_each_other() -> None:
    usuals = UsualAnswers()
    usuals.learn(KEY, 50_000)
    for name in ("tenant", "agent", "model", "wire"):
        assert usuals.usual(KEY._replace(**{name: "other"})) == UNKNOWN


def test_what_one_who_asked_early_learns_is_for_all() -> None:
    usuals = UsualAnswers()
    early, late = usuals.recent(KEY), usuals.recent(KEY)
    early.learn(9_000)
    late.learn(2_000)
    assert (early.is_new, usuals.recent(KEY).is_new, usuals.usual(KEY)) == (True, False, 9_000)


def test_the_least_recently_used_key_goes_first() -> None:
    usuals = UsualAnswers(keys_max=2)
    keys = [KEY._replace(agent=agent) for agent in "abc"]
    usuals.learn(keys[0], 2000)
    usuals.learn(keys[1], 2000)
    usuals.usual(keys[0])
    usuals.learn(keys[2], 2000)
    assert [usuals.usual(key) for key in keys] == [2000, UNKNOWN, 2000]
