"""Patterns of names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.pricing.names import closeness, matches


@given(st.text("ab*", max_size=6), st.text("ab", max_size=10))
def test_a_star_stands_for_any_text_as_in_a_regular_expression(glob: str, name: str) -> None:
    pattern = ".*".join(re.escape(part) for part in glob.split("*"))
    assert matches(glob, name) == (re.fullmatch(pattern, name) is not None)


@pytest.mark.parametrize("name", ["opus[1m]", "a?b", "a.b"])
def test_only_the_star_is_special(name: str) -> None:
    assert matches(name, name)
    assert not matches(name, "opusm")
    assert not matches(name, "axb")


def test_closer_is_exact_then_more_letters() -> None:
    assert sorted(["*", "gpt-*", "*gpt-5*", "gpt"], key=closeness) == ["*", "gpt-*", "*gpt-5*", "gpt"]


def test_a_hostile_name_is_matched_in_linear_time() -> None:
    assert not matches("*a" * 100 + "b", "a" * 256)
