"""What the pipeline needs of the world: a store, a provider's connection, a place to wait, a clock.

Owns the contract of the store's verbs, in prose. Its definition is `tests/conformance`; every store passes all of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from bursar.core.admission import Line
from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Extension, Granted, HoldRow, Note, Refused, Reservation
from bursar.core.provider import Provider

__all__ = ["Answering", "Clock", "Store", "Upstream", "Waiting"]

Clock = Callable[[], int]
"""Nanoseconds since 1970, UTC; never runs back."""


class Store(Protocol):
    """The ledger. Every verb is atomic, and happens even when its caller is cancelled while it waits for the answer.

    Raises StoreUnavailable, within its time limit, when the ledger cannot be reached; then nothing was changed.
    """

    async def reserve(self, asked: Reservation) -> Granted | Refused:
        """Hold over all lines, or none. The same id again gives the same hold; with another content HoldConflict."""
        ...

    async def extend(self, asked: Reservation, at_least: int, at_most: int, attempts: int = 1) -> Extension:
        """Cover between `at_least` and `at_most` tokens in all, over all lines, or leave the hold as it is."""
        ...

    async def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed:
        """Apply a verb by the table of `core/hold.py`. Raises NotFound for an unknown id, HoldConflict by the table."""
        ...

    async def response(self, tenant: str, response_id: str) -> HoldRow | None:
        """Give the call of a tenant's earlier response; None when it is not known, or another tenant's."""
        ...


class Answering(Protocol):
    """A provider's answer whose head has come."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    async def read(self, timeout_s: float) -> bytes | None:
        """Read what has come; b"" at the end, None when nothing came in time. Raises UpstreamFailed."""
        ...

    async def body(self, size_max: int) -> bytes:
        """Read all. Raises UpstreamFailed, and TooLarge above `size_max` bytes."""
        ...

    def abort(self) -> None: ...
    def finish(self) -> None: ...


class Upstream(Protocol):
    """Connections to providers."""

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        """Send and wait for the head. Raises UpstreamFailed, which tells whether it may have been sent."""
        ...


class Waiting(Protocol):
    """Where calls wait, first in first out, for money that is only in flight."""

    async def admit(
        self,
        lines: Sequence[Line],
        attempt: Callable[[], Awaitable[Granted | Refused]],
        is_gone: Callable[[], bool],
    ) -> Granted | Refused:
        """Attempt, and where the refusal is mere contention wait for a turn and attempt again, up to a limit."""
        ...

    def freed(self, lines: Sequence[Line]) -> None:
        """Say that money came back to these lines."""
        ...
