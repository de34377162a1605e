"""Uvicorn's HTTP protocol with limits on headers: how many, how long, how late.

Owns what must be refused before an application sees a request. httptools sets no such limit itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bursar.config.settings import Limits

__all__ = ["LimitedProtocol"]


class LimitedProtocol(HttpToolsProtocol):
    """One connection of an application that has `limits`.

    A request whose head is too long or too late is answered once, and the connection closed.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app: Any = self.config.app
        self._limits: Limits = app.limits
        self._head_bytes = 0
        self._is_head = True
        self._deadline: asyncio.TimerHandle | None = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_head:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._expect_head()
        super().data_received(data)
        if self._is_head and self._head_bytes > self._limits.headers_bytes_max:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        self._is_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        size = sum(len(name) + len(value) for name, value in self.headers[-1:])
        if len(self.headers) > self._limits.headers_max or size > self._limits.headers_bytes_max:
            raise ValueError("too many or too long headers")

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._head_bytes = 0
        self._forget_deadline()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._limits.headers_s, self._late)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._is_head:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()
