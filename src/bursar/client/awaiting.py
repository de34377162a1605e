"""A metered call of a client that does not block: awaited in the loop that the program has.

Owns what `AsyncClient.send` does in its own way. Under asyncio the ledger never makes the loop wait, and a stream's
hold grows with time; under another loop the provider is awaited there and the ledger is asked at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed
from bursar.client.sending import Answer, Original, Sending
from bursar.pipeline.call import Body
from bursar.wiring.driving import Way

__all__ = ["is_asyncio", "send"]

FOREVER_S = 3600.0
"""A time limit from here on is none: it is not worth a task."""


async def send(original: Original, maker: CallMaker, exchange: Exchange) -> Any:
    """Send a request through the stages and give what `send` gives."""
    way = Way.ASYNCIO if is_asyncio() else Way.FOREIGN
    return await _Sending(original, exchange, way).run(maker)


def is_asyncio() -> bool:
    """Tell whether asyncio's event loop runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Sending(Sending):
    """By a client that does not block."""

    __slots__ = ("_answers",)

    def __init__(self, original: Original, exchange: Exchange, way: Way) -> None:
        super().__init__(original, exchange, way)
        self._answers: list[_Answer] = []

    async def call(self, request: Any) -> Any:
        return await self.original(self.exchange.client, request, stream=True, **self.exchange.options)

    def answer(self, response: Any) -> Answer:
        answer = _Answer(self, response)
        self._answers.append(answer)
        return answer

    async def close_aborted(self) -> None:
        """Close the connections of answers that were given up: only here can that be awaited."""
        for answer in self._answers:
            if answer.is_aborted:
                await answer.stream.aclose()

    async def read(self, response: Any) -> bytes:
        read: bytes = await response.aread()
        return read

    async def close(self, response: Any) -> None:
        await response.aclose()

    async def join(self, stream: Any) -> bytes:
        return b"".join([piece async for piece in stream])

    def replay(self, raw: bytes) -> Any:
        return self.exchange.kit.async_replay(raw, self.exchange.response.stream)

    def metered(self, body: Body, metering: Metering) -> Any:
        return self.exchange.kit.async_metered(body, metering, self.exchange.response.stream)


class _Answer(Answer):
    """What such a client got."""

    __slots__ = ("_coming", "_feed", "_pieces", "is_aborted")

    def __init__(self, sending: Sending, response: Any) -> None:
        super().__init__(sending, response)
        self.is_aborted = False
        self._pieces: AsyncIterator[bytes] | None = None
        self._feed: Feed | None = None
        self._coming: asyncio.Task[bytes] | None = None

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next; None when nothing came in time, and then it is still awaited."""
        if self._pieces is None:
            self._feed = self.decoding()
            self._pieces = self._stream()
        while True:
            piece = await self._next(self._pieces, timeout_s)
            if self._feed is None or not piece:
                return piece
            readable = self._feed.feed(piece)
            if readable:
                return readable

    async def _stream(self) -> AsyncIterator[bytes]:
        if self.exchange.is_read:
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
        except self.exchange.kit.failure as error:
            raise self.exchange.failed(error) from error

    def abort(self) -> None:
        self.is_aborted = True
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
