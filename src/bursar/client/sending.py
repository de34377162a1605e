"""One request on its way through the stages, by a client that blocks or by one that does not.

Owns `send` of a client as the pipeline sees it, so far as it is the same for both kinds; what each does in its own way
stands in `blocking.py` and `awaiting.py`. It must never raise an error of its own out of `send`: SDKs would try again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed, heads_of
from bursar.core.provider import Provider
from bursar.pipeline.call import Body
from bursar.pipeline.ports import Answering
from bursar.wiring.driving import Way

__all__ = ["Answer", "Original", "Sending"]

Original: TypeAlias = Callable[..., Any]
"""`send` of the client's class, as it was."""
PLAIN = frozenset({"", "identity"})
READ_ALIKE = PLAIN | {"gzip", "deflate"}
"""Encodings that every client takes off as it is done here: such an answer need not be decoded twice."""


class Sending(ABC):
    """See `pipeline/ports.py`: Upstream. The provider is reached by the program's own client."""

    __slots__ = ("exchange", "original", "way")

    def __init__(self, original: Original, exchange: Exchange, way: Way) -> None:
        self.original = original
        self.exchange = exchange
        self.way = way

    async def run(self, maker: CallMaker) -> Any:
        """Send the request through the stages and give what `send` gives."""
        exchange = self.exchange
        metering = maker.metering(exchange, is_interruptible=self.way is Way.ASYNCIO)
        if not isinstance(metering, Metering):
            return metering
        try:
            reply = await metering.handle(self, self.way)
        finally:
            await self.close_aborted()
        if exchange.failure is not None:
            raise exchange.failure
        if reply.refusal is not None:
            return metering.refused(reply)
        response = exchange.response
        if not isinstance(reply.body, bytes):
            await self._stream(metering, reply.body)
        elif exchange.raw is not None:
            response.stream = self.replay(exchange.raw)
        if not exchange.is_stream and not exchange.is_read:
            try:
                await self.read(response)
            except BaseException:
                await self.close(response)
                raise
        return response

    async def _stream(self, metering: Metering, body: Body) -> None:
        """Give the provider's own response a body that is counted as it is read."""
        response, stream = self.exchange.response, self.metered(body, metering)
        if self.exchange.is_read:
            # One of the client's own hooks has read it: all that is left is to count it.
            await self.join(stream)
            return
        metering.uncode(response)
        response.stream = stream

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        exchange = self.exchange
        request = exchange.rewrite(headers, body)
        try:
            response = await self.call(request)
        except exchange.kit.failure as error:
            raise exchange.failed(error) from error
        exchange.answered(response)
        return self.answer(response)

    async def close_aborted(self) -> None:
        """Close the connections of answers that were given up, where that has to be awaited."""
        return

    @abstractmethod
    async def call(self, request: Any) -> Any:
        """Send by the client, and give the response, its body unread."""

    @abstractmethod
    def answer(self, response: Any) -> Answer:
        """Give a response as the pipeline sees it."""

    @abstractmethod
    async def read(self, response: Any) -> bytes:
        """Let a response read its body."""

    @abstractmethod
    async def close(self, response: Any) -> None:
        """Close a response."""

    @abstractmethod
    async def join(self, stream: Any) -> bytes:
        """Read a stream to its end."""

    @abstractmethod
    def replay(self, raw: bytes) -> Any:
        """Make the stream of a body that was read already."""

    @abstractmethod
    def metered(self, body: Body, metering: Metering) -> Any:
        """Make the stream of a body that is counted as it is read."""


class Answer(ABC):
    """See `pipeline/ports.py`: Answering."""

    __slots__ = ("encoding", "exchange", "headers", "response", "sending", "status", "stream")

    def __init__(self, sending: Sending, response: Any) -> None:
        self.sending = sending
        self.exchange = sending.exchange
        self.response = response
        self.stream = response.stream
        """The provider's bytes; the response itself may get another stream, which reads this one."""
        kind, self.encoding = heads_of(response)
        self.status = int(response.status_code)
        self.headers = (("content-type", kind),)
        """What is looked at of the headers; the program gets the provider's own answer."""

    async def body(self, size_max: int) -> bytes:
        """Read all, decoded; nothing where it cannot be decoded, or is too long to be looked at."""
        exchange = self.exchange
        if exchange.is_read:
            read: bytes = self.response.content
            return read
        try:
            if exchange.is_stream or self.encoding not in READ_ALIKE:
                exchange.raw = await self.sending.join(self.stream)
                return exchange.readable(exchange.raw, self.encoding, size_max)
            # It is the program's client that would read it next: it does so now, and all is as it would have been.
            read = await self.sending.read(self.response)
        except exchange.kit.undecodable as error:
            # All of it came, and counts; that nobody can read it is for the program to see.
            await self.sending.close(self.response)
            exchange.failure = error
            return b""
        except exchange.kit.failure as error:
            error.request = self.response.request  # As the client itself would tell.
            raise exchange.failed(error) from error
        return read if len(read) <= size_max else b""

    def decoding(self) -> Feed | None:
        """Make what decodes the pieces of the body; None where they can be read as they come."""
        return None if self.exchange.is_read or self.encoding in PLAIN else Feed(self.encoding)

    @abstractmethod
    async def read(self, timeout_s: float) -> bytes | None: ...

    @abstractmethod
    def abort(self) -> None: ...

    @abstractmethod
    def finish(self) -> None: ...
