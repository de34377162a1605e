"""Whether this code runs inside a metered send already.

Owns the mark. A transport or a hook that sends the same request on by another client is no second call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["inside", "is_inside"]

_inside: ContextVar[bool] = ContextVar("bursar_inside", default=False)


def is_inside() -> bool:
    """Tell whether a send is being metered here already."""
    return _inside.get()


@contextmanager
def inside() -> Iterator[None]:
    """Mark what runs here as a part of a metered send."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)
