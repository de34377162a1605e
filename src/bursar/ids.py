"""Ids of calls: 26 letters and digits, ordered by time, unguessable enough to be unique. Owns their form."""

from __future__ import annotations

import os
import re

__all__ = ["is_id", "new_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")


def new_id(at_ns: int) -> str:
    """Make an id: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32."""
    number = (at_ns // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Tell whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None
