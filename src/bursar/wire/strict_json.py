"""Bodies to dictionaries and back, strictly.

Owns what JSON bursar accepts: exactly what every reader downstream understands the same way. It must never let two
readers see two different requests (duplicate keys, NaN), and never walk a large body slowly.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from bursar.errors import BadRequest, TooLarge

__all__ = ["BODY_BYTES_MAX", "DEPTH_MAX", "DIGITS_MAX", "dump", "parse"]

BODY_BYTES_MAX = 32 * 1024 * 1024
"""The largest request body, when the caller names no other: the largest that a provider takes."""
DEPTH_MAX = 100
"""How deep arrays and objects may nest; real tool schemas stay below 30."""
DIGITS_MAX = 4_300
"""How many digits a number may have; Python's own limit for turning text into an integer."""

VALUES_MAX = 500_000
"""How many commas a body may hold, and so values: each becomes an object in memory, however short its text."""

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(raw: bytes, *, size_max: int = BODY_BYTES_MAX) -> dict[str, Any]:
    """Parse a JSON object strictly.

    Raises TooLarge above `size_max` bytes, and BadRequest for anything that is not one JSON object in valid UTF-8 with
    unique keys, finite numbers and bounded depth.
    """
    if len(raw) > size_max:
        raise TooLarge(f"the body has {len(raw):,} bytes; at most {size_max:,} are allowed")
    if len(raw) > VALUES_MAX and raw.count(b",") > VALUES_MAX:
        raise TooLarge(f"the body holds more than {VALUES_MAX:,} values")
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not valid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise BadRequest(f"the body nests deeper than {DEPTH_MAX} levels") from None
    if type(value) is not dict:
        raise BadRequest("the body must be a JSON object")
    _check_depth(raw, value)
    if _SURROGATE_ESCAPE.search(raw) is not None:
        _check_surrogates(value)
    return value


def dump(value: object) -> bytes:
    """Write compact JSON in UTF-8, keys in their order. Raises ValueError for NaN and for lone surrogates."""
    return _ENCODER.encode(value).encode("utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadRequest(f"the key {_shown(key)} appears twice in one object", param=_shown(key, quote=False))
            seen.add(key)
    return made


def _float(text: str) -> float:
    if len(text) > DIGITS_MAX:
        raise BadRequest(f"a number has more than {DIGITS_MAX:,} digits")
    value = float(text)
    if math.isinf(value):
        raise BadRequest(f"the number {text[:40]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise BadRequest(f"a whole number has more than {DIGITS_MAX:,} digits")
    return int(text)


def _constant(text: str) -> float:
    raise BadRequest(f"{text} is not valid JSON")


def _check_depth(raw: bytes, value: dict[str, Any]) -> None:
    """Walk level by level, containers only; a body too short to be deep is not walked at all."""
    if len(raw) <= 2 * DEPTH_MAX:
        return
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise BadRequest(f"the body nests deeper than {DEPTH_MAX} levels")


def _check_surrogates(value: dict[str, Any]) -> None:
    """Refuse half a surrogate pair: it cannot be written as UTF-8 again."""
    try:
        dump(value)
    except UnicodeEncodeError:
        raise BadRequest("the body holds a lone surrogate escape (\\ud800 to \\udfff): it is not text") from None


def _shown(key: str, *, quote: bool = True) -> str:
    clean = key[:80].encode("ascii", "backslashreplace").decode("ascii")
    return repr(clean) if quote else clean


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)
