"""What is generated at which moment: arithmetic, without a clock."""

from __future__ import annotations

import pytest

from bursar.testing.provider.generation import Generation


@pytest.mark.parametrize(
    ("now_s", "tokens"),
    [(100.0, 0), (101.9, 0), (102.0, 0), (102.09, 0), (102.11, 1), (103.05, 10), (105.0, 30), (106.0, 40), (999.0, 40)],
)
def test_generation_follows_its_clock_from_the_first_byte_to_the_end(now_s: float, tokens: int) -> None:
    assert Generation(100.0, 2.0, 10.0, 40, 40).generated(now_s) == tokens


def test_without_a_pace_all_is_there_with_the_first_byte() -> None:
    generation = Generation(100.0, 2.0, None, 40, 40)
    assert [generation.generated(at_s) for at_s in (101.999, 102.0)] == [0, 40]
    assert generation.ends_at_s == 102.0


@pytest.mark.parametrize(
    ("now_s", "run_ahead", "billed"),
    [
        (101.0, 0, 0),  # Nothing was generated yet.
        (101.0, 5, 5),  # The provider had begun and goes on.
        (103.05, 0, 10),
        (103.05, 5, 15),
        (103.05, 1_000, 40),  # The answer had no more left.
        (999.0, 5, 40),
    ],
)
def test_after_a_loss_what_was_generated_and_the_run_ahead_are_billed(
    now_s: float, run_ahead: int, billed: int
) -> None:
    assert Generation(100.0, 2.0, 10.0, 40, 40).billed_after_loss(now_s, run_ahead) == billed


def test_a_fault_stops_generating_but_the_run_ahead_may_go_on_to_the_end_of_the_answer() -> None:
    generation = Generation(0.0, 0.0, None, 40, 25)
    assert generation.generated(1.0) == 25
    assert [generation.billed_after_loss(1.0, ahead) for ahead in (0, 10, 100)] == [25, 35, 40]
