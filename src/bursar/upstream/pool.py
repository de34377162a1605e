"""Connections to providers, kept for the next call.

Owns which connection a request gets: an idle one to the same place, or a new one. It never opens more than its limit,
never keeps one longer than KEPT_S idle, and never gives one that was opened under another rule for addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from bursar.upstream.connection import Connection
from bursar.upstream.guard import Resolver

__all__ = ["KEPT_S", "Address", "Pool", "address_of"]

KEPT_S = 10.0
"""How long an idle connection is kept: shorter than any server we know keeps one."""
NAMES_S = 60.0
"""How long an address that was resolved is believed."""
NAMES_MAX = 1_000
STAGGER_S = 0.25
"""How long the first address is tried before the next is tried beside it (RFC 8305)."""
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_NUMBER_AT_END = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a provider is: what a connection needs, and what stands in a request."""

    is_tls: bool
    host: str
    port: int
    prefix: str
    """The path of the base URL, without a slash at its end."""
    authority: str
    """The value of the `host` header."""
    is_literal: bool
    """`host` is an address, no name."""


@lru_cache(maxsize=1_024)
def address_of(base_url: str) -> Address:
    """Take a base URL apart. Raises ValueError for one that leads nowhere.

    A name that some systems take for a number, and so for an address (`127.1`, `0x7f000001`), is none.
    """
    split = urlsplit(base_url)
    host, port = split.hostname or "", split.port
    if split.scheme not in ("http", "https") or not host or split.username is not None:
        raise ValueError("no address")
    is_tls = split.scheme == "https"
    try:
        ipaddress.ip_address(host.partition("%")[0])
        is_literal = True
    except ValueError:
        is_literal = False
        host = host if host.isascii() else host.encode("idna").decode()
        if _NAME.fullmatch(host) is None or _NUMBER_AT_END.search(host) is not None:
            raise ValueError("no name of a host") from None
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port in (None, 443 if is_tls else 80) else f"{shown}:{port}"
    return Address(
        is_tls, unquote(host), port or (443 if is_tls else 80), split.path.rstrip("/"), authority, is_literal
    )


class Pool:
    """All connections of one event loop to addresses under one rule (`resolver`)."""

    def __init__(self, resolver: Resolver, connections_max: int) -> None:
        self._resolver = resolver
        self._connections_max = connections_max
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Address, deque[Connection]] = {}
        self._where: dict[Connection, Address] = {}
        self._opening = 0
        self._names: dict[str, tuple[float, Sequence[str]]] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def in_use(self) -> int:
        """How many connections carry a request now."""
        return len(self._where) - sum(map(len, self._idle.values()))

    def idle(self, address: Address) -> Connection | None:
        """Give a connection that is open and free."""
        waiting = self._idle.get(address)
        while waiting:
            connection = waiting.pop()
            if connection.is_idle and self._loop.time() - connection.idle_since < KEPT_S:
                return connection
            connection.close()
        return None

    async def open(self, address: Address) -> Connection:
        """Open a connection. Raises OSError (its certificate, a name, a refusal) and ValueError."""
        if len(self._where) + self._opening >= self._connections_max and not self._make_room():
            raise OSError(f"{self._connections_max} connections are in use")
        self._opening += 1
        try:
            connection = await self._connect(address, await self._addresses(address))
        finally:
            self._opening -= 1
        self._where[connection] = address
        return connection

    async def _addresses(self, address: Address) -> Sequence[str]:
        if address.is_literal:
            return [address.host]
        now = self._loop.time()
        known = self._names.get(address.host)
        if known is None or now >= known[0]:
            found = await self._resolver.resolve(address.host)
            if not found:
                raise OSError("the name leads nowhere")
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            known = self._names[address.host] = (now + NAMES_S, found)
        return known[1]

    async def _connect(self, address: Address, found: Sequence[str]) -> Connection:
        """Try the addresses in their order, each a moment before the next; the first that answers is it."""
        tries: set[asyncio.Task[Connection]] = set()
        error: OSError = OSError("the name leads nowhere")
        left = list(found)
        try:
            while left or tries:
                if left:
                    tries.add(asyncio.ensure_future(self._reach(address, left.pop(0))))
                done, tries = await asyncio.wait(
                    tries, timeout=STAGGER_S if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    failed = task.exception()
                    if failed is None:
                        return task.result()
                    if not isinstance(failed, OSError):
                        raise failed
                    error = failed
            raise error
        finally:
            await _give_up(tries)

    async def _reach(self, address: Address, ip: str) -> Connection:
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop, self._let_go),
            ip,
            address.port,
            ssl=self._secured() if address.is_tls else None,
            server_hostname=address.host if address.is_tls else None,
        )
        return connection

    def _secured(self) -> ssl.SSLContext:
        """Trust what the system trusts."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _make_room(self) -> bool:
        """Close the connection that is idle and least wanted; False when none is."""
        for waiting in self._idle.values():
            if waiting:
                gone = waiting.popleft()
                self._where.pop(gone, None)
                gone.close()
                return True
        return False

    def _let_go(self, connection: Connection) -> None:
        """Keep a connection whose exchange is over, forget one that is closed."""
        address = self._where.get(connection)
        if address is None:
            return
        waiting = self._idle.setdefault(address, deque())
        if connection.is_idle:
            connection.idle_since = self._loop.time()
            waiting.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(KEPT_S, self._drop_stale)
            return
        del self._where[connection]
        with contextlib.suppress(ValueError):
            waiting.remove(connection)
        if not waiting:
            del self._idle[address]

    def _drop_stale(self) -> None:
        """Close what has been idle too long, and look again as long as something is kept."""
        oldest = self._loop.time() - KEPT_S
        for waiting in list(self._idle.values()):  # What is closed takes itself out.
            while waiting and waiting[0].idle_since <= oldest:
                waiting.popleft().close()
        kept = [waiting[0].idle_since for waiting in self._idle.values() if waiting]
        self._sweep = self._loop.call_at(min(kept) + KEPT_S, self._drop_stale) if kept else None

    def close(self) -> None:
        """Close every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._where):
            connection.close()


async def _give_up(tries: set[asyncio.Task[Connection]]) -> None:
    """Let go of what else was tried; one that just succeeded is closed."""
    for task in tries:
        task.cancel()
    if tries:
        await asyncio.wait(tries)
    for task in tries:
        if not task.cancelled() and task.exception() is None:
            task.result().close()
