"""One HTTP exchange over ASGI, with what ASGI hides: noticing a lost connection, and cutting one.

Owns the reading of a bounded body, the writing of a response and the watch on the other end. It must never know a wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

__all__ = ["BODY_BYTES_MAX", "BodyTooLarge", "Connection", "Headers", "Message", "Receive", "Scope", "Send"]

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

BODY_BYTES_MAX = 64 * 1024 * 1024
CLOSE_WAIT_S = 5.0
TRANSPORT = "bursar.transport"
"""The key in the scope's extensions under which the server puts the connection's transport."""


class BodyTooLarge(Exception):
    """The request's body has more than `BODY_BYTES_MAX` bytes."""


class Connection:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap an ASGI call. Needs the transport in the scope's extensions, as `server` puts it there."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.header_list = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self._transport: asyncio.WriteTransport = scope["extensions"][TRANSPORT]
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, names in lower case; the last of several wins."""
        return dict(self.header_list)

    async def body(self) -> bytes | None:
        """Read the request's body; None when the client left before its end. Raises BodyTooLarge."""
        parts: list[bytes] = []
        size_bytes = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size_bytes += len(parts[-1])
            if size_bytes > BODY_BYTES_MAX:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return b"".join(parts)

    @property
    def is_lost(self) -> bool:
        """Whether the other end is gone."""
        return self._transport.is_closing() or (self._watch is not None and self._watch.done())

    async def lost_within(self, seconds: float) -> bool:
        """Wait up to `seconds` and say whether the other end is gone. Call only after the body was read."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._until_lost())
        if seconds > 0 and not self._watch.done():
            await asyncio.wait({self._watch}, timeout=seconds)
        return self.is_lost

    async def _until_lost(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and headers."""
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes, *, is_last: bool = False) -> None:
        """Send a part of the body, as fast as the reader takes it."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole response."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.write(body, is_last=True)

    async def cut(self) -> None:
        """Close the TCP connection after what was written, with no end of the response."""
        self._transport.close()
        if not await self._closed_within(CLOSE_WAIT_S):
            self._transport.abort()
            await self._closed_within(CLOSE_WAIT_S)

    async def _closed_within(self, seconds: float) -> bool:
        await self.lost_within(0)
        watch = self._watch
        assert watch is not None
        await asyncio.wait({watch}, timeout=seconds)
        return watch.done()

    def unwatch(self) -> None:
        """Stop watching the other end."""
        if self._watch is not None:
            self._watch.cancel()
