"""Whether this code runs inside a metered send already.

Owns the mark. A transport or a hook that sends the same request on by another client is no second call.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

__all__ = ["inside", "is_inside"]

_inside: ContextVar[bool] = ContextVar("bursar_inside", default=False)


def is_inside() -> bool:
    """Tell whether a send is being metered here already."""
    return _inside.get()


class inside:  # noqa: N801 - it is used like a function
    """Mark what runs here as a part of a metered send."""

    # A class of its own: a generator as context manager takes three times as long, and each call has one.
    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token: Token[bool] = _inside.set(True)

    def __exit__(self, *_error: object) -> None:
        _inside.reset(self._token)
