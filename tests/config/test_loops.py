"""`guards: loops:` is read strictly, and what is wrong with it is said with its place."""

from __future__ import annotations

import pytest
from tests.guards.kit import guards_of

from bursar.core.guards import Act, LadderStep, LoopRule
from bursar.core.loops import LOOPS, LoopSettings
from bursar.errors import ConfigError


def test_loops_are_a_guard_like_the_others() -> None:
    assert guards_of("default").loops == LoopRule()
    assert guards_of("{steps: 5}").loops == LoopRule()
    assert guards_of("{loops: off}").loops is None
    assert guards_of("off").loops is None
    assert not guards_of("off")


def test_thresholds_are_set_one_by_one() -> None:
    rule = guards_of("{loops: {row: 3, cycle: off, stale: $2, match: {agent: a}, on_trip: [warn, warn, park]}}").loops
    assert rule is not None
    assert rule.settings == LoopSettings(row=3, cycle=0, stale_nano=2_000_000_000)
    assert rule.match == (("agent", ("a",)),)
    assert [step.act for step in rule.ladder] == [Act.WARN, Act.WARN, Act.PARK]


def test_acts_come_in_their_order_and_end_with_a_stop() -> None:
    rule = guards_of("{loops: {on_trip: [model small, note]}}").loops
    assert rule is not None
    assert [(step.act, step.model) for step in rule.ladder] == [(Act.MODEL, "small"), (Act.NOTE, ""), (Act.STOP, "")]
    assert guards_of("{loops: {on_trip: park}}").loops == LoopRule(ladder=(LadderStep(Act.PARK),))


def test_without_a_ladder_of_its_own_it_takes_the_sections() -> None:
    rule = guards_of("{on_trip: [warn at 50%, note, park], match: {team: x}}").loops
    assert rule is not None
    assert [step.act for step in rule.ladder] == [Act.WARN, Act.NOTE, Act.PARK]
    assert (rule.match, rule.settings) == ((("team", ("x",)),), LOOPS)
    assert LoopRule().ladder == (LadderStep(Act.STOP),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loops: on", "nothing that loops can be"),
        ("loops: {row: 1}", "whole number from 2 to 40"),
        ("loops: {rows: 5}", "rows"),
        ("loops: {stale: 5 tokens}", "5 tokens"),
        ("loops: {on_trip: [warn at 50%, stop]}", "loops have no percentage"),
        ("loops: {on_trip: [stop, warn]}", "nothing comes after park or stop"),
        ("loops: {on_trip: [shout]}", "is no act of a guard"),
        ("loops: {cycle: 9}", "from 2 to 8"),
    ],
)
def test_what_is_wrong_is_told(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        guards_of(f"{{{text}}}")
