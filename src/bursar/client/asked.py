"""What a request asks, of a client that is neither httpx nor its successor.

Owns the few words by which the door looks at any request: method, address, headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["Asking", "Heads", "Where", "address_of"]

_PORTS = {"http": b":80", "https": b":443"}


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

    @classmethod
    def of(cls, url: str) -> Where:
        """Read a URL that is written out."""
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2].encode("ascii")
        return cls(parts.scheme, netloc, unquote(parts.path), parts.query.encode("ascii"), url)


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


def address_of(url: Any) -> str:
    """Write an address, of whichever client, so that the same is always written alike."""
    netloc = url.netloc.lower().removesuffix(_PORTS.get(url.scheme, b""))
    return f"{url.scheme}://{netloc.decode('ascii')}{url.path}"
