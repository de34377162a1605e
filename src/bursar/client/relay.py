"""An address of this process for programs that it starts: what they ask of a model API is sent from here, and metered.

Owns a listener on loopback, in a thread of its own, and the way of a request through it to the provider's address. The
scopes around the relay's block are those of every request. It must never add a credential, follow a redirect, or listen
anywhere but on loopback; its address holds a secret, so that no other program of the machine spends by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import http
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Self

import httpx2

__all__ = ["Asked", "Relay"]

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
HEAD_S = 30.0
"""How long a request may take to arrive."""
STOP_S = 10.0
_HOP = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    """Below the relay's address, with its query."""
    headers: Mapping[str, str]
    body: bytes


class _Refused(Exception):
    """Say no to what is no request for us."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Relay:
    """Relay to `upstream` while the block lasts; `before` is called in each request's own context, first."""

    def __init__(self, upstream: str, before: Callable[[Asked], None] = lambda _: None) -> None:
        self._upstream = upstream.rstrip("/")
        self._before = before
        self._secret = f"/{secrets.token_urlsafe(16)}"
        self._port = 0
        self._is_ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address that a program is given instead of the provider's."""
        return f"http://127.0.0.1:{self._port}{self._secret}"

    def __enter__(self) -> Self:
        # The thread runs in a copy of this context: the scopes that are open here are around all that it sends.
        here = contextvars.copy_context()
        self._thread = threading.Thread(target=here.run, args=(self._work,), name="bursar-relay", daemon=True)
        self._thread.start()
        self._is_ready.wait()
        if not self._port:
            raise OSError("nothing can listen on 127.0.0.1")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # The loop has ended.
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _work(self) -> None:
        try:
            asyncio.run(self._listen())
        finally:
            self._is_ready.set()

    async def _listen(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        # The programs' own time-outs count.
        async with httpx2.AsyncClient(timeout=None, follow_redirects=False) as client:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    with contextlib.suppress(ConnectionError):
                        await self._serve(client, reader, writer)
                    writer.close()
                except BaseException:
                    writer.transport.abort()  # Cancelled at the end of the block: what is cut must not look whole.
                    raise

            server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
            self._port = server.sockets[0].getsockname()[1]
            self._is_ready.set()
            await self._stopping.wait()
            # What is still open is cancelled with the loop, and settled: nobody waits for another program to be done.
            server.close()

    async def _serve(
        self, client: httpx2.AsyncClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request; the connection ends with it."""
        try:
            async with asyncio.timeout(HEAD_S):
                asked = await self._read(reader)
            self._before(asked)
            request = client.build_request(
                asked.method, self._upstream + asked.target, headers=_passed(asked.headers), content=asked.body
            )
            response = await client.send(request, stream=True)
        except _Refused as refused:
            await _write(writer, refused.status, {"content-length": "0"})
            return
        except (asyncio.IncompleteReadError, TimeoutError):
            return
        except httpx2.RequestError:
            await _write(writer, 502, {"content-length": "0"})
            return
        try:
            await _write(writer, response.status_code, {**_passed(response.headers), "transfer-encoding": "chunked"})
            async for piece in _pieces(response):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except httpx2.RequestError:
            writer.transport.abort()  # What was cut must not look whole.
        finally:
            await response.aclose()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        """Read a request. Raises _Refused, and IncompleteReadError where it ends early."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise _Refused(431) from error
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, _, rest = first.partition(" ")
        path = rest.rpartition(" ")[0]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not secrets.compare_digest(path[: len(self._secret)].encode(), self._secret.encode()):
            raise _Refused(404)
        size = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not size.isdecimal():
            raise _Refused(411)
        if int(size) > BODY_BYTES_MAX:
            raise _Refused(413)
        body = await reader.readexactly(int(size))
        return Asked(method, path[len(self._secret) :], headers, body)


async def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    if response.is_stream_consumed:  # A refusal is whole from the start.
        yield response.content
        return
    async for piece in response.aiter_raw():
        if piece:
            yield piece


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in _HOP}


async def _write(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str]) -> None:
    phrase = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write(("\r\n".join([*lines, "connection: close"]) + "\r\n\r\n").encode("latin-1"))
    await writer.drain()
