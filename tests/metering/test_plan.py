"""How much is asked for: the table of DESIGN §4."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.admission import Ask
from bursar.metering.plan import MAXIMUM_UNKNOWN, Wish, plan

U = 4096


def wish(**more: Any) -> Wish:
    base: dict[str, Any] = {
        "cap": None, "cap_least": 1, "maximum": 64_000, "usual": U, "is_stream": False, "is_strict": False,
        "top_speed": None,
    }  # fmt: skip
    return Wish(**{**base, **more})


WHOLE_WORST = Ask(U, 64_000, 4 * U, share=4)
TABLE = [
    ("a small cap is held whole", wish(cap=5000), Ask(U, 5000), False),
    ("a cap below U is U", wish(cap=100), Ask(100, 100), False),
    ("8,192 is small", wish(cap=8192, is_stream=True, top_speed=300), Ask(U, 8192), False),
    ("8,193 is not", wish(cap=8193, is_stream=True, top_speed=300), Ask(U, U), True),
    ("a stream without a cap is extended", wish(is_stream=True, top_speed=300), Ask(U, U), True),
    ("a stream of unknown speed is not", wish(is_stream=True), WHOLE_WORST, False),
    ("a whole answer without a cap", wish(), WHOLE_WORST, False),
    ("a whole answer with a large cap", wish(cap=20_000), Ask(U, 20_000, 4 * U, share=4), False),
    ("a cap above the model's maximum", wish(cap=10**9), WHOLE_WORST, False),
    ("nothing known at all", wish(maximum=None), Ask(U, MAXIMUM_UNKNOWN, 4 * U, share=4), False),
    ("strict takes the worst case", wish(cap=5000, is_strict=True), Ask(U, 5000, 5000, share=4), False),
    ("strict does not extend", wish(is_strict=True, is_stream=True, top_speed=300), WHOLE_WORST, False),
    ("thinking needs its room", wish(cap=20_000, cap_least=9000), Ask(9000, 20_000, 20_000, share=4), False),
    ("the maximum binds U", wish(maximum=2000, is_stream=True, top_speed=300), Ask(2000, 2000), True),
]


@pytest.mark.parametrize(("name", "asked", "ask", "is_extendable"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table(name: str, asked: Wish, ask: Ask, is_extendable: bool) -> None:
    made, terms = plan(asked)
    assert made == ask
    assert terms.is_extendable == is_extendable


counts = st.integers(1, 2**31)


@given(
    st.builds(
        Wish, cap=st.none() | counts, cap_least=st.integers(1, 4096), maximum=st.none() | counts,
        usual=st.integers(1024, 10**6), is_stream=st.booleans(), is_strict=st.booleans(), top_speed=st.none() | counts,
        choices=st.integers(1, 128), has_output=st.just(True), takes_cap=st.just(True),
    )
)  # fmt: skip
def test_nothing_is_asked_beyond_the_clients_cap_or_the_models_maximum(asked: Wish) -> None:
    ask, terms = plan(asked)
    bounds = [bound for bound in (asked.cap, asked.maximum) if bound is not None]
    most = min(bounds, default=MAXIMUM_UNKNOWN)
    assert 0 < ask.at_least <= ask.at_most <= most
    assert ask.middle <= most
    assert terms.cap_most == (min(bounds) if bounds else None)
    assert terms.choices == asked.choices
    assert not (terms.is_extendable and asked.is_strict)
