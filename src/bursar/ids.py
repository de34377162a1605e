"""Ids of calls: 26 letters and digits, ordered by time, unguessable enough to be unique. Owns their form."""

from __future__ import annotations

import os
import re
import threading

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
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Start anew, so that a forked child does not give its parent's ids again."""
        self._letters = ""
        self._used = 0

    def take(self) -> str:
        with self._lock:
            if self._used >= len(self._letters):
                self._letters, self._used = os.urandom(_POOL_LENGTH).translate(_LETTERS).decode("ascii"), 0
            start = self._used
            self._used += _RANDOM_LENGTH
            return self._letters[start : self._used]


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.forget)


def new_id(at_ns: int) -> str:
    """Make an id: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32."""
    ms = at_ns // 1_000_000 & (1 << 48) - 1
    time = _PAIRS[ms >> 40] + _PAIRS[ms >> 30 & 1023] + _PAIRS[ms >> 20 & 1023] + _PAIRS[ms >> 10 & 1023]
    return time + _PAIRS[ms & 1023] + _pool.take()


def is_id(text: str) -> bool:
    """Tell whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None
