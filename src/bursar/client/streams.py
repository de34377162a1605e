"""The bodies of answers as the program reads them: replayed where they were read whole, metered where they stream.

Owns how each ends: read to its end, closed early, dropped and forgotten, or cut off by an error. However that is, the
call's account is closed. It passes bytes on and never changes one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Protocol
from weakref import WeakSet

from bursar.pipeline.call import Body
from bursar.wiring.driving import drive

__all__ = ["AsyncMetered", "AsyncReplay", "Metered", "Replay", "end_all"]

_running: WeakSet[Any] = WeakSet()
"""Streams that are not at their end, for the end of the program."""


class Running(Protocol):
    """The exchange under a stream, so far as a stream needs it."""

    @property
    def failure(self) -> Exception | None:
        """What the program is to see instead of more."""
        ...

    def adopt(self, ending: Coroutine[Any, Any, None]) -> None:
        """Let somebody else end what nobody reads any more."""
        ...


class Replay:
    """A body that was read already, byte for byte as it came."""

    def __init__(self, raw: bytes, original: Any) -> None:
        self._raw = raw
        self._original = original

    @property
    def elapsed(self) -> Any:
        return getattr(self._original, "elapsed", None)

    def __iter__(self) -> Iterator[bytes]:
        if self._raw:
            yield self._raw

    def close(self) -> None:
        self._original.close()


class AsyncReplay:
    """The same for a client that does not block."""

    def __init__(self, raw: bytes, original: Any) -> None:
        self._raw = raw
        self._original = original

    @property
    def elapsed(self) -> Any:
        return getattr(self._original, "elapsed", None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._raw:
            yield self._raw

    async def aclose(self) -> None:
        await self._original.aclose()


class _Ending:
    """What streams of both kinds do at their end."""

    def __init__(self, body: Body, exchange: Running, original: Any) -> None:
        self._body = body
        self._exchange = exchange
        self._original = original
        self._is_over = False
        self._process = os.getpid()
        _running.add(self)

    @property
    def elapsed(self) -> Any:
        return getattr(self._original, "elapsed", None)

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether this is a forked child's copy: the stream and its hold are the parent's."""
        return self._process != os.getpid()

    def end(self) -> Coroutine[Any, Any, None] | None:
        """Give the work that ends it where it stands; None when it has ended, or is not ours to end."""
        if self._is_over or self.is_elsewhere:
            return None
        self._is_over = True
        return self._body.close(is_hangup=True)

    def __del__(self) -> None:
        ending = self.end()
        if ending is not None:
            self._exchange.adopt(ending)


class Metered(_Ending):
    """A stream that is counted as it passes."""

    def __iter__(self) -> Iterator[bytes]:
        if self.is_elsewhere:
            yield from self._original
            return
        while not self._is_over:
            piece = drive(self._body.read())
            if self._exchange.failure is not None:
                self.close()
                raise self._exchange.failure
            if not piece:
                self.close(is_hangup=False)
                return
            yield piece

    def close(self, *, is_hangup: bool = True) -> None:
        try:
            if not self._is_over and not self.is_elsewhere:
                self._is_over = True
                drive(self._body.close(is_hangup=is_hangup))
        finally:
            self._original.close()


class AsyncMetered(_Ending):
    """The same for a client that does not block."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.is_elsewhere:
            async for piece in self._original:
                yield piece
            return
        while not self._is_over:
            piece = await self._body.read()
            if self._exchange.failure is not None:
                await self.aclose()
                raise self._exchange.failure
            if not piece:
                await self.aclose(is_hangup=False)
                return
            yield piece

    async def aclose(self, *, is_hangup: bool = True) -> None:
        try:
            if not self._is_over and not self.is_elsewhere:
                self._is_over = True
                await self._body.close(is_hangup=is_hangup)
        finally:
            await self._original.aclose()


def end_all(adopt: Any) -> None:
    """Hand over the end of every stream that is still open."""
    for stream in list(_running):
        ending = stream.end()
        if ending is not None:
            adopt(ending)
