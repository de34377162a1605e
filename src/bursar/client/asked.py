"""What a request asks, of a client that is neither httpx nor its successor.

Owns the few words by which the door looks at any request: method, address, headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Asking", "Heads", "Where"]


@dataclass(frozen=True, slots=True)
class Where:
    """An address."""

    scheme: str
    netloc: bytes
    path: str
    """Without the query, decoded."""
    query: bytes
    own: Any = None
    """The same as its client writes it."""


class Heads(dict[str, str]):
    """A request's headers, names in lower case."""

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The same as bytes, as httpx gives them."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.items()]


@dataclass(frozen=True, slots=True)
class Asking:
    """A request before it is sent."""

    method: str
    url: Where
    headers: Heads
