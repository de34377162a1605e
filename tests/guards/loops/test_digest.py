"""Texts are compared as numbers: exactly, but for what changes by itself, but for digits, nearly."""

from __future__ import annotations

import pytest

from bursar.guards.loops.digest import MASKED_LENGTH, is_alike, loose_digest, sketch, steady_digest

LONG = " ".join(f"word{chr(97 + at % 26)}{chr(97 + at // 26)}" for at in range(300))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("3 passed in 0.12s", "3 passed in 4.5s", True),
        ("at 2026-01-02T03:04:05Z", "at 2027-11-12 13:14:15", True),
        ("<object at 0x7f01ab>", "<object at 0x7f99ff>", True),
        ("3 passed", "4 passed", False),
        ("x" * MASKED_LENGTH + "a" + "y" * MASKED_LENGTH, "x" * MASKED_LENGTH + "b" + "y" * MASKED_LENGTH, False),
        ("x 1.5 s " + "y" * MASKED_LENGTH + " 12:30", "x 2.5 s " + "y" * MASKED_LENGTH + " 12:45", True),
    ],
)
def test_times_durations_and_addresses_make_no_difference(one: str, other: str, is_same: bool) -> None:
    assert (steady_digest(one) == steady_digest(other)) is is_same


def test_digits_make_no_difference_to_the_loose_digest() -> None:
    assert loose_digest("attempt 7 of 12") == loose_digest("attempt 11 of 12")
    assert loose_digest("attempt 7") != loose_digest("trial 7")


def test_texts_are_alike_that_differ_in_few_words() -> None:
    changed = LONG.replace("wordba", "another")
    assert is_alike(sketch(LONG), sketch(changed), 900)
    assert is_alike(sketch("Thank you, 1"), sketch("thank you, 22"), 900)
    assert not is_alike(sketch(LONG), sketch(LONG[: len(LONG) // 2]), 900)
    assert not is_alike(sketch("yes, do it"), sketch("no, leave it"), 900)
    assert not is_alike(sketch(""), sketch(""), 900), "nothing is not the same as nothing"
