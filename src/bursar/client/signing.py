"""Who can sign a request anew, for the code that sends it further down.

Owns that word between the two. A signature covers the body: where nobody can make it anew, the body stays as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from bursar.client.asked import address_of
from bursar.client.recognise import Aimed

__all__ = ["Signer", "signer_of", "signing"]


@dataclass(frozen=True, slots=True)
class Signer:
    """What the client that is above knows of the request."""

    again: Callable[[bytes], Awaitable[Mapping[str, str]]]
    """Give the headers of the same request with another body."""
    address: str
    """Where it goes: what else is sent meanwhile has a signature of its own, or none."""
    aimed: Aimed | None = None
    """What it asks, where its path does not say so."""


_signer: ContextVar[Signer | None] = ContextVar("bursar_signer", default=None)


def signer_of(url: Any) -> Signer | None:
    """Give who signs what is sent here to an address; None where nobody does."""
    here = _signer.get()
    return here if here is not None and here.address == address_of(url) else None


@contextmanager
def signing(signer: Signer) -> Iterator[None]:
    """Let what is sent here be signed anew."""
    token = _signer.set(signer)
    try:
        yield
    finally:
        _signer.reset(token)
