"""Where the input of a request sits, and what its images and files cost on top.

Owns the sums while a body is walked and the key of its shape. It must never look at a wire's own field names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bursar.wire.base import Anatomy
from bursar.wire.images import Cost

__all__ = ["FRAME_BYTES", "Tally", "shape_key", "split"]

FRAME_BYTES = 8
"""What frames a message costs beside its text (role and separators), as bytes of text: two to four tokens."""
_BYTES_PER_TOKEN = 4
_REMEMBERED_MOST = 65_536
"""How long the parts of a shape may be, in characters and bytes, that is remembered with its key."""
_SHAPES_MAX = 64
_known: dict[tuple[int, ...], tuple[tuple[bytes | str, ...], str]] = {}
"""By the sizes of its parts: the latest shape with such sizes, and its key. A key depends on the parts alone."""


@dataclass(slots=True)
class Tally:
    """Bytes of one part of a request; images and files enter with their likely tokens times four."""

    size_bytes: int = 0
    tokens_beyond: int = 0
    """How much more the images and files can cost at worst."""

    def add_cost(self, cost: Cost) -> None:
        """Add an image or a file."""
        self.size_bytes += cost.likely * _BYTES_PER_TOKEN
        self.tokens_beyond += max(0, cost.most - cost.likely)


def split(system: int, tools: int, turns: list[tuple[bool, int]]) -> Anatomy:
    """Make the anatomy from turns in their order, each with `is_user` (the user's words or a tool's result) and bytes.

    The last user turn is the run of user turns after the model's last; a prefilled answer behind it is history.
    """
    end = len(turns)
    while end and not turns[end - 1][0]:
        end -= 1
    user = 0
    while end and turns[end - 1][0]:
        end -= 1
        user += turns[end][1]
    total = 0
    for _, size in turns:
        total += size
    return Anatomy(system, tools, total - user, user)


def shape_key(*parts: bytes | str) -> str:
    """Hash what stays the same from call to call of one agent: system prompt, tools, output schema."""
    sizes = tuple(map(len, parts))
    # To compare a text with another of its length takes a twentieth of the time to hash it.
    known = _known.get(sizes)
    if known is not None and known[0] == parts:
        return known[1]
    key = _hashed(parts)
    if sum(sizes) <= _REMEMBERED_MOST:
        if len(_known) >= _SHAPES_MAX:
            _known.clear()
        _known[sizes] = (parts, key)
    return key


def _hashed(parts: tuple[bytes | str, ...]) -> str:
    framed: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        framed += (len(data).to_bytes(8, "big"), data)
    return hashlib.blake2b(b"".join(framed), digest_size=8).hexdigest()
