"""Connections to providers, by aiohttp.

Owns the client session: pools, deadlines, what counts as sent. It follows no redirect, keeps no cookie, trusts no
proxy variable, and hands bytes on as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from bursar.core.provider import Provider
from bursar.errors import TooLarge, UpstreamFailed

__all__ = ["HttpAnswer", "HttpUpstream"]

READ_BYTES = 2**16


class HttpUpstream:
    """One session for all providers; open it inside the event loop that uses it."""

    def __init__(self, connections_max: int = 10_000) -> None:
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._connections_max, keepalive_timeout=10, ttl_dns_cache=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=READ_BYTES,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        """Send a request and wait for the answer's head. Raises UpstreamFailed, telling whether it was sent."""
        assert self._session is not None, "start() first"
        deadlines = provider.deadlines
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=deadlines.connect_s, connect=None)
        try:
            async with asyncio.timeout(deadlines.first_byte_s):
                response = await self._session.request(
                    method,
                    provider.base_url.rstrip("/") + path,
                    data=body or None,
                    headers={**headers, "accept-encoding": "identity"},
                    timeout=timeout,
                    allow_redirects=False,
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise UpstreamFailed(f"{provider.name} cannot be reached ({_kind(error)})", is_sent=False) from error
        except TimeoutError as error:
            message = f"{provider.name} did not answer within {deadlines.first_byte_s:g} s"
            raise UpstreamFailed(message, is_sent=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamFailed(
                f"{provider.name} broke off before it answered ({_kind(error)})", is_sent=True
            ) from error
        return HttpAnswer(provider, response)


class HttpAnswer:
    """One answer of a provider, read as it comes."""

    def __init__(self, provider: Provider, response: aiohttp.ClientResponse) -> None:
        self._provider = provider
        self._response = response
        self._ends = asyncio.get_running_loop().time() + provider.deadlines.total_s
        self.status = response.status
        self.headers = list(response.headers.items())

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what has come; b"" at the end, None when nothing came in time. Raises UpstreamFailed when it breaks."""
        content = self._response.content
        try:
            async with asyncio.timeout(timeout_s):
                return await content.readany()
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
