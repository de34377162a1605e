"""One request and its answer, on one connection of a client.

Owns how an answer is written as HTTP/1.1, how a body is waited for, and who is told that the client went away. It knows
no route and no budget. What is written goes to the connection at once; nothing here waits for a slow client, whoever
writes looks at `unsent_bytes`.

The administration is served by a framework: for it an exchange is an ASGI request as well (`asgi`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

__all__ = ["Connection", "Exchange", "Message", "RawHeaders", "Receive", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = Sequence[tuple[bytes, bytes]]

_BODILESS = frozenset({204, 304})


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


_STATUS_LINES = {status: f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode() for status in range(100, 600)}


class Connection(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None: ...
    def ended(self) -> None:
        """The answer has been written to its end."""
        ...

    def abort(self) -> None: ...
    def read_on(self) -> None:
        """Let more of the request's body come."""
        ...

    @property
    def unsent_bytes(self) -> int: ...


class Exchange:
    """One request. Written once: `start`, any number of `write`, `end`; or `respond` for all of it."""

    __slots__ = (
        "_connection",
        "_gone",
        "_head",
        "_is_chunked",
        "_is_continued",
        "_is_wanted",
        "_loop",
        "_pieces",
        "_size",
        "_waiter",
        "headers",
        "is_bodiless",
        "is_ended",
        "is_gone",
        "is_keeping",
        "is_started",
        "is_whole",
        "method",
        "path",
        "query",
        "raw_headers",
        "version",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop, method: str, raw: RawHeaders) -> None:
        self._connection = connection
        self._loop = loop
        self.method = method
        self.path = ""
        self.query = b""
        self.version = "1.1"
        self.raw_headers = raw
        self.headers: Mapping[str, str] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._gone: Callable[[], object] | None = None
        self._head: bytes | None = None
        self._is_chunked = self._is_wanted = self._is_continued = False
        self.is_whole = False
        """The request's body has come to its end."""
        self.is_gone = False
        """The client went away before its answer was complete."""
        self.is_started = self.is_ended = False
        self.is_keeping = True
        """The connection stays open after the answer."""
        self.is_bodiless = method == "HEAD"

    # --- the request's body -----------------------------------------------------------------------------------------

    def add(self, piece: bytes, unread_max: int) -> bool:
        """Take a piece of the body; True when there is more than anybody has asked for yet."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()
        return not self._is_wanted and self._size > unread_max

    def complete(self) -> None:
        """Note the body's end."""
        self.is_whole = True
        self._wake()

    @property
    def size_bytes(self) -> int:
        """How much of the body has come."""
        return self._size

    async def more(self) -> None:
        """Wait for more of the body, or its end, or the client's."""
        self._is_wanted = True
        if self.headers.get("expect", "").lower() == "100-continue" and not (self._is_continued or self.is_started):
            self._is_continued = True
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.read_on()
        await self._wait()

    def take(self) -> bytes:
        """Give what has come of the body."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the client -------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Note that the client is gone, and tell whoever asked to know."""
        self.is_gone = True
        self._wake()
        if self._gone is not None:
            self._gone()

    def when_gone(self, call: Callable[[], object] | None) -> None:
        """Call this when the client goes away; None forgets it."""
        self._gone = call

    @property
    def unsent_bytes(self) -> int:
        """How much the client has not taken yet."""
        return 0 if self.is_gone else self._connection.unsent_bytes

    async def room(self, timeout_s: float | None) -> None:
        """Wait until the client has taken something, or is gone, or the time is over."""
        if self.is_gone:
            return
        handle = None if timeout_s is None else self._loop.call_later(timeout_s, self._wake)
        try:
            await self._wait()
        finally:
            if handle is not None:
                handle.cancel()

    def has_room(self) -> None:
        """Note that the client has taken something."""
        self._wake()

    # --- the answer -------------------------------------------------------------------------------------------------

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer at once and whole; `headers` are lines, each with its end."""
        head = self._written(status, headers, len(body))
        self.is_started = True
        self._put(head if self.is_bodiless else head + body)
        self._finish()

    def start(self, status: int, headers: bytes, size: int | None = None) -> None:
        """Begin an answer; it goes out with its first piece, or when nothing follows in this turn of the loop."""
        self._is_chunked = size is None and self.version != "1.0" and status not in _BODILESS
        if size is None and not self._is_chunked:
            self.is_keeping = False
        self._head = self._written(status, headers, size)
        self.is_started = True
        self._loop.call_soon(self._flush)

    def write(self, piece: bytes) -> None:
        """Write a piece of the answer's body."""
        if self.is_bodiless or not piece:
            return
        data = b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece
        if self._head is not None:
            data, self._head = self._head + data, None
        self._put(data)

    def end(self) -> None:
        """End the answer."""
        self._flush()
        if self._is_chunked and not self.is_bodiless:
            self._put(b"0\r\n\r\n")
        self._finish()

    def abort(self) -> None:
        """Break off: what was written is not the whole."""
        self._connection.abort()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._put(head)

    def _put(self, data: bytes) -> None:
        if not self.is_gone:
            self._connection.write(data)

    def _finish(self) -> None:
        self.is_ended = True
        if not self.is_gone:
            self._connection.ended()

    def _written(self, status: int, headers: bytes, size: int | None) -> bytes:
        lines = [_STATUS_LINES[status], headers]
        if size is not None:
            lines.append(b"content-length: %d\r\n" % size)
        elif self._is_chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self.is_keeping:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    # --- the framework's view ---------------------------------------------------------------------------------------

    def asgi(self) -> tuple[MutableMapping[str, Any], Receive, Send]:
        """Give this exchange as an ASGI request whose answer comes whole; its body is read from the exchange."""
        scope = {
            "type": "http",
            "http_version": self.version,
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "query_string": self.query,
            "root_path": "",
            "headers": list(self.raw_headers),
        }
        start: Message = {}

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                lines = [b"%b: %b\r\n" % pair for pair in start["headers"] if pair[0] != b"content-length"]
                self.respond(start["status"], b"".join(lines), message.get("body", b""))

        return scope, receive, send
