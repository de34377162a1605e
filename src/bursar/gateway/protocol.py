"""Uvicorn's HTTP protocol with a limit on everything that a client can make long, late or many.

Owns what must be refused before an application sees a request, and what must end when nobody reads or writes any
more: httptools and uvicorn set no such limit themselves. It knows no route and no budget.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bursar.config.settings import Limits

__all__ = ["LINGER_S", "IdleConnections", "LimitedProtocol"]

LINGER_S = 2.0
"""How long a request that was answered before its body had come may go on sending; then it is cut off."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host"})
"""Headers that may come once: two of them, and two readers could see two requests."""


_BODY = frozenset({b"content-length", b"transfer-encoding"})


class IdleConnections(dict["LimitedProtocol", None]):
    """Connections of one process without a request in work, the longest idle first. They give way when it is full."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection of an application that has `limits` and `idle`.

    A request whose head is too long, too late or ambiguous is answered once, and the connection closed. Requests sent
    ahead of an answer are not read: the connection closes after that answer.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app: Any = self.config.app
        self._limits: Limits = app.limits
        self._idle: IdleConnections = app.idle
        self._head_bytes = 0
        self._head_size = 0
        self._is_head = True
        self._is_deaf = False
        self._framing: list[tuple[bytes, bytes]] = []
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._make_room()
        self._expect_head()

    def _make_room(self) -> None:
        """Let the longest idle connection go when there are too many; refuse this one when none is idle."""
        if len(self.connections) > self._limits.connections_max:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                self._refuse(b"503 Service Unavailable")
                return
            del self._idle[oldest]
            oldest.transport.abort()
        self._idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.pop(self, None)
        self._forget_late()
        self._forget_stalled()
        super().connection_lost(exc)

    # --- the head --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self.transport.is_closing():
            return
        if self._is_head:
            self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._read_on(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse_garbage()
        if self._is_head and self._head_bytes > self._limits.headers_bytes_max:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        if self._is_answering():
            raise ValueError("a request ahead of the answer before it")
        self._is_head = True
        self._head_bytes = self._head_size = 0
        if self._late is None:
            self._expect_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._add_to_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._add_to_head(len(name) + len(value))
        if not self._is_head:
            return  # A trailer: nobody in front of us has seen it, so it is no header.
        super().on_header(name, value)
        if len(self.headers) > self._limits.headers_max:
            self._refuse_head()
        if name.lower() in _FRAMING and sum(known == name.lower() for known, _ in self.headers) > 1:
            raise ValueError(f"two {name!r} headers")

    def _add_to_head(self, size_bytes: int) -> None:
        self._head_size += size_bytes
        if self._head_size > self._limits.headers_bytes_max:
            self._refuse_head()

    def _refuse_head(self) -> None:
        self._refuse(b"431 Request Header Fields Too Large")
        raise ValueError("too many or too long headers")

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._head_bytes = 0
        self._forget_late()
        self._idle.pop(self, None)
        self._check_framing()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def _check_framing(self) -> None:
        """Refuse a head whose body could end in two places, and versions that we do not speak."""
        version = self.parser.get_http_version()
        self._framing = [(name, value) for name, value in self.headers if name in _BODY]
        if version not in ("1.0", "1.1"):
            raise ValueError("another version of HTTP")
        for name, value in self._framing:
            if name == b"transfer-encoding" and (
                value.strip().lower() != b"chunked" or len(self._framing) > 1 or version == "1.0"
            ):
                raise ValueError("only chunked, and nothing beside it")

    def _read_on(self, data: bytes) -> None:
        """Read the body of a request that offers another protocol (as Java's client does): the parser stops there."""
        if self._framing and isinstance(self.parser, httptools.HttpRequestParser):
            self.parser = httptools.HttpRequestParser(_Rest(self))
            head = b"".join(name + b": " + value + b"\r\n" for name, value in self._framing)
            self.data_received(b"POST / HTTP/1.1\r\n" + head + b"\r\n" + data)

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(self._limits.headers_s, self._head_is_late)

    def _forget_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _head_is_late(self) -> None:
        self._late = None
        if self._is_head:
            self._refuse(b"408 Request Timeout")

    # --- refusing --------------------------------------------------------------------------------------------------

    def _is_answering(self) -> bool:
        """A request has come whole, and its answer has not gone out whole."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _refuse_garbage(self) -> None:
        """Answer what cannot be parsed, but never into the middle of another request's answer."""
        cycle: Any = self.cycle
        if self._is_answering():
            self.be_deaf()
        elif cycle is not None and cycle.response_started and not self._is_head:
            self.transport.close()
        else:
            self._refuse(b"400 Bad Request")

    def be_deaf(self) -> None:
        """Read no more on this connection, and close it after the answer."""
        self._is_deaf = True
        self.cycle.keep_alive = False

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    # --- the answer ------------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self._idle[self] = None
        if self.cycle.more_body and self._late is None:
            self._late = self.loop.call_later(LINGER_S, self.transport.abort)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._framing:
            return  # It only seems so, see `_read_on`.
        self._forget_late()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unsent()

    def resume_writing(self) -> None:
        self._forget_stalled()
        super().resume_writing()

    def _watch_unsent(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self._limits.stall_s, self._stall)

    def _stall(self) -> None:
        """Drop a client that has taken nothing for `stall_s`; whoever reads slowly is left alone."""
        if self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._watch_unsent()
        else:
            self.transport.abort()

    def _forget_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class _Rest:
    """The parser's callbacks for the body of a request whose head was read before."""

    def __init__(self, connection: LimitedProtocol) -> None:
        self.on_body = connection.on_body
        self._connection = connection

    def on_message_complete(self) -> None:
        self._connection.on_message_complete()
        self._connection.be_deaf()
