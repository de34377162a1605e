"""How much is asked for: from what a body shows to what should be held.

Owns the rules of how much output is covered. They are one table: a small stated cap, a stream that can be extended,
and everything else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias

from bursar.core.admission import Ask
from bursar.core.meter import Terms

__all__ = ["CAP_SMALL", "MAXIMUM_UNKNOWN", "Wish", "plan"]

CAP_SMALL = 8192
"""A client that states a cap up to here gets it held whole."""
MAXIMUM_UNKNOWN = 128_000
"""The maximum output of a model that no data file knows; the provider names the true one when this is too much."""


class Wish(NamedTuple):
    """What a call would like, in output tokens per choice. A tuple, since plans are remembered by it."""

    cap: int | None
    """The client's own cap."""
    cap_least: int
    """The smallest cap that the body allows."""
    maximum: int | None
    """The model's own maximum, when known."""
    usual: int
    is_stream: bool
    is_strict: bool
    top_speed: int | None
    choices: int = 1
    has_output: bool = True
    """The answer bills output at all."""
    takes_cap: bool = True
    """A cap can be sent; else all that the model can write is held, or nothing."""


Wished: TypeAlias = tuple[int | None, int, int | None, int, bool, bool, int | None, int, bool, bool]
"""A wish as a plain tuple: it is equal to the wish, and cheaper to make."""


@lru_cache(maxsize=4_096)
def plan(wished: Wished) -> tuple[Ask, Terms]:
    """Turn a wish into what is asked of the store and how the call is metered."""
    wish = Wish(*wished)
    if not wish.has_output:
        return Ask(0, 0), Terms(0, 0, False, None, wish.choices, wish.is_strict)
    known = [number for number in (wish.cap, wish.maximum) if number is not None]
    cap_most = min(known, default=None)
    most = MAXIMUM_UNKNOWN if cap_most is None else max(cap_most, 1)
    usual = min(max(wish.usual, wish.cap_least), most)
    if not wish.takes_cap:
        return Ask(most, most), Terms(most, most, False, wish.top_speed, wish.choices, wish.is_strict)
    is_small = wish.cap is not None and wish.cap <= CAP_SMALL
    is_extendable = wish.is_stream and wish.top_speed is not None and not is_small and not wish.is_strict
    terms = Terms(usual, cap_most, is_extendable, wish.top_speed, wish.choices, wish.is_strict)
    if wish.is_strict:
        return Ask(usual, most, min(4 * usual, most), share=4), terms
    if is_small:
        return Ask(usual, most), terms
    if is_extendable:
        return Ask(usual, usual), terms
    return Ask(usual, most, min(4 * usual, most), share=4), terms
