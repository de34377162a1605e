"""What cannot be counted is no usage and no charge, whatever else stands beside it."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.core.charge import AMOUNT_COUNTABLE_MAX, ZERO, Amounts, Charge
from bursar.core.usage import COUNT_MAX, LEAVES, Usage

UNCOUNTABLE: list[Any] = [-1, 1.0, True, False, None, "1", float("nan")]


@pytest.mark.parametrize("wrong", [*UNCOUNTABLE, COUNT_MAX + 1], ids=repr)
@pytest.mark.parametrize("leaf", LEAVES)
def test_a_count_that_is_none_is_refused_by_its_name(leaf: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{leaf} is .*: a whole number from 0 to 2\^63-1 is needed"):
        Usage(**{leaf: wrong})


@pytest.mark.parametrize("wrong", [*UNCOUNTABLE, AMOUNT_COUNTABLE_MAX + 1], ids=repr)
@pytest.mark.parametrize("name", Amounts._fields)
def test_an_amount_that_is_none_is_refused_by_its_name(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} of a charge is .*: a whole number from 0 to 2\^53 is needed"):
        Charge(ZERO._replace(**{name: wrong}))


def test_each_count_may_be_as_large_as_a_row_can_hold() -> None:
    assert Usage(*[COUNT_MAX] * len(LEAVES)).counts == (COUNT_MAX,) * len(LEAVES)
    most = Amounts(*[AMOUNT_COUNTABLE_MAX] * len(Amounts._fields))
    assert Charge(most).amounts == most


def test_amounts_are_the_sums_of_the_leaves() -> None:
    usage = Usage(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    assert Amounts.of(7, usage, 2) == Amounts(7, 63, 34, 12, 448, 128, 2)
    assert (usage.input_total, usage.output_total) == (63, 448)


def test_a_flag_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown flags"):
        Charge(ZERO, frozenset({"estimated", "odd"}))
