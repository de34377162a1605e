"""The body of an answer as botocore reads it: pieces for its event streams, reads for its streaming bodies.

Owns what stands in the place of urllib3's response. It passes bytes on and never changes one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["RawBody"]


class Pieces(Protocol):
    """Where the bytes come from, and how that ends."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Whole:
    """An answer that was read already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        if self._body:
            yield self._body

    def close(self) -> None:
        """Nothing is open."""


class RawBody:
    """Reads like urllib3's response, as far as botocore reads one; anything else is the original's to answer."""

    def __init__(self, source: Pieces | bytes, original: Any = None) -> None:
        self._source: Pieces = Whole(source) if isinstance(source, bytes) else source
        self._pieces = iter(self._source)
        self._original = original
        self._held = b""
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        if name == "_original" or self._original is None:
            raise AttributeError(name)
        return getattr(self._original, name)

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """Give the pieces as they come."""
        if self._held:
            held, self._held = self._held, b""
            yield held
        yield from self._pieces

    def read(self, amt: int | None = None, decode_content: bool | None = None, cache_content: bool = False) -> bytes:
        """Read some bytes, or all; b"" at the end."""
        parts, size = [self._held], len(self._held)
        while amt is None or size < amt:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            size += len(piece)
        data = b"".join(parts)
        if amt is None:
            self._held = b""
            return data
        self._held = data[amt:]
        return data[:amt]

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; 0 at the end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return not self.closed

    def readlines(self) -> list[bytes]:
        return self.read().splitlines(keepends=True)

    def release_conn(self) -> None:
        """The original's own end gives the connection back."""

    def close(self) -> None:
        """Read no more; what is open ends."""
        self.closed = True
        self._held = b""
        self._source.close()

    def __enter__(self) -> RawBody:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()
