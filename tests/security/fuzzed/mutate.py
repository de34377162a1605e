"""JSON that is nearly right: valid values with a few things wrong, drawn from one source of randomness.

The source is a `random.Random` made from a seed, which Hypothesis chooses in the ordinary run and `scripts/soak fuzz`
counts up; so each input can be made again from its seed alone.
"""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

__all__ = ["ODD", "broken_bytes", "mutated", "written"]

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
HUGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUv////////8IBgAAAA=="
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    5,
    2,
    2**31 - 1,
    2**31,
    2**63,
    10**30,
    1.5,
    -0.0,
    1e308,
    "",
    "x",
    " ",
    "5",
    "true",
    "auto",
    "\x00",
    "\ud800",
    "\u2028",
    "a\nb\r\n",
    "é" * 40,
    "x" * 600,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": None},
    {"type": None},
    {"type": "text"},
    {"text": 5},
    [5, "x", {}],
    {"type": "image_url", "image_url": 5},
    PIXEL,
    HUGE,
    "data:,",
    "data:;base64,%",
    "http://127.0.0.1:1/x",
    "file:///etc/passwd",
    "gs://x/y",
    "user",
    "assistant",
    "system",
    "tool",
    "__proto__",
)
KEYS = (
    "type",
    "text",
    "role",
    "content",
    "model",
    "max_tokens",
    "n",
    "stream",
    "tools",
    "name",
    "id",
    "index",
    "usage",
    "input",
    "parts",
    "cache_control",
    "image_url",
    "source",
    "data",
    "best_of",
    "service_tier",
    "metadata",
    "function",
    "",
    "\x00",
    "maxOutputTokens",
    "max_output_tokens",
    "candidateCount",
    "system",
    "choices",
    "delta",
    "output",
    "error",
    "response",
)
DEEP = '"(deep)"'
"""Stands for something that nests deeply; it is put in as text, since no value so deep can be handled here."""


def mutated(random: Random, value: Any, times: int) -> Any:
    """Give a copy with this many things changed anywhere in it."""
    made = copy.deepcopy(value)
    for _ in range(times):
        made = _changed(random, made)
    return made


def _changed(random: Random, value: Any) -> Any:
    spots = list(_spots(value))
    if not spots or random.random() < 0.02:
        return _odd(random)
    holder, key = random.choice(spots)
    match random.randrange(7):
        case 0 | 1:
            holder[key] = _odd(random)
        case 2:
            del holder[key]
        case 3:
            holder[key] = [holder[key]]
        case 4 if isinstance(holder, list):
            holder.extend([holder[key]] * random.randrange(1, 40))
        case 5 if isinstance(holder, dict):
            holder[random.choice(KEYS)] = holder.pop(key)
        case 6:
            other, name = random.choice(spots)
            holder[key] = copy.deepcopy(other[name]) if _has(other, name) else None
        case _ if isinstance(holder, dict):
            holder[random.choice(KEYS)] = _odd(random)
        case _:
            holder[key] = _odd(random)
    return value


def _odd(random: Random) -> Any:
    if random.random() < 0.03:
        return DEEP[1:-1]
    return copy.deepcopy(random.choice(ODD))


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """List every place: its holder and its key or index."""
    found, pending = [], [value]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])
    return found


def written(random: Random, value: Any) -> bytes:
    """Write JSON in one of the ways in which clients do; half a surrogate pair goes as an escape."""
    is_ascii = random.random() < 0.5
    text = json.dumps(value, ensure_ascii=is_ascii, separators=random.choice(((",", ":"), (", ", ": "))))
    if DEEP in text:
        depth = random.choice((20, 95, 101, 400, 900, 990, 5_000))
        text = text.replace(DEEP, random.choice(('{"a":' * depth + "1" + "}" * depth, "[" * depth + "]" * depth)))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("ascii", "backslashreplace")  # JSON's own escapes


_PIECES = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"-",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
)


def broken_bytes(random: Random, data: bytes) -> bytes:
    """Change a few bytes: cut, doubled, swapped for others, or with pieces put in."""
    made = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(made) + 1)
        match random.randrange(5):
            case 0:
                del made[at : at + random.randrange(1, 20)]
            case 1:
                made[at:at] = random.choice(_PIECES)
            case 2:
                made[at:at] = made[at : at + random.randrange(1, 60)]
            case 3 if at < len(made):
                made[at] = random.randrange(256)
            case _:
                del made[at:]
    return bytes(made)
