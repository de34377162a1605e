"""Ids of calls: 26 letters and digits, ordered by time, unguessable enough to be unique. Owns their form."""

from __future__ import annotations

import os
import re
from functools import lru_cache

__all__ = ["ALPHABET", "is_id", "new_id"]

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o and u, which are misread."""
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_LETTERS = (ALPHABET * 8).encode("ascii")
"""By random byte, one letter: each stands for as many of the 256 as any other."""
_RANDOM_LENGTH = 16
_POOL_LENGTH = 400 * _RANDOM_LENGTH


class _Pool:
    """Random letters fetched many ids at a time: a system call for each id would cost more than the rest of it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, so that a forked child does not give its parent's ids again."""
        self.ready: list[str] = []
        """The random parts of the next ids. Threads share it without a lock: a list gives each of its items once."""

    def fill(self) -> str:
        """Fetch more; gives the first of them."""
        ready = self.ready
        letters = os.urandom(_POOL_LENGTH).translate(_LETTERS).decode("ascii")
        parts = [letters[at : at + _RANDOM_LENGTH] for at in range(0, _POOL_LENGTH, _RANDOM_LENGTH)]
        ready.extend(parts[1:])
        return parts[0]


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.forget)


def new_id(at_ns: int) -> str:
    """Make an id: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32."""
    ms = at_ns // 1_000_000
    try:
        return _begins(ms >> 10) + _PAIRS[ms & 1023] + _pool.ready.pop()
    except IndexError:
        return _begins(ms >> 10) + _PAIRS[ms & 1023] + _pool.fill()


@lru_cache(maxsize=4)
def _begins(second: int) -> str:
    """Give the letters that all ids of one second (of 1024 ms) begin with."""
    return (
        _PAIRS[second >> 30 & 255] + _PAIRS[second >> 20 & 1023] + _PAIRS[second >> 10 & 1023] + _PAIRS[second & 1023]
    )


def is_id(text: str) -> bool:
    """Tell whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None
