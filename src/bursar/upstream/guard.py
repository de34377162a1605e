"""The guard of connections: a provider's name must not lead into the operator's own network.

Owns names: how they become addresses, and the check of what they lead to. The address that was checked is the address
that is connected to, so a name that answers differently the second time (DNS rebinding) gains nothing. An address that
the operator wrote as such is the operator's word and is not checked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from bursar.core.address import is_public
from bursar.core.provider import Provider

__all__ = ["GuardedResolver", "PrivateAddress", "Resolver", "SystemResolver", "needs_guard"]


class PrivateAddress(OSError):
    """A name leads to none but addresses that are not public."""


class Resolver(Protocol):
    """What turns a name into addresses, the best first. Raises OSError when the name is not known."""

    async def resolve(self, host: str) -> Sequence[str]: ...


class SystemResolver:
    """Ask the operating system, in a thread of its own."""

    async def resolve(self, host: str) -> Sequence[str]:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedResolver:
    """Resolve as `resolver` does, and give only the addresses that are allowed of what it finds."""

    def __init__(self, resolver: Resolver, is_allowed: Callable[[str], bool] = is_public) -> None:
        self._resolver = resolver
        self._is_allowed = is_allowed

    async def resolve(self, host: str) -> Sequence[str]:
        found = await self._resolver.resolve(host)
        allowed = [address for address in found if self._is_allowed(address)]
        if found and not allowed:
            raise PrivateAddress("the name leads to an address that is not public")
        return allowed


def needs_guard(provider: Provider) -> bool:
    """Tell whether this provider may be reached at public addresses only."""
    if provider.allows_private:
        return False
    try:
        host = (urlsplit(provider.base_url).hostname or "").rstrip(".")
    except ValueError:
        return True
    return host != "localhost" and not host.endswith(".localhost")
