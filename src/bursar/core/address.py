"""Network addresses: which of them are somewhere on the public internet, and which are this machine.

Owns the questions that the guard of outgoing connections and the door ask. It must never resolve a name: it is asked
about the address that will be connected to, and nothing else.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["is_loopback", "is_public"]

_TRANSLATED = (
    IPv6Network("64:ff9b::/96"),  # NAT64: a v4 address in the last 32 bits
    IPv6Network("::/96"),  # "v4-compatible", long out of use and still routed by some
)

_SPECIAL = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments, one cloud's metadata among them
    IPv6Network("fec0::/10"),  # site-local, long out of use
)


def is_public(address: str) -> bool:
    """Tell whether an address (not a name) is a public one; what is no address is not.

    Loopback, private, link-local (and so the clouds' metadata service), shared (CGNAT), reserved and multicast
    addresses are not, nor a v6 address that a translator turns into one of them.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = _inner(found)
        if inner is not None:
            return _is_public(inner)
    return _is_public(found)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Give the v4 address that this one stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in _SPECIAL if network.version == address.version)


def is_loopback(host: str) -> bool:
    """Tell whether a host that somebody listens on is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
