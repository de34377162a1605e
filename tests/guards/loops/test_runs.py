"""Loops are caught within the stated number of steps, and runs that go well are left alone, on every wire."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.guards.loops.runs import (
    KINDS,
    TRAJECTORIES,
    WIRES,
    Planter,
    Run,
    Step,
    caught_after,
    findings,
    planted,
    real_runs,
    within,
)

from bursar.core.loops import LOOPS
from bursar.guards.loops.rules import Rule

SEEDS = range(6)


@pytest.mark.parametrize("wire", WIRES)
def test_no_real_run_that_ended_well_is_stopped(wire: str) -> None:
    if not TRAJECTORIES.is_dir():
        pytest.skip(f"no real runs at {TRAJECTORIES}")
    runs = real_runs()
    assert len(runs) == 144
    assert sum(len(run.steps) for run in runs) > 1_500
    stopped = {run.id: found for run in runs for _, found in findings(wire, run) if found}
    assert stopped == {}


PROMISED = [(kind, wire, most) for kind in KINDS for wire in WIRES if (most := within(kind, wire)) is not None]


@pytest.mark.parametrize(("kind", "wire", "most"), PROMISED)
def test_a_planted_loop_is_caught_within_its_number_of_steps(kind: str, wire: str, most: int) -> None:
    for seed in SEEDS:
        run, before = planted(kind, seed)
        caught = caught_after(wire, run)
        assert caught is not None, f"{kind}, seed {seed}: never caught"
        assert before < caught <= before + most, f"{kind}, seed {seed}: at step {caught} of a loop from {before}"


@pytest.mark.parametrize("wire", WIRES)
def test_healthy_steps_of_any_number_are_no_loop(wire: str) -> None:
    for seed in SEEDS:
        run = Run(f"healthy-{seed}", tuple(Planter(seed).healthies(80, 80)))
        assert [found for _, found in findings(wire, run) if found] == [], f"seed {seed}"


def test_a_run_that_finds_its_way_again_is_not_held_against_its_past() -> None:
    planter = Planter(3)
    stuck = planter.call()
    steps = (*planter.healthies(3, 3), *[stuck] * LOOPS.row, *planter.healthies(10, 10))
    found = [count for count, each in findings("openai.chat", Run("r", steps)) if each]
    assert found == [3 + LOOPS.row]


def test_going_on_in_other_words_is_no_loop_though_the_person_says_the_same() -> None:
    planter = Planter(5)
    steps = tuple(Step(said=planter.text(60), heard="continue") for _ in range(30))
    assert [found for _, found in findings("anthropic.messages", Run("r", steps)) if found] == []


def test_pages_read_with_the_same_call_are_no_loop() -> None:
    planter = Planter(6)
    steps = tuple(Step("scroll_down", "{}", planter.text(40)) for _ in range(30))
    assert [found for _, found in findings("openai.chat", Run("r", steps)) if found] == []


def test_the_test_suite_between_edits_is_no_loop_while_its_outcome_changes() -> None:
    planter, random_ = Planter(7), random.Random(7)
    steps: list[Step] = []
    for at in range(20):
        steps += planter.healthies(1, 2)
        steps.append(
            Step("run", '{"command":"pytest"}', f"{40 - at} failed in {random_.randint(1, 9)}.2s {planter.text(9)}")
        )
    assert [found for _, found in findings("openai.chat", Run("r", tuple(steps))) if found] == []


def test_dear_steps_without_anything_new_are_stopped_by_what_they_cost() -> None:
    run, before = planted("no results, other arguments", 1)
    rules = [finding for _, found in findings("openai.chat", run) for finding in found]
    assert {finding.rule for finding in rules} == {Rule.STALE}
    assert rules[0].spent_nano >= LOOPS.stale_nano
    assert rules[0].count >= LOOPS.stale_steps
    cheap = [found for _, found in findings("openai.chat", run, cost_nano=1_000) if found]
    assert cheap == [], "a step for a millionth of a dollar may search for long"
    dear = [count for count, found in findings("openai.chat", run, cost_nano=10**9) if found]
    assert dear[0] > before + LOOPS.stale_steps, "a few dear steps are no loop"


@pytest.mark.parametrize("name", ["row", "row_alike", "again", "cycle", "rounds", "error", "error_alike", "exchange"])
def test_a_rule_at_zero_is_off(name: str) -> None:
    off = dict.fromkeys(("row", "row_alike", "again", "cycle", "rounds", "error", "error_alike", "exchange"), 0)
    settings = replace(LOOPS, **off, stale_nano=0, openings=0)
    alone = replace(settings, **{name: getattr(LOOPS, name)})
    fired = 0
    for kind in KINDS:
        run, _ = planted(kind, 2)
        assert [found for _, found in findings("openai.chat", run, settings) if found] == []
        fired += any(found for _, found in findings("openai.chat", run, alone))
    assert fired, f"{name} catches no planted loop"


def test_a_sentence_says_what_happened_and_no_word_of_any_prompt() -> None:
    for kind in KINDS:
        run, _ = planted(kind, 4)
        words = {word for step in run.steps for word in (*step.answer.split(), *step.said.split(), *step.heard.split())}
        for _, found in findings("openai.chat", run):
            for finding in found:
                assert finding.sentence[0].isascii()
                long = {word for word in finding.sentence.replace("`", " ").split() if len(word) > 6}
                assert not long & (words - {"nothing", "results"}), finding.sentence
