"""Calls to providers over HTTP.

Owns how a request is written, which deadlines it has, what counts as sent, and how an answer is read. It follows no
redirect, keeps no cookie, trusts no proxy variable, and hands bytes on as they come, but for the operator's own
secrets, which a provider may repeat in an error.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode

from bursar.core.provider import Provider
from bursar.errors import TooLarge, UpstreamFailed
from bursar.upstream.connection import BrokenAnswer, Connection, Exchange
from bursar.upstream.guard import GuardedResolver, PrivateAddress, Resolver, SystemResolver, needs_guard
from bursar.upstream.mask import Mask
from bursar.upstream.pool import Address, Pool, address_of

__all__ = ["HttpAnswer", "HttpUpstream"]

PRIVATE = "at a public address: its name leads into a private network, which only allow_private: true opens"
INFLATED_BYTES = 2**20
"""How much of a compressed answer is unpacked at a time."""
_PLAIN_PATH = re.compile(r"/[!-~]*")


class HttpUpstream:
    """Two pools for all providers, one of them guarded; open it inside the event loop that uses it.

    They are two because connections and resolved names are shared by address: what one provider is allowed to reach
    must not serve another. `resolver` takes the place of the system's in tests.
    """

    def __init__(self, connections_max: int = 10_000, resolver: Resolver | None = None) -> None:
        self._connections_max = connections_max
        self._resolver: Resolver = resolver or SystemResolver()
        self._pools: tuple[Pool, ...] = ()

    async def start(self) -> None:
        self._pools = (
            Pool(self._resolver, self._connections_max),
            Pool(GuardedResolver(self._resolver), self._connections_max),
        )

    async def stop(self) -> None:
        for pool in self._pools:
            pool.close()

    @property
    def in_use(self) -> int:
        """How many connections carry a request now."""
        return sum(pool.in_use for pool in self._pools)

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        """Send a request and wait for the answer's head. Raises UpstreamFailed, telling whether it was sent."""
        assert self._pools, "start() first"
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            address, is_guarded = _place(provider)
            request = _request(method, address, _with_query(path, provider), headers, len(body))
        except ValueError as error:
            raise UpstreamFailed(f"{provider.name} cannot be reached ({_kind(error)})", is_sent=False) from error
        pool = self._pools[is_guarded]
        connection = pool.idle(address) or await _opened(pool, provider, address)
        exchange = connection.begin(request, body)
        is_answered = False
        try:
            has_head = await exchange.head(began + provider.deadlines.first_byte_s)
            if not has_head:
                message = f"{provider.name} did not answer within {provider.deadlines.first_byte_s:g} s"
                raise UpstreamFailed(message, is_sent=True)
            if not 200 <= exchange.status < 600:
                raise UpstreamFailed(f"{provider.name} answered with a status that is none of an answer", is_sent=True)
            answer = HttpAnswer(provider, exchange, began)
            is_answered = True
            return answer
        except BrokenAnswer as error:
            message = f"{provider.name} broke off before it answered ({error})"
            raise UpstreamFailed(message, is_sent=True) from error
        finally:
            if not is_answered:
                exchange.abort()


async def _opened(pool: Pool, provider: Provider, address: Address) -> Connection:
    """Open a connection in time. Raises UpstreamFailed: nothing was sent."""
    try:
        async with asyncio.timeout(provider.deadlines.connect_s):
            return await pool.open(address)
    except PrivateAddress as error:
        raise UpstreamFailed(f"{provider.name} cannot be reached {PRIVATE}", is_sent=False) from error
    except (OSError, ValueError) as error:  # TimeoutError is one.
        raise UpstreamFailed(f"{provider.name} cannot be reached ({_kind(error)})", is_sent=False) from error


@lru_cache(maxsize=1_024)
def _place(provider: Provider) -> tuple[Address, bool]:
    return address_of(provider.base_url), needs_guard(provider)


def _with_query(path: str, provider: Provider) -> str:
    """Add what the operator set to a path that may have a query of its own."""
    if not provider.query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(provider.query)}"


def _request(method: str, address: Address, path: str, headers: Mapping[str, str], size: int) -> bytes:
    """Write a request's head. Raises ValueError when a value would end its line."""
    target = address.prefix + path
    if _PLAIN_PATH.fullmatch(target) is None:
        target = quote(target, safe="/?#[]@!$&'()*+,;=:%~")
    lines = [f"{method} {target} HTTP/1.1", f"host: {address.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name != "accept-encoding"]
    lines.append("accept-encoding: identity")
    if size or method not in ("GET", "DELETE"):
        lines.append(f"content-length: {size}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
        raise ValueError("a header of two lines")
    return f"{head}\r\n\r\n".encode("latin-1")


class HttpAnswer:
    """One answer of a provider, read as it comes."""

    def __init__(self, provider: Provider, exchange: Exchange, began: float) -> None:
        self._provider = provider
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._ends = began + provider.deadlines.total_s
        self._mask = Mask(provider.hidden)
        self.status = exchange.status
        self.headers: Sequence[tuple[str, str]] = [
            (name.decode("latin-1"), self._mask.text(value.decode("latin-1"))) for name, value in exchange.headers
        ]
        self._packed = _unpacker(exchange.headers)

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what has come; b"" at the end, None when nothing came in time. Raises UpstreamFailed when it breaks."""
        ends = self._loop.time() + timeout_s
        try:
            while piece := await self._piece(ends):
                shown = self._mask.feed(piece)
                if shown:
                    return shown
        except (BrokenAnswer, zlib.error) as error:
            self.abort()
            raise UpstreamFailed(f"{self._provider.name} broke off ({_kind(error)})", is_sent=True) from error
        return None if piece is None else self._mask.rest()

    async def _piece(self, ends: float) -> bytes | None:
        """Read the next piece, unpacked where a server packs what was to come as it is."""
        if self._packed is None:
            return await self._exchange.read(ends)
        while True:
            left = self._packed.unconsumed_tail
            piece = left or await self._exchange.read(ends)
            if not piece:
                return piece
            found = self._packed.decompress(piece, INFLATED_BYTES)
            if found:
                return found

    async def body(self, size_max: int) -> bytes:
        """Read a whole answer. Raises UpstreamFailed when it breaks or stays away, TooLarge when it is too long.

        The connection of an answer that was not read to its end is closed.
        """
        pieces: list[bytes] = []
        size = 0
        is_whole = False
        try:
            while piece := await self.read(self._left_s()):
                pieces.append(piece)
                size += len(piece)
                if size > size_max:
                    raise TooLarge(f"{self._provider.name} answered more than {size_max:,} bytes")
            if piece is None:
                self._left_s()
                wait_s = self._provider.deadlines.first_byte_s
                raise UpstreamFailed(f"{self._provider.name} sent nothing more within {wait_s:g} s", is_sent=True)
            is_whole = True
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        finally:
            if not is_whole:
                self.abort()

    def _left_s(self) -> float:
        """Say how long the next piece may take; pieces that never stop coming do not move the end."""
        left = self._ends - self._loop.time()
        if left <= 0:
            raise UpstreamFailed(
                f"{self._provider.name} did not end its answer within {self._provider.deadlines.total_s:g} s",
                is_sent=True,
            )
        return min(left, self._provider.deadlines.first_byte_s)

    def abort(self) -> None:
        """Close the connection, so that the provider stops generating."""
        self._exchange.abort()

    def finish(self) -> None:
        """Let go of the connection: after its last byte it has gone back by itself, before that it is closed."""
        self._exchange.abort()


def _unpacker(headers: Sequence[tuple[bytes, bytes]]) -> zlib._Decompress | None:
    """Give what unpacks an answer; None for one that came as it was asked for. Raises UpstreamFailed."""
    coding = next((value.strip().lower() for name, value in headers if name == b"content-encoding"), b"identity")
    if coding in (b"", b"identity"):
        return None
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise UpstreamFailed("the provider packed its answer in a way that it was not asked for", is_sent=True)
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # Both, told apart by their first bytes.


def _kind(error: BaseException) -> str:
    """Name an error without its text, which may hold addresses or credentials."""
    return type(error).__name__
