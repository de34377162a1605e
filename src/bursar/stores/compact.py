"""Small JSON texts for rows, as compact as they can be.

Owns their form: no spaces, UTF-8 as it is. A report searches labels by it, so it never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from json import encoder
from typing import Any

from bursar.core.ledger import Note

__all__ = ["encode", "encode_labels", "encode_note"]

_quoted = encoder.encode_basestring
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
    return _encode_parts(*labels, *labels.values())


@lru_cache(maxsize=1_024)
def _encode_parts(*parts: str) -> str:
    """Write what comes as all names and then all values: no pair has to be made of them to look it up."""
    count = len(parts) // 2
    return encode(dict(zip(parts[:count], parts[count:], strict=True)))


def encode_note(note: Note) -> str:
    """Write the fields of a note in their order, as `encode` writes its list; every call has one."""
    system, tools, history, user, status, ended, duration_ms, cap, shape_key, answer_tokens = note[:10]
    answered_by, response_id, earlier_tokens, tool_calls, seen = note[10:]
    went = f"{_quoted(ended)},{duration_ms},{cap},{_quoted(shape_key)},{answer_tokens}"
    named = f"{_quoted(answered_by)},{_quoted(response_id)},{earlier_tokens},{tool_calls}"
    return f"[{system},{tools},{history},{user},{status},{went},{named},{_quoted(seen)}]"
