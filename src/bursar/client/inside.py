"""Whether this code runs inside a metered send already.

Owns the mark. A transport or a hook that sends the same body on by another client is no second call. Whatever else is
sent inside, as by a hook that asks a model itself, the handler of a signal or a task that was begun there, is one.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

__all__ = ["inside", "is_inside", "passes_on"]

_inside: ContextVar[tuple[object, bytes] | None] = ContextVar("bursar_inside", default=None)
"""Who sends, and what."""


def is_inside() -> bool:
    """Tell whether a send is being metered here already."""
    return _inside.get() is not None


def passes_on(client: object, body: bytes) -> bool:
    """Tell whether a client only sends on what is being metered here already."""
    around = _inside.get()
    return around is not None and around[0] is not client and around[1] == body


class inside:  # noqa: N801 - it is used like a function
    """Mark what runs here as a part of a metered send: of this body, by this client."""

    # A class of its own: a generator as context manager takes three times as long, and each call has one.
    __slots__ = ("_around", "_token")

    def __init__(self, client: object, body: bytes) -> None:
        self._around = (client, body)

    def __enter__(self) -> None:
        self._token: Token[tuple[object, bytes] | None] = _inside.set(self._around)

    def __exit__(self, *_error: object) -> None:
        _inside.reset(self._token)
