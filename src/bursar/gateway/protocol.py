"""A client's connection: HTTP/1.1 parsed by httptools, with a limit on everything that can be long, late or many.

Owns what must be refused before an application sees a request, and what must end when nobody reads or writes any more.
It knows no route and no budget. uvicorn starts, stops and counts these connections; the bytes are this file's, since
uvicorn's own protocol with an ASGI message for each step cost more than all that bursar does with a call.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools

from bursar.config.settings import Limits
from bursar.gateway.exchange import Exchange

__all__ = ["LINGER_S", "IdleConnections", "LimitedProtocol"]

LINGER_S = 2.0
"""How long a request that was answered before its body had come may go on sending; then it is cut off."""
UNREAD_BYTES_MAX = 2**16
"""How much of a body may come before anybody has asked for it."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host"})
"""Headers that may come once: two of them, and two readers could see two requests."""
_BODY = frozenset({b"content-length", b"transfer-encoding"})


class IdleConnections(dict["LimitedProtocol", None]):
    """Connections of one process without a request in work, the longest idle first. They give way when it is full."""


class LimitedProtocol(asyncio.Protocol):
    """One connection of an application that has `limits`, `idle` and `handle`.

    A request whose head is too long, too late or ambiguous is answered once, and the connection closed. Requests sent
    ahead of an answer are not read: the connection closes after that answer.
    """

    def __init__(
        self, config: Any, server_state: Any, app_state: Any, _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._app: Any = config.app
        self._limits: Limits = self._app.limits
        self._idle: IdleConnections = self._app.idle
        self._state = server_state
        self._keep_alive_s = float(config.timeout_keep_alive)
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: Any = self._made_parser(self)
        self._transport: Any = None
        self._exchange: Exchange | None = None
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._framing: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._head_size = 0
        self._is_head = True
        self._is_deaf = False
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._kept: asyncio.TimerHandle | None = None
        self._idle_since = 0.0

    @staticmethod
    def _made_parser(target: object) -> Any:
        parser = httptools.HttpRequestParser(target)
        # A client may send more after a request with `connection: close`; that request is answered all the same.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._state.connections.add(self)
        self._make_room()
        self._expect_head()

    def _make_room(self) -> None:
        """Let the longest idle connection go when there are too many; refuse this one when none is idle."""
        if len(self._state.connections) > self._limits.connections_max:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                self._refuse(b"503 Service Unavailable")
                return
            del self._idle[oldest]
            oldest._transport.abort()
        self._idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._idle.pop(self, None)
        for timer in (self._late, self._stalled, self._kept):
            if timer is not None:
                timer.cancel()
        if self._exchange is not None and not self._exchange.is_ended:
            self._exchange.leave()

    def shutdown(self) -> None:
        """Close, after the answer that is being written; the server says so when it stops."""
        if self._exchange is None or self._exchange.is_ended:
            self._transport.close()
        else:
            self._exchange.is_keeping = False

    # --- the head --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._transport.is_closing():
            return
        if self._is_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._read_on(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse_garbage()
        if self._is_head:
            if self._head_bytes > self._limits.headers_bytes_max:
                self._refuse(b"431 Request Header Fields Too Large")
            elif self._late is None:
                self._expect_head()

    def on_message_begin(self) -> None:
        if self._is_answering():
            raise ValueError("a request ahead of the answer before it")
        self._is_head = True
        self._head_bytes = self._head_size = 0
        self._url, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._add_to_head(len(url))
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._add_to_head(len(name) + len(value))
        if not self._is_head:
            return  # A trailer: nobody in front of us has seen it, so it is no header.
        name = name.lower()
        if name in _FRAMING and any(known == name for known, _ in self._headers):
            raise ValueError(f"two {name!r} headers")
        self._headers.append((name, value))
        if len(self._headers) > self._limits.headers_max:
            self._refuse_head()

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
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._idle.pop(self, None)
        parser, version = self._parser, self._parser.get_http_version()
        self._check_framing(version)
        method = parser.get_method().decode("ascii")
        exchange = self._exchange = Exchange(self, self._loop, method, self._headers)
        exchange.path, exchange.query = _split(self._url)
        exchange.version = version
        exchange.headers = _texts(self._headers)
        exchange.is_keeping = version != "1.0" and parser.should_keep_alive() and not parser.should_upgrade()
        task = self._loop.create_task(self._app.handle(exchange))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _check_framing(self, version: str) -> None:
        """Refuse a head whose body could end in two places, and versions that we do not speak."""
        self._framing = [pair for pair in self._headers if pair[0] in _BODY]
        if version not in ("1.0", "1.1"):
            raise ValueError("another version of HTTP")
        for name, value in self._framing:
            if name == b"transfer-encoding" and (
                value.strip().lower() != b"chunked" or len(self._framing) > 1 or version == "1.0"
            ):
                raise ValueError("only chunked, and nothing beside it")

    def _read_on(self, data: bytes) -> None:
        """Read the body of a request that offers another protocol (as Java's client does): the parser stops there."""
        if self._framing and isinstance(self._parser, httptools.HttpRequestParser):
            self._parser = httptools.HttpRequestParser(_Rest(self))
            head = b"".join(name + b": " + value + b"\r\n" for name, value in self._framing)
            self.data_received(b"POST / HTTP/1.1\r\n" + head + b"\r\n" + data)

    def _expect_head(self) -> None:
        self._late = self._loop.call_later(self._limits.headers_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._late = None
        if self._is_head:
            self._refuse(b"408 Request Timeout")

    # --- the body --------------------------------------------------------------------------------------------------

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.is_ended and exchange.add(body, UNREAD_BYTES_MAX):
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._framing:
            return  # It only seems so, see `_read_on`.
        self.complete()

    def complete(self) -> None:
        """Note the end of the request's body."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._exchange is not None and not self._exchange.is_ended:
            self._exchange.complete()

    def read_on(self) -> None:
        """Let more of the request's body come."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # --- refusing --------------------------------------------------------------------------------------------------

    def _is_answering(self) -> bool:
        """A request has come whole, and its answer has not gone out whole."""
        exchange = self._exchange
        return exchange is not None and not exchange.is_ended and exchange.is_whole

    def _refuse_garbage(self) -> None:
        """Answer what cannot be parsed, but never into the middle of another request's answer."""
        exchange = self._exchange
        if self._is_answering():
            self.be_deaf()
        elif exchange is not None and exchange.is_started and not self._is_head:
            self._transport.close()
        else:
            self._refuse(b"400 Bad Request")

    def be_deaf(self) -> None:
        """Read no more on this connection, and close it after the answer."""
        self._is_deaf = True
        if self._exchange is not None:
            self._exchange.is_keeping = False

    def _refuse(self, status: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()

    # --- the answer ------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        if not self._transport.is_closing():
            self._transport.write(data)

    @property
    def unsent_bytes(self) -> int:
        """How much the client has not taken yet."""
        return int(self._transport.get_write_buffer_size())

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def ended(self) -> None:
        """Wait for the next request, or close where none may come."""
        exchange = self._exchange
        assert exchange is not None
        self._state.total_requests += 1
        if self._transport.is_closing():
            return
        if not exchange.is_keeping:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._idle[self] = None
        self._idle_since = self._loop.time()
        if self._kept is None:
            self._kept = self._loop.call_later(self._keep_alive_s, self._look_if_idle)
        if not exchange.is_whole and self._late is None:
            self._late = self._loop.call_later(LINGER_S, self._transport.abort)

    def _look_if_idle(self) -> None:
        """Close a connection on which nothing was asked for long. One timer serves it for all its requests."""
        self._kept = None
        if self not in self._idle:
            return  # The answer's end sets the timer again.
        left = self._idle_since + self._keep_alive_s - self._loop.time()
        if left > 0:
            self._kept = self._loop.call_later(left, self._look_if_idle)
        elif self.unsent_bytes:
            self._transport.abort()
        else:
            self._transport.close()

    def pause_writing(self) -> None:
        """Begin to watch a client that does not read."""
        self._watch_unsent()

    def resume_writing(self) -> None:
        """Go on writing."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if self._exchange is not None:
            self._exchange.has_room()

    def _watch_unsent(self) -> None:
        self._unsent_bytes = self.unsent_bytes
        self._stalled = self._loop.call_later(self._limits.stall_s, self._stall)

    def _stall(self) -> None:
        """Drop a client that has taken nothing for `stall_s`; whoever reads slowly is left alone."""
        if self.unsent_bytes < self._unsent_bytes:
            self._watch_unsent()
        else:
            self._transport.abort()


class _Rest:
    """The parser's callbacks for the body of a request whose head was read before."""

    def __init__(self, connection: LimitedProtocol) -> None:
        self.on_body = connection.on_body
        self._connection = connection

    def on_message_complete(self) -> None:
        self._connection.complete()
        self._connection.be_deaf()


@lru_cache(maxsize=256)
def _split(url: bytes) -> tuple[str, bytes]:
    """Take a request's target apart: its path as text, and its query. Raises ValueError when it has no path."""
    parsed = httptools.parse_url(url)
    if parsed.path is None:
        raise ValueError("a target without a path")
    path = parsed.path.decode("ascii")
    return (unquote(path) if "%" in path else path), parsed.query or b""


def _texts(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read the headers as text, lower-case; one that comes more than once is joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
