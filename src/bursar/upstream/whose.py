"""Whose prices count at an address.

Owns that one answer, which the library needs for each address that a program uses, and `bursar run` for those that its
programs were told. It never asks the address.
"""

from __future__ import annotations

from collections.abc import Iterable

from bursar.core.provider import Provider
from bursar.errors import BadRequest

__all__ = ["configured_at", "stand_in", "usual_provider"]


def configured_at(providers: Iterable[Provider], base: str, wire: str) -> Provider | None:
    """Find the configured provider that is at a base URL, written in lower case and without a slash at its end."""
    at = (each for each in providers if wire in each.wires and each.base_url.rstrip("/").lower() == base)
    return next(at, None)


def stand_in(providers: Iterable[Provider], base: str, wire: str) -> Provider:
    """Give the wire's usual provider as if it were at an address that nobody configured.

    Nothing is known of its speed, and no key is sent there. Raises BadRequest where no provider speaks this wire.
    """
    usual = usual_provider(providers, wire)
    return Provider(usual.name, base or usual.base_url, usual.wires, price_as=usual.price_as)


def usual_provider(providers: Iterable[Provider], wire: str) -> Provider:
    """Give the provider that a wire's programs mean unless they say otherwise. Raises BadRequest for none."""
    paid = [provider for provider in providers if wire in provider.wires and not provider.is_free]
    usual = next((provider for provider in paid if not provider.models), paid[0] if paid else None)
    if usual is None:
        raise BadRequest("no provider is configured for this API")
    return usual
