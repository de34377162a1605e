"""A metered call of a client that does not block: awaited in the loop that the program has.

Owns `AsyncClient.send` as the pipeline sees it. Under asyncio the ledger never makes the loop wait, and a stream's hold
grows with time; under another loop the provider is awaited there and the ledger is asked at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed, Heads
from bursar.client.inside import inside
from bursar.core.provider import Provider
from bursar.pipeline.call import Reply
from bursar.pipeline.ports import Answering
from bursar.wiring.local import Way

__all__ = ["is_asyncio", "send"]

FOREVER_S = 3600.0
"""A time limit from here on is none: it is not worth a task."""


async def send(original: Callable[..., Awaitable[Any]], maker: CallMaker, exchange: Exchange, *, stream: bool) -> Any:
    """Send a request through the stages and give what `send` gives."""
    way = Way.ASYNCIO if is_asyncio() else Way.FOREIGN
    metering = maker.metering(exchange, is_interruptible=way is Way.ASYNCIO)
    if not isinstance(metering, Metering):
        return metering
    upstream = _Upstream(original, exchange, way is Way.ASYNCIO)
    try:
        reply = await metering.handle(upstream, way)
    finally:
        await upstream.close_aborted()
    if reply.refusal is not None and exchange.failure is None:
        return metering.refused(reply)
    if exchange.failure is not None:
        raise exchange.failure
    response = await _given(metering, reply, exchange, upstream)
    if not stream:
        try:
            await response.aread()
        except BaseException:
            await response.aclose()
            raise
    return response


def is_asyncio() -> bool:
    """Tell whether asyncio's event loop runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _given(metering: Metering, reply: Reply, exchange: Exchange, upstream: _Upstream) -> Any:
    """Give the provider's own response, its body as it came or as it comes."""
    response, kit = exchange.response, exchange.kit
    if isinstance(reply.body, bytes):
        if exchange.raw is not None:
            response.stream = kit.async_replay(exchange.raw, response.stream)
        return response
    if exchange.is_read:
        # One of the client's own hooks has read it: all that is left is to count it.
        async for _ in kit.async_metered(reply.body, metering, response.stream):
            pass
        return response
    metering.uncode(response)
    response.stream = kit.async_metered(reply.body, metering, response.stream)
    return response


@dataclass(slots=True)
class _Upstream:
    """See `pipeline/ports.py`: Upstream. The provider is reached by the program's own client."""

    original: Callable[..., Awaitable[Any]]
    exchange: Exchange
    has_asyncio: bool
    answers: list[_Answer] = field(default_factory=list)

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        exchange = self.exchange
        request = exchange.rewrite(headers, body)
        try:
            with inside():
                response = await self.original(exchange.client, request, stream=True, **exchange.options)
        except exchange.kit.failure as error:
            raise exchange.failed(error) from error
        exchange.answered(response)
        answer = _Answer(exchange, response, response.stream, Heads.of(response), self.has_asyncio)
        self.answers.append(answer)
        return answer

    async def close_aborted(self) -> None:
        """Close the connections of answers that were given up: only here can that be awaited."""
        for answer in self.answers:
            if answer.is_aborted:
                await answer.stream.aclose()


@dataclass(slots=True)
class _Answer:
    """See `pipeline/ports.py`: Answering."""

    exchange: Exchange
    response: Any
    stream: Any
    """The provider's bytes; the response itself gets another stream, which reads this one."""
    heads: Heads
    has_asyncio: bool
    is_aborted: bool = False
    _pieces: AsyncIterator[bytes] | None = field(default=None, init=False)
    _feed: Feed | None = field(default=None, init=False)
    _coming: asyncio.Task[bytes] | None = field(default=None, init=False)

    @property
    def status(self) -> int:
        return int(self.response.status_code)

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return self.heads.pairs

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next; None when nothing came in time, and then it is still awaited."""
        if self._pieces is None or self._feed is None:
            self._pieces = self._stream()
            self._feed = Feed("" if self.exchange.is_read else self.heads.encoding)
        while True:
            piece = await self._next(self._pieces, timeout_s)
            if piece is None or piece == b"":
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
            if self._coming is None and (timeout_s >= FOREVER_S or not self.has_asyncio):
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

    async def body(self, size_max: int) -> bytes:
        if self.exchange.is_read:
            read: bytes = self.response.content
            return read
        try:
            raw = b"".join([piece async for piece in self.stream])
        except self.exchange.kit.failure as error:
            raise self.exchange.failed(error) from error
        self.exchange.raw = raw
        return self.exchange.readable(raw, self.heads.encoding, size_max)

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
