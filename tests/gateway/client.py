"""A client at the other end of an exchange, without a socket: for what needs an exchange and no HTTP."""

from __future__ import annotations

import asyncio

from bursar.gateway.exchange import Exchange

__all__ = ["Client", "exchange_with"]


class Client:
    """Takes everything at once, and keeps it."""

    def __init__(self) -> None:
        self.data = b""
        self.is_ended = False
        self.is_broken = False
        self.unsent_bytes = 0

    def write(self, data: bytes) -> None:
        assert not self.is_ended, "more after the end"
        self.data += data

    def ended(self) -> None:
        self.is_ended = True

    def abort(self) -> None:
        self.is_broken = True

    def read_on(self) -> None:
        """All of the body is there."""

    @property
    def status(self) -> int:
        """The answer's status; 0 while there is none."""
        return int(self.data.split(b" ", 2)[1]) if self.data else 0

    @property
    def body(self) -> bytes:
        """What came behind the head; of a chunked answer the chunks' contents."""
        head, _, rest = self.data.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" not in head:
            return rest
        pieces = []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            pieces.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return b"".join(pieces)


def exchange_with(client: Client, method: str, path: str, body: bytes, query: bytes = b"") -> Exchange:
    """Make a request that has come whole."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    made = Exchange(client, asyncio.get_running_loop(), method, headers)
    made.path, made.query = path, query
    made.headers = {name.decode(): value.decode() for name, value in headers}
    made.add(body, len(body))
    made.complete()
    return made
