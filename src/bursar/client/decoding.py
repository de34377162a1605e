"""Bytes as they would be read: of an answer for counting, of a request for knowing whether it asks a model.

Owns the encodings that HTTP clients ask for; the program's own bytes are never changed. What cannot be decoded is None:
then nothing is counted from an answer, and the call is charged in full.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Decoder", "decode", "decode_within", "decoder"]

PIECE_BYTES = 4096
"""A deflated piece can be a thousand times as long when it is read: so few are looked at together."""


class Decoder(Protocol):
    """Decode pieces in their order."""

    def feed(self, piece: bytes) -> bytes:
        """Give what can be read so far. Raises ValueError for what is none of this encoding."""
        ...


class _Plain:
    def feed(self, piece: bytes) -> bytes:
        return piece


class _Zlib:
    """gzip, and deflate with or without its header."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._is_begun = False

    def feed(self, piece: bytes) -> bytes:
        try:
            out = self._inner.decompress(piece)
        except zlib.error as error:
            if self._is_begun:
                raise ValueError("not what its encoding says") from error
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            out = _raw(self._inner, piece)
        self._is_begun = self._is_begun or bool(piece)
        return out


def _raw(inner: Any, piece: bytes) -> bytes:
    try:
        out: bytes = inner.decompress(piece)
    except zlib.error as error:
        raise ValueError("not what its encoding says") from error
    return out


class _Foreign:
    """An encoding that a package of its own reads, the one that the client reads it with."""

    def __init__(self, feed: Callable[[bytes], bytes]) -> None:
        self._feed = feed

    def feed(self, piece: bytes) -> bytes:
        try:
            return self._feed(piece)
        except Exception as error:
            raise ValueError("not what its encoding says") from error


def _brotli() -> Decoder:
    for name in ("brotlicffi", "brotli"):
        try:
            inner = importlib.import_module(name).Decompressor()
        except ImportError:
            continue
        return _Foreign(getattr(inner, "decompress", None) or inner.process)
    raise ValueError("no package that reads br is installed")


def _zstd() -> Decoder:
    for name, make in (("compression.zstd", "ZstdDecompressor"), ("backports.zstd", "ZstdDecompressor")):
        try:
            return _Foreign(getattr(importlib.import_module(name), make)().decompress)
        except ImportError:
            continue
    try:
        return _Foreign(importlib.import_module("zstandard").ZstdDecompressor().decompressobj().decompress)
    except ImportError:
        raise ValueError("no package that reads zstd is installed") from None


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "": _Plain,
    "identity": _Plain,
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "br": _brotli,
    "zstd": _zstd,
}


def decoder(encoding: str) -> Decoder:
    """Make the decoder of a `content-encoding`. Raises ValueError for one that nothing here reads."""
    make = _DECODERS.get(encoding.strip().lower())
    if make is None:
        raise ValueError("an encoding that is not known")
    return make()


def decode(encoding: str, raw: bytes) -> bytes | None:
    """Decode a whole answer; None where it cannot be."""
    try:
        return decoder(encoding).feed(raw)
    except ValueError:
        return None


def decode_within(encoding: str, raw: bytes, size_max: int) -> bytes | None:
    """Decode a whole body; None where it cannot be, or comes to more than so many bytes."""
    read = bytearray()
    try:
        inner = decoder(encoding)
        for start in range(0, len(raw), PIECE_BYTES):
            read += inner.feed(raw[start : start + PIECE_BYTES])
            if len(read) > size_max:
                return None
    except ValueError:
        return None
    return bytes(read)
