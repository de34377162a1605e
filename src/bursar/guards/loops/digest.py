"""Texts as numbers: exactly the same, the same but for its numbers, nearly the same.

Owns these three comparisons. Only numbers leave; a text is never kept. Everything is whole numbers, and bounded by the
lengths named here.
"""

from __future__ import annotations

import re
import zlib
from array import array
from hashlib import blake2b

__all__ = ["Sketch", "digest", "is_alike", "loose_digest", "sketch", "steady_digest"]

MASKED_LENGTH = 4_096
"""What changes by itself is looked for in so much of a text, half of it at either end."""
SKETCH_LENGTH = 4_096
"""Letters of a text that its sketch looks at; so a sketch takes 0.2 ms at the most."""
SHINGLE_WORDS = 3
SKETCH_SIZE = 48
"""With so many shingles a difference of about 2 % can be seen."""

Sketch = bytes
"""The smallest hashes of a text's shingles, in order, four bytes each; the empty one is of no text."""

_VOLATILE = re.compile(
    # Every form begins with the first digit of a number: texts are searched for one at full speed, and pages of digits
    # once.
    rb"\d(?<!\d\d)(?:"
    rb"\d?:\d\d(?::\d\d(?:[.,]\d+)?)?"
    rb"|\d{3}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?Z?"
    rb"|x[0-9a-f]{4,}"
    rb"|\d{0,9}(?:\.\d{1,9})? ?(?:ms|us|ns|s|sec|secs|seconds)\b"
    rb")"
)
_DIGITS = b"0123456789"


def digest(*texts: str | bytes) -> int:
    """Give 64 bits that stand for these texts in this order."""
    framed: list[bytes] = []
    for text in texts:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        framed += (len(data).to_bytes(8, "big"), data)
    return int.from_bytes(blake2b(b"".join(framed), digest_size=8).digest(), "big")


def steady_digest(text: str) -> int:
    """Give a digest that does not see what changes by itself: times of day, durations, addresses in memory."""
    head, middle, tail = _thirds(text)
    return digest(_VOLATILE.sub(b"#", head), middle, _VOLATILE.sub(b"#", tail))


def loose_digest(text: str) -> int:
    """Give a digest that sees no digits."""
    return digest(text.encode("utf-8", "surrogatepass").translate(None, _DIGITS))


def _thirds(text: str) -> tuple[bytes, bytes, bytes]:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= MASKED_LENGTH:
        return data, b"", b""
    half = MASKED_LENGTH // 2
    return data[:half], data[half:-half], data[-half:]


def sketch(text: str) -> Sketch:
    """Sketch a text: what the smallest hashes of its word triples are. Digits and capitals do not count."""
    data = text[:SKETCH_LENGTH].encode("utf-8", "surrogatepass").translate(None, _DIGITS).lower()
    words = data.split()
    if len(words) < SHINGLE_WORDS:
        return array("I", [zlib.crc32(b" ".join(words))] if words else []).tobytes()
    triples = zip(words, words[1:], words[2:], strict=False)
    hashes = set(map(zlib.crc32, map(b" ".join, triples)))
    return array("I", sorted(hashes)[:SKETCH_SIZE]).tobytes()


def is_alike(one: Sketch, other: Sketch, per_mille: int) -> bool:
    """Tell whether of all shingles of two texts, so many in a thousand are in both, as far as their sketches tell."""
    if one == other:
        return bool(one)
    these, those = {*array("I", one)}, {*array("I", other)}
    mixed, both = sorted(these | those)[:SKETCH_SIZE], these & those
    return bool(mixed) and sum(each in both for each in mixed) * 1000 >= per_mille * len(mixed)
