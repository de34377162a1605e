"""What guards need of the world: the rows of runs. Owns the contract in prose; `tests/conformance` defines it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from bursar.core.run import RunChange, RunRow

__all__ = ["Clock", "Runs", "Sleep"]

Clock = Callable[[], int]
"""Nanoseconds since 1970, UTC; never runs back."""
Sleep = Callable[[float], Awaitable[None]]
"""Lets seconds pass: an event loop's, or one that blocks where there is no loop."""


class Runs(Protocol):
    """The rows of runs. Raises StoreUnavailable when the ledger cannot be reached."""

    async def row(self, tenant: str, run: str) -> RunRow | None:
        """Give one run; None when no guard has seen it."""
        ...

    async def latest(self, tenant: str, prefix: str) -> RunRow | None:
        """Give the run that was inferred last from the beginning of a conversation."""
        ...

    async def change(self, tenant: str, run: str, change: RunChange) -> RunRow:
        """Do one explicit act. Raises NotFound for a run that no guard has seen, HoldConflict by the table."""
        ...

    async def response_run(self, tenant: str, response_id: str) -> str:
        """Name the run of an earlier response; empty where it is not known."""
        ...
