"""How a call is driven in somebody else's process: the ways, and the one without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, TypeVar

__all__ = ["Way", "drive"]

T = TypeVar("T")


class Way(Enum):
    """How a call is driven."""

    __hash__ = object.__hash__
    """Enum's own is a function in Python, and each call looks its way up."""

    BLOCKING = auto()
    """In the caller's thread, without an event loop: nothing in it ever suspends."""
    ASYNCIO = auto()
    """In asyncio's event loop, which never waits for the file."""
    FOREIGN = auto()
    """In another event loop: the provider is awaited there, the ledger is asked at once, nothing else is waited for."""


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine over blocking ports to its end, in this thread. It never suspends."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise RuntimeError("a stage waited for an event loop where there is none")
