"""One connection to a provider: HTTP/1.1 parsed by httptools, one request at a time.

Owns the bytes of an exchange: what was sent, what has come, whether its end was the true one. It knows no provider, no
pool and no reason for a deadline.

Why not a general client: the smallest one measured cost more for each call than everything else that the gateway does
with it (docs/dependencies.md). This one does what a call to a model needs, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools

__all__ = ["BUFFER_BYTES", "HEADERS_MAX", "HEAD_BYTES_MAX", "BrokenAnswer", "Connection", "Exchange"]

BUFFER_BYTES = 2**17
"""Unread bytes of an answer above which the socket is not read."""
HEAD_BYTES_MAX = 2**16
"""The longest head of an answer; of trailers and chunk extensions llhttp keeps nothing."""
HEADERS_MAX = 80
"""The most headers of an answer: with ours, no more than the strictest client takes (100)."""
_BODILESS = frozenset({204, 304})


class BrokenAnswer(Exception):
    """The other end broke off, or what it said is not HTTP. Carries no text of the answer."""


class Exchange:
    """One request's answer as it comes. It has one reader."""

    __slots__ = (
        "_alarm",
        "_alarm_at",
        "_connection",
        "_ends",
        "_loop",
        "_pieces",
        "_size",
        "_waiter",
        "error",
        "headers",
        "is_complete",
        "status",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection: Connection | None = connection
        self._loop = loop
        self._waiter: asyncio.Future[bool] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = self._ends = 0.0
        self._pieces: list[bytes] = []
        self._size = 0
        self.status = 0
        """0 until the head has come."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self.error: BrokenAnswer | None = None

    async def head(self, ends: float) -> bool:
        """Wait for the head until an instant of the loop's clock; False when it did not come. Raises BrokenAnswer."""
        while not self.status:
            if self.error is not None:
                raise self.error
            if not await self._wait(ends):
                return False
        return True

    async def read(self, ends: float) -> bytes | None:
        """Give all that has come; b"" at the end, None when nothing came until then. Raises BrokenAnswer."""
        while not self._pieces:
            if self.is_complete:
                return b""
            if self.error is not None:
                raise self.error
            if not await self._wait(ends):
                return None
        pieces, self._pieces = self._pieces, []
        if self._size > BUFFER_BYTES and self._connection is not None:
            self._connection.resume()
        self._size = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _wait(self, ends: float) -> bool:
        """Wait until something comes; False when that instant passes first.

        An alarm that is set stays for the waits that follow: nearly all of them end long before it rings, and setting
        one for each piece of a stream costs more than reading it.
        """
        if self._loop.time() >= ends:
            return False
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        self._ends = ends
        if self._alarm is None or self._alarm_at > ends:
            self._set_alarm(ends)
        try:
            return await waiter
        finally:
            self._waiter = None

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() >= self._ends:
            self._waiter.set_result(False)
        else:
            self._set_alarm(self._ends)

    def wake(self) -> None:
        """Let the reader look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def add(self, piece: bytes) -> bool:
        """Take a piece of the body; True when no more should be read from the socket for now."""
        self._pieces.append(piece)
        self._size += len(piece)
        self.wake()
        return bool(self._size > BUFFER_BYTES)

    def end(self, error: BrokenAnswer | None = None) -> None:
        """Note that nothing more comes: the answer is whole, or broken."""
        self._connection = None
        self.is_complete, self.error = error is None, error
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self.wake()

    def abort(self) -> None:
        """Close the connection; of an answer that has come whole it is another's by now."""
        if self._connection is not None:
            self._connection.close()


class Connection(asyncio.Protocol):
    """One socket. `let_go` is called when an exchange is over, or the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, let_go: Callable[[Connection], None]) -> None:
        self._loop = loop
        self._let_go = let_go
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._exchange: Exchange | None = None
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._is_head = False
        self._is_framed = True
        self._is_paused = False
        self.is_open = False
        self.idle_since = 0.0

    @property
    def is_idle(self) -> bool:
        """It can take another request."""
        return self.is_open and self._exchange is None

    def begin(self, request: bytes, body: bytes) -> Exchange:
        """Send a request; whatever happens from here on, it may have been read."""
        assert self.is_idle
        exchange = self._exchange = Exchange(self, self._loop)
        if len(body) <= BUFFER_BYTES:
            self._transport.write(request + body)
        else:
            self._transport.writelines((request, body))
        return exchange

    def close(self, why: str = "closed from here") -> None:
        """Drop the connection at once, with what was not sent yet."""
        if self.is_open:
            self.is_open = False
            self._transport.abort()
            self._over(BrokenAnswer(why))

    def resume(self) -> None:
        """Read on after the reader has caught up."""
        if self.is_open and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    # --- the transport's calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        try:
            if self._is_head:
                self._count(len(data))
            self._parser.feed_data(data)
        except (
            httptools.HttpParserError,
            httptools.HttpParserUpgrade,
            httptools.HttpParserCallbackError,
            BrokenAnswer,
        ):
            self.close("what came is not HTTP")

    def eof_received(self) -> None:
        """Close: with half a connection nothing can be done."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        exchange = self._exchange
        # An answer without a length ends with its connection; no other does.
        is_end = exc is None and exchange is not None and bool(exchange.status) and not self._is_framed
        self._over(None if is_end else BrokenAnswer("the connection was closed"))

    def _over(self, error: BrokenAnswer | None) -> None:
        """End the exchange, if there is one, and say that this connection is free or gone."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.end(error)
        self._let_go(self)

    # --- the parser's calls -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._exchange is None:
            raise BrokenAnswer("an answer that nobody asked for")
        self._status, self._headers, self._head_size = 0, [], 0
        self._is_head, self._is_framed = True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if not self._is_head:
            return  # A trailer.
        if len(self._headers) >= HEADERS_MAX:
            raise BrokenAnswer("a head without end")
        name = name.lower()
        self._headers.append((name, value))
        if name in (b"content-length", b"transfer-encoding"):
            self._is_framed = True

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_BYTES_MAX:
            raise BrokenAnswer("a head without end")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return  # It only says that the answer is still to come.
        self._status, self._is_head = status, False
        self._is_framed = self._is_framed or status in _BODILESS
        exchange = self._exchange
        if exchange is not None:
            exchange.status, exchange.headers = status, self._headers
            exchange.wake()

    def on_body(self, piece: bytes) -> None:
        if self._exchange is not None and self._exchange.add(piece) and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._status:
            return  # Of an answer that was only announced.
        if self._parser.should_keep_alive() and not self._transport.get_write_buffer_size():
            self.resume()
            self._over(None)
        else:
            self._over(None)
            self.close()
