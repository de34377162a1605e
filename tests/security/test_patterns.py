"""S45: what budgets, pauses and prices match with is a name or a `*`: nothing evaluated, no pattern slow."""

from __future__ import annotations

import time

import pytest

from bursar.core.budget import fits
from bursar.core.labels import VALUE_LENGTH_MAX
from bursar.pricing.names import matches

LITERAL = [
    "(a+)+$",
    "^.*$",
    "a|b",
    "[a-z]",
    "[!a]",
    "?",
    "a{1,9}",
    "\\d",
    ".",
    "{{7*7}}",
    "__import__('os')",
    "%s",
    "a$",
]


@pytest.mark.parametrize("pattern", LITERAL)
def test_a_pattern_without_a_star_fits_itself_alone(pattern: str) -> None:
    assert fits(pattern, (pattern,))
    for value in ("a", "aa", "b", "x", "5", "49", "", "aaaaaaaaa!"):
        assert not fits(value, (pattern,))


@pytest.mark.parametrize("pattern", ["*a" * 60, "*" * 120 + "b", "a*" * 60 + "b", "*?" * 50, "*[a]" * 30])
def test_no_pattern_takes_long(pattern: str) -> None:
    """The corpus of patterns that take engines with back-tracking for ever, at the length that a label may have."""
    value = "a" * VALUE_LENGTH_MAX + "!"
    began = time.process_time()
    for _ in range(20):
        fits(value, (pattern,))
        matches(pattern, value)
    assert time.process_time() - began < 2
