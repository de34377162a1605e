"""How much text is in a value: bytes of UTF-8, and the tokens that generated text is taken for.

Owns the counting that needs no tokenizer. It must never count base64 as text; callers take images and files out first.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["BYTES_PER_TOKEN_LEAST", "json_bytes", "strings_bytes", "text_bytes", "visible_tokens"]

BYTES_PER_TOKEN_LEAST = 3
"""Generated text has seldom fewer bytes per token than this; real text has about four."""


def text_bytes(text: str) -> int:
    """Count the bytes of a text in UTF-8, also of one with lone surrogates."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def json_bytes(value: object) -> int:
    """Count the bytes of a value written as compact JSON, also of one with lone surrogates, which models do write."""
    return text_bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def strings_bytes(value: Any) -> int:
    """Count the bytes of all strings inside a value, keys left out."""
    kind = type(value)
    if kind is str:
        return text_bytes(value)
    if kind is not dict and kind is not list:
        return 0
    total = 0
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is str:
            total += text_bytes(item)
        elif type(item) is dict:
            pending.extend(item.values())
        elif type(item) is list:
            pending.extend(item)
    return total


def visible_tokens(pieces: int, size_bytes: int, frames_tokens: int = 0) -> int:
    """Estimate generated tokens from above: one per piece or one per three bytes, rounded up, and the unseen frames.

    `frames_tokens` is what the marks around tool calls and thinking cost; providers bill them and never show them.
    """
    return max(pieces, -(-size_bytes // BYTES_PER_TOKEN_LEAST)) + frames_tokens
