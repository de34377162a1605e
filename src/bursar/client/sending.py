"""One request on its way through the stages, by a client that blocks or by one that does not.

Owns `send` of a client as the pipeline sees it, so far as it is the same for both kinds; what each does in its own way
stands in `blocking.py` and `awaiting.py`. It must never raise an error of its own out of `send`: SDKs would try again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed
from bursar.client.heads import heads_of
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


@dataclass(eq=False)
class Sending(Exchange, ABC):
    """See `pipeline/ports.py`: Upstream. The provider is reached by the program's own client."""

    is_awaited: ClassVar[bool]
    """What the client does is to be awaited."""
    answers: ClassVar[type[Answer]]
    """How the pipeline sees a response."""
    original: Original = field(kw_only=True)
    way: Way = field(kw_only=True)
    aborted: tuple[Any, ...] = field(default=(), init=False)
    """Answers that were given up, where closing their connections has to be awaited."""

    async def run(self, maker: CallMaker) -> Any:
        """Send the request through the stages and give what `send` gives."""
        way = self.way
        metering = maker.metering(self, is_interruptible=way is Way.ASYNCIO, upstream=self)
        if not isinstance(metering, Metering):
            return metering
        try:
            reply = await metering.engine.handle(metering.call, way)
        finally:
            for answer in self.aborted:
                await answer.stream.aclose()
        if self.failure is not None:
            raise self.failure
        if reply.refusal is not None:
            return metering.refused(reply)
        response = self.response
        if not isinstance(reply.body, bytes):
            await self._stream(metering, reply.body)
        elif self.raw is not None:
            response.stream = self.replay(self.raw)
        if not self.is_stream and not hasattr(response, "_content"):
            try:
                await self.read(response)
            except BaseException:
                await self.close(response)
                raise
        return response

    async def _stream(self, metering: Metering, body: Body) -> None:
        """Give the provider's own response a body that is counted as it is read."""
        response, stream = self.response, self.metered(body, metering)
        if hasattr(response, "_content"):
            # One of the client's own hooks has read it: all that is left is to count it.
            await self.join(stream)
            return
        metering.uncode(response)
        response.stream = stream

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        request = self.rewrite(headers, body)
        try:
            response = self.original(self.client, request, stream=True, **self.options)
            if self.is_awaited:
                response = await response
        except self.kit.failure as error:
            raise self.failed(error) from error
        # What failed before it counts no more.
        self.response, self.raw, self.failure = response, None, None
        if request is not self.request and response.request is request:
            # A program that looks at its request finds the one that it made.
            response.request = self.request
        return self.answers(self, response)

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

    pieces: Any = None
    """Those of the body, once the first was asked for."""
    feed: Feed | None = None
    """What decodes them; None where they can be read as they come."""

    def __init__(self, sending: Sending, response: Any) -> None:
        self.sending = sending
        self.response = response
        self.stream = response.stream
        """The provider's bytes; the response itself may get another stream, which reads this one."""
        self.status = int(response.status_code)
        self.headers, self.encoding = heads_of(response)
        """What is looked at of the headers; the program gets the provider's own answer."""

    @property
    def is_read(self) -> bool:
        """Tell whether a hook of the client has read the answer already."""
        return hasattr(self.response, "_content")

    async def body(self, size_max: int) -> bytes:
        """Read all, decoded; nothing where it cannot be decoded, or is too long to be looked at."""
        response, sending = self.response, self.sending
        if hasattr(response, "_content"):
            read: bytes = response.content
            return read
        try:
            if sending.is_stream or self.encoding not in READ_ALIKE:
                sending.raw = await sending.join(self.stream)
                return sending.readable(sending.raw, self.encoding, size_max)
            # It is the program's client that would read it next: it does so now, and all is as it would have been.
            read = await response.aread() if sending.is_awaited else response.read()
        except sending.kit.undecodable as error:
            # All of it came, and counts; that nobody can read it is for the program to see.
            await sending.close(response)
            sending.failure = error
            return b""
        except sending.kit.failure as error:
            error.request = response.request  # As the client itself would tell.
            raise sending.failed(error) from error
        return read if len(read) <= size_max else b""

    def decoding(self) -> Feed | None:
        """Make what decodes the pieces of the body; None where they can be read as they come."""
        return None if self.is_read or self.encoding in PLAIN else Feed(self.encoding)

    @abstractmethod
    async def read(self, timeout_s: float) -> bytes | None: ...

    @abstractmethod
    def abort(self) -> None: ...

    @abstractmethod
    def finish(self) -> None: ...
