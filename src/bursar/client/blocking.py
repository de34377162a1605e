"""A metered call of a client that blocks: driven in the caller's own thread, with no event loop.

Owns `Client.send` as the pipeline sees it. It must never raise an error of its own out of `send`: SDKs would try again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed, Heads
from bursar.client.inside import inside
from bursar.core.provider import Provider
from bursar.pipeline.call import Reply
from bursar.pipeline.ports import Answering
from bursar.wiring.local import Way, drive

__all__ = ["send"]


def send(original: Callable[..., Any], maker: CallMaker, exchange: Exchange, *, stream: bool) -> Any:
    """Send a request through the stages and give what `send` gives."""
    metering = maker.metering(exchange, is_interruptible=False)
    if not isinstance(metering, Metering):
        return metering
    upstream = _Upstream(original, exchange)
    reply = drive(metering.handle(upstream, Way.BLOCKING))
    if reply.refusal is not None and exchange.failure is None:
        return metering.refused(reply)
    if exchange.failure is not None:
        raise exchange.failure
    response = _given(metering, reply, exchange)
    if not stream:
        try:
            response.read()
        except BaseException:
            response.close()
            raise
    return response


def _given(metering: Metering, reply: Reply, exchange: Exchange) -> Any:
    """Give the provider's own response, its body as it came or as it comes."""
    response, kit = exchange.response, exchange.kit
    if isinstance(reply.body, bytes):
        if exchange.raw is not None:
            response.stream = kit.replay(exchange.raw, response.stream)
        return response
    if exchange.is_read:
        # One of the client's own hooks has read it: all that is left is to count it.
        for _ in kit.metered(reply.body, metering, response.stream):
            pass
        return response
    metering.uncode(response)
    response.stream = kit.metered(reply.body, metering, response.stream)
    return response


@dataclass(frozen=True, slots=True)
class _Upstream:
    """See `pipeline/ports.py`: Upstream. The provider is reached by the program's own client."""

    original: Callable[..., Any]
    exchange: Exchange

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        exchange = self.exchange
        request = exchange.rewrite(headers, body)
        try:
            with inside():
                response = self.original(exchange.client, request, stream=True, **exchange.options)
        except exchange.kit.failure as error:
            raise exchange.failed(error) from error
        exchange.answered(response)
        return _Answer(exchange, response, response.stream, Heads.of(response))


@dataclass(slots=True)
class _Answer:
    """See `pipeline/ports.py`: Answering."""

    exchange: Exchange
    response: Any
    stream: Any
    """The provider's bytes; the response itself gets another stream, which reads this one."""
    heads: Heads
    _pieces: Iterator[bytes] | None = field(default=None, init=False)
    _feed: Feed | None = field(default=None, init=False)

    @property
    def status(self) -> int:
        return int(self.response.status_code)

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return self.heads.pairs

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next, however long that takes: the client's own time-outs end it."""
        if self._pieces is None or self._feed is None:
            self._pieces = iter([self.response.content] if self.exchange.is_read else self.stream)
            self._feed = Feed("" if self.exchange.is_read else self.heads.encoding)
        try:
            for piece in self._pieces:
                readable = self._feed.feed(piece)
                if readable:
                    return readable
        except self.exchange.kit.failure as error:
            raise self.exchange.failed(error) from error
        return b""

    async def body(self, size_max: int) -> bytes:
        if self.exchange.is_read:
            read: bytes = self.response.content
            return read
        try:
            raw = b"".join(self.stream)
        except self.exchange.kit.failure as error:
            raise self.exchange.failed(error) from error
        self.exchange.raw = raw
        return self.exchange.readable(raw, self.heads.encoding, size_max)

    def abort(self) -> None:
        self.stream.close()

    def finish(self) -> None:
        self.stream.close()
