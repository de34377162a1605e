"""A metered call of a client that does not block: awaited in the loop that the program has.

Owns what `AsyncClient.send` does in its own way. Under asyncio the ledger never makes the loop wait, and a stream's
hold grows with time; under another loop the provider is awaited there and the ledger is asked at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from bursar.client import sending
from bursar.client.calls import Metering
from bursar.pipeline.call import Body
from bursar.wiring.driving import Way

__all__ = ["Sending", "is_asyncio", "way_here"]

FOREVER_S = 3600.0
"""A time limit from here on is none: it is not worth a task."""


def is_asyncio() -> bool:
    """Tell whether asyncio's event loop runs here."""
    return asyncio._get_running_loop() is not None


def way_here() -> Way:
    """Tell how what is awaited here is driven."""
    return Way.ASYNCIO if is_asyncio() else Way.FOREIGN


class Answer(sending.Answer):
    """What such a client got."""

    _coming: asyncio.Task[bytes] | None = None
    """The next piece, while it is awaited longer than whoever asked for it wanted to wait."""

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next; None when nothing came in time, and then it is still awaited."""
        if self.pieces is None:
            self.feed = self.decoding()
            self.pieces = self._stream()
        while True:
            piece = await self._next(self.pieces, timeout_s)
            if self.feed is None or not piece:
                return piece
            readable = self.feed.feed(piece)
            if readable:
                return readable

    async def _stream(self) -> AsyncIterator[bytes]:
        if self.is_read:
            yield self.response.content
            return
        async for piece in self.stream:
            if piece:
                yield piece

    async def _next(self, pieces: AsyncIterator[bytes], timeout_s: float) -> bytes | None:
        try:
            if self._coming is None and (timeout_s >= FOREVER_S or self.sending.way is not Way.ASYNCIO):
                return await anext(pieces, b"")
            if self._coming is None:
                self._coming = asyncio.ensure_future(_next_of(pieces))
            done, _ = await asyncio.wait({self._coming}, timeout=timeout_s)
            if not done:
                return None
            coming, self._coming = self._coming, None
            return coming.result()
        except self.sending.kit.failure as error:
            raise self.sending.failed(error) from error

    def abort(self) -> None:
        self.sending.aborted += (self,)
        if self._coming is not None:
            # It may be another thread that ends what nobody reads any more, and the loop may be gone.
            with contextlib.suppress(RuntimeError):
                self._coming.get_loop().call_soon_threadsafe(self._coming.cancel)

    def finish(self) -> None:
        """Nothing to give back: the client's own pool knows when a body has come to its end."""


async def _next_of(pieces: AsyncIterator[bytes]) -> bytes:
    with contextlib.suppress(StopAsyncIteration):
        return await anext(pieces)
    return b""


class Sending(sending.Sending):
    """By a client that does not block."""

    is_awaited = True
    answers = Answer

    async def read(self, response: Any) -> bytes:
        read: bytes = await response.aread()
        return read

    async def close(self, response: Any) -> None:
        await response.aclose()

    async def join(self, stream: Any) -> bytes:
        return b"".join([piece async for piece in stream])

    def replay(self, raw: bytes) -> Any:
        return self.kit.async_replay(raw, self.response.stream)

    def metered(self, body: Body, metering: Metering) -> Any:
        return self.kit.async_metered(body, metering, self.response.stream)
