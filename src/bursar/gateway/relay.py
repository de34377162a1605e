"""From a Reply to a client's connection.

Owns the read-ahead: the provider's stream is read into a bounded buffer while the client takes its time, and what
time makes due is done even while the buffer is full. However it ends, the body is closed and so its hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from bursar.config.settings import Limits
from bursar.pipeline.call import Body, Reply

__all__ = ["Message", "Receive", "Send", "relay"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


async def relay(reply: Reply, receive: Receive, send: Send, limits: Limits) -> None:
    """Send a reply to the client."""
    headers = _headers(reply.headers)
    if isinstance(reply.body, bytes):
        headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        return
    start: Message = {"type": "http.response.start", "status": reply.status, "headers": headers}
    await _stream(reply.body, start, receive, send, limits)


def _headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Write the headers. One with a control letter is left out: it could end its line and begin another.

    Answers are for the one who asked, so nothing between may keep them where their provider says nothing about it.
    """
    headers = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs]
    headers = [(name, value) for name, value in headers if _CONTROL.search(name + value) is None]
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"private, no-store"))
    return headers


async def _stream(body: Body, start: Message, receive: Receive, send: Send, limits: Limits) -> None:
    ahead = _ReadAhead(body, limits.read_ahead_bytes_max)
    tasks = [asyncio.create_task(ahead.fill()), asyncio.create_task(_watch(receive, ahead))]
    try:
        with contextlib.suppress(TimeoutError):
            await _send(start, send, limits)
            while not ahead.is_gone:
                piece = await ahead.take()
                more = bool(piece)
                await _send({"type": "http.response.body", "body": piece, "more_body": more}, send, limits)
                if not more:
                    break
    finally:
        is_hangup = not ahead.is_ended
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await body.close(is_hangup=is_hangup)


async def _send(message: Message, send: Send, limits: Limits) -> None:
    """Send one message; a client that does not read for `stall_s` counts as gone (TimeoutError)."""
    async with asyncio.timeout(limits.stall_s):
        await send(message)


async def _watch(receive: Receive, ahead: _ReadAhead) -> None:
    """Notice a client that goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    ahead.leave()


class _ReadAhead:
    """A bounded buffer between the provider's speed and the client's."""

    def __init__(self, body: Body, bytes_max: int) -> None:
        self._body = body
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._error: BaseException | None = None
        self.is_ended = False
        self.is_gone = False

    async def fill(self) -> None:
        """Read the body to its end; what goes wrong is raised where the pieces are taken."""
        try:
            while piece := await self._body.read():
                self._pieces.append(piece)
                self._size += len(piece)
                self._filled.set()
                while self._size >= self._bytes_max:
                    await self._wait_for_room()
            self.is_ended = True
        except Exception as error:  # noqa: BLE001 - handed on to the reader, not swallowed
            self._error = error
        finally:
            self._filled.set()

    async def _wait_for_room(self) -> None:
        """Wait until the client has taken something, doing meanwhile what time makes due."""
        self._drained.clear()
        due_s = await self._body.tick()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(due_s):
                await self._drained.wait()

    async def take(self) -> bytes:
        """Give everything that has been read; b"" at the end, or when the client is gone."""
        while not self._pieces and not self.is_ended and not self.is_gone and self._error is None:
            self._filled.clear()
            await self._filled.wait()
        if self._pieces:
            joined = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._drained.set()
            return joined
        if self._error is not None:
            raise self._error
        return b""

    def leave(self) -> None:
        """Note that the client is gone."""
        self.is_gone = True
        self._filled.set()
