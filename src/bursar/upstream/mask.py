"""The operator's secrets, masked in what a provider says.

Owns the search for them in bytes that come piece by piece. A provider that repeats a key in an error must not hand it
to whoever called; nothing else of an answer is changed.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Mask"]

SHOWN = b"***"


class Mask:
    """Masks secrets in one answer. Without secrets it does nothing."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets, the longest first: one may be a part of another."""
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._held = b""

    def text(self, value: str) -> str:
        """Mask a header's value."""
        for secret in self._secrets:
            value = value.replace(secret.decode(), SHOWN.decode())
        return value

    def feed(self, piece: bytes) -> bytes:
        """Mask the next piece; what may be the beginning of a secret is held back until the next."""
        if not self._secrets:
            return piece
        known = self._held + piece
        for secret in self._secrets:
            known = known.replace(secret, SHOWN)
        held = max(_begun(known, secret) for secret in self._secrets)
        self._held = known[len(known) - held :]
        return known[: len(known) - held]

    def rest(self) -> bytes:
        """Give what is held back when nothing more comes."""
        held, self._held = self._held, b""
        return held


def _begun(known: bytes, secret: bytes) -> int:
    """Say how many bytes at the end of `known` are the beginning of `secret`."""
    start = max(0, len(known) - len(secret) + 1)
    while (at := known.find(secret[:1], start)) >= 0:
        if secret.startswith(known[at:]):
            return len(known) - at
        start = at + 1
    return 0
