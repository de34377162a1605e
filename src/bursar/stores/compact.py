"""Small JSON texts for rows, as compact as they can be.

Owns their form: no spaces, UTF-8 as it is. A report searches labels by it, so it never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from json import encoder
from typing import Any

__all__ = ["encode", "encode_labels"]

_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def _made() -> Any:
    """Make the encoder in C once; `JSONEncoder.encode` makes one for every value, at twice the price of its work."""
    make = getattr(encoder, "c_make_encoder", None)
    return make and make(None, _plain.default, encoder.encode_basestring, None, ":", ",", False, False, True)


_in_c = _made()


def encode(value: dict[str, str] | list[int | str]) -> str:
    """Write a value as JSON."""
    return _plain.encode(value) if _in_c is None else "".join(_in_c(value, 0))


def encode_labels(labels: Mapping[str, str]) -> str:
    """Write labels as JSON. They are mostly those of the call before."""
    return _encode_pairs(tuple(labels.items()))


@lru_cache(maxsize=1_024)
def _encode_pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    return encode(dict(pairs))
