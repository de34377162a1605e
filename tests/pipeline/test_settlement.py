"""What a call came to: the provider's own word of the cost, then the card; what is not known is flagged."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.core.admission import Cover
from bursar.core.charge import Amounts, Charge
from bursar.core.rates import Card, Rates, Tier
from bursar.core.usage import Usage
from bursar.pipeline.settlement import told
from bursar.wire.base import Answer

USAGE = Usage(input_tokens=100, cache_read_tokens=20, output_tokens=50, reasoning_tokens=5)
AMOUNTS = Amounts(0, 120, 20, 0, 55, 5, 1)
CHEAP, DEAR = (Rates(*[1_000 * each] * 9) for each in (1, 2))
CARD = Card("p", "m", "override", "v1", (Tier(0, CHEAP),))
TIERED = Card("p", "m", "override", "v2", (Tier(0, CHEAP), Tier(119, DEAR)))


@pytest.mark.parametrize(
    ("reported", "card", "covered", "cost_nano", "flags", "price"),
    [
        (None, CARD, 120, 175, set(), "v1"),
        (None, CARD, 119, 175, {"input_over"}, "v1"),
        (None, TIERED, 120, 350, set(), "v2"),
        (None, None, 120, 0, {"unpriced"}, ""),
        (None, None, 119, 0, {"unpriced", "input_over"}, ""),
        (7, CARD, 119, 7, {"input_over"}, "provider"),
        (7, None, 120, 7, set(), "provider"),
    ],
)
def test_the_order_of_precedence(
    reported: int | None, card: Card | None, covered: int, cost_nano: int, flags: set[str], price: str
) -> None:
    answer, cover = Answer(USAGE, 60, cost_reported=reported), Cover(0, 0, covered)
    amounts: Any = AMOUNTS._replace(cost_nano=cost_nano)
    assert told(answer, USAGE, card, cover) == Charge(amounts, frozenset(flags), price)
