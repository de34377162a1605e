"""A metered call of a client that blocks: driven in the caller's own thread, with no event loop.

Owns what `Client.send` does in its own way; nothing here ever suspends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed
from bursar.client.sending import Answer, Original, Sending
from bursar.pipeline.call import Body
from bursar.wiring.driving import Way, drive

__all__ = ["send"]


def send(original: Original, maker: CallMaker, exchange: Exchange) -> Any:
    """Send a request through the stages and give what `send` gives."""
    return drive(_Sending(original, exchange, Way.BLOCKING).run(maker))


class _Sending(Sending):
    """By a client that blocks."""

    __slots__ = ()

    async def call(self, request: Any) -> Any:
        return self.original(self.exchange.client, request, stream=True, **self.exchange.options)

    def answer(self, response: Any) -> Answer:
        return _Answer(self, response)

    async def read(self, response: Any) -> bytes:
        read: bytes = response.read()
        return read

    async def close(self, response: Any) -> None:
        response.close()

    async def join(self, stream: Any) -> bytes:
        return b"".join(stream)

    def replay(self, raw: bytes) -> Any:
        return self.exchange.kit.replay(raw, self.exchange.response.stream)

    def metered(self, body: Body, metering: Metering) -> Any:
        return self.exchange.kit.metered(body, metering, self.exchange.response.stream)


class _Answer(Answer):
    """What such a client got."""

    __slots__ = ("_feed", "_pieces")

    def __init__(self, sending: Sending, response: Any) -> None:
        super().__init__(sending, response)
        self._pieces: Iterator[bytes] | None = None
        self._feed: Feed | None = None

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next, however long that takes: the client's own time-outs end it."""
        if self._pieces is None:
            self._feed = self.decoding()
            self._pieces = iter([self.response.content] if self.exchange.is_read else self.stream)
        try:
            for piece in self._pieces:
                readable = piece if self._feed is None else self._feed.feed(piece)
                if readable:
                    return readable
        except self.exchange.kit.failure as error:
            raise self.exchange.failed(error) from error
        return b""

    def abort(self) -> None:
        self.stream.close()

    def finish(self) -> None:
        if not self.response.is_closed:
            self.stream.close()
