"""The guard of connections: a provider's name must not lead into the operator's own network.

Owns the check of what a name resolves to. The address that was checked is the address that is connected to, so a name
that answers differently the second time (DNS rebinding) gains nothing. An address that the operator wrote as such is
the operator's word and is not checked.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from bursar.core.address import is_public
from bursar.core.provider import Provider

__all__ = ["GuardedResolver", "PrivateAddress", "needs_guard"]


class PrivateAddress(OSError):
    """A name leads to none but addresses that are not public."""


class GuardedResolver(AbstractResolver):
    """Resolve as `resolver` does, and give only the addresses that are allowed of what it finds."""

    def __init__(self, resolver: AbstractResolver, is_allowed: Callable[[str], bool] = is_public) -> None:
        self._resolver = resolver
        self._is_allowed = is_allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._is_allowed(result["host"])]
        if found and not allowed:
            raise PrivateAddress("the name leads to an address that is not public")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def needs_guard(provider: Provider) -> bool:
    """Tell whether this provider may be reached at public addresses only."""
    if provider.allows_private:
        return False
    try:
        host = (urlsplit(provider.base_url).hostname or "").rstrip(".")
    except ValueError:
        return True
    return host != "localhost" and not host.endswith(".localhost")
