"""Connections to providers, by aiohttp.

Owns the client sessions: pools, deadlines, what counts as sent. It follows no redirect, keeps no cookie, trusts no
proxy variable, and hands bytes on as they come, but for the operator's own secrets, which a provider may repeat in an
error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver

from bursar.core.provider import Provider
from bursar.errors import TooLarge, UpstreamFailed
from bursar.upstream.guard import GuardedResolver, PrivateAddress, needs_guard
from bursar.upstream.mask import Mask

__all__ = ["HttpAnswer", "HttpUpstream"]

READ_BYTES = 2**16
PRIVATE = "at a public address: its name leads into a private network, which only allow_private: true opens"


class HttpUpstream:
    """Two sessions for all providers, one of them guarded; open it inside the event loop that uses it.

    They are two because connections and resolved names are shared by host: what one provider is allowed to reach must
    not serve another. `resolver` takes the place of the system's in tests.
    """

    def __init__(self, connections_max: int = 10_000, resolver: AbstractResolver | None = None) -> None:
        self._connections_max = connections_max
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        self._session = self._open(resolver)
        self._guarded = self._open(GuardedResolver(resolver))

    def _open(self, resolver: AbstractResolver) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections_max, keepalive_timeout=10, ttl_dns_cache=60, resolver=resolver
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=READ_BYTES,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def stop(self) -> None:
        for session in (self._session, self._guarded):
            if session is not None:
                await session.close()

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        """Send a request and wait for the answer's head. Raises UpstreamFailed, telling whether it was sent."""
        session = self._guarded if needs_guard(provider) else self._session
        assert session is not None, "start() first"
        deadlines = provider.deadlines
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=deadlines.connect_s, connect=None)
        try:
            async with asyncio.timeout(deadlines.first_byte_s):
                response = await session.request(
                    method,
                    provider.base_url.rstrip("/") + _with_query(path, provider),
                    data=body or None,
                    headers={**headers, "accept-encoding": "identity"},
                    timeout=timeout,
                    allow_redirects=False,
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            why = PRIVATE if isinstance(error.__cause__, PrivateAddress) else f"({_kind(error)})"
            raise UpstreamFailed(f"{provider.name} cannot be reached {why}", is_sent=False) from error
        except TimeoutError as error:
            message = f"{provider.name} did not answer within {deadlines.first_byte_s:g} s"
            raise UpstreamFailed(message, is_sent=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamFailed(
                f"{provider.name} broke off before it answered ({_kind(error)})", is_sent=True
            ) from error
        if not 200 <= response.status < 600:
            response.close()
            raise UpstreamFailed(f"{provider.name} answered with a status that is none of an answer", is_sent=True)
        return HttpAnswer(provider, response)


def _with_query(path: str, provider: Provider) -> str:
    """Add what the operator set to a path that may have a query of its own."""
    if not provider.query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(provider.query)}"


class HttpAnswer:
    """One answer of a provider, read as it comes."""

    def __init__(self, provider: Provider, response: aiohttp.ClientResponse) -> None:
        self._provider = provider
        self._response = response
        self._ends = asyncio.get_running_loop().time() + provider.deadlines.total_s
        self._mask = Mask(provider.hidden)
        self.status = response.status
        self.headers = [(name, self._mask.text(value)) for name, value in response.headers.items()]

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what has come; b"" at the end, None when nothing came in time. Raises UpstreamFailed when it breaks."""
        content = self._response.content
        try:
            async with asyncio.timeout(timeout_s):
                while piece := await content.readany():
                    shown = self._mask.feed(piece)
                    if shown:
                        return shown
                return self._mask.rest()
        except TimeoutError:
            return None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamFailed(f"{self._provider.name} broke off ({_kind(error)})", is_sent=True) from error

    async def body(self, size_max: int) -> bytes:
        """Read a whole answer. Raises UpstreamFailed when it breaks or stays away, TooLarge when it is too long.

        The connection of an answer that was not read to its end is closed.
        """
        body = bytearray()
        is_whole = False
        try:
            while piece := await self.read(self._left_s()):
                body += piece
                if len(body) > size_max:
                    raise TooLarge(f"{self._provider.name} answered more than {size_max:,} bytes")
            if piece is None:
                self._left_s()
                wait_s = self._provider.deadlines.first_byte_s
                raise UpstreamFailed(f"{self._provider.name} sent nothing more within {wait_s:g} s", is_sent=True)
            is_whole = True
            return bytes(body)
        finally:
            if not is_whole:
                self.abort()

    def _left_s(self) -> float:
        """Say how long the next piece may take; pieces that never stop coming do not move the end."""
        left = self._ends - asyncio.get_running_loop().time()
        if left <= 0:
            raise UpstreamFailed(
                f"{self._provider.name} did not end its answer within {self._provider.deadlines.total_s:g} s",
                is_sent=True,
            )
        return min(left, self._provider.deadlines.first_byte_s)

    def abort(self) -> None:
        """Close the connection, so that the provider stops generating."""
        self._response.close()

    def finish(self) -> None:
        """Give the connection back after its last byte."""
        self._response.release()


def _kind(error: BaseException) -> str:
    """Name an error without its text, which may hold addresses or credentials."""
    return type(error).__name__
