"""A ledger that is looked at again and again, while gateways write it and people move it.

Owns the opening, and the opening anew where the path leads to another file. Each look is one short read; nothing is
held between two. It must never make a ledger that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from bursar.cli.options import OpenLedger, now
from bursar.config.settings import Settings, StoreKind
from bursar.errors import NotFound, UsageError
from bursar.wiring.ledger import open_ledger

__all__ = ["Followed"]

T = TypeVar("T")


class Followed(Generic[T]):
    """What `make` makes of an open ledger, made anew whenever the file is another one."""

    def __init__(self, settings: Settings, make: Callable[[OpenLedger], T]) -> None:
        if settings.store.kind is StoreKind.MEMORY:
            raise UsageError("store.kind is memory: that ledger ends with its gateway, and no command can read it")
        self._settings = settings
        self._make = make
        self._ledger: OpenLedger = None
        self._file = (0, 0)
        self._made: T | None = None

    def get(self) -> tuple[T, int]:
        """Give what was made, and the ledger's time. Raises NotFound, StoreUnavailable."""
        path = self._settings.store.path
        try:
            found = path.stat()
        except OSError as error:
            self.close()
            raise NotFound(
                f"there is no ledger at {path}: the first `bursar serve` makes it; --store names another file"
            ) from error
        if self._made is None or (found.st_dev, found.st_ino) != self._file:
            self.close()
            self._ledger = open_ledger(self._settings)
            self._file = (found.st_dev, found.st_ino)
            self._made = self._make(self._ledger)
        return self._made, now(self._ledger)

    def close(self) -> None:
        """Let go of the file."""
        if self._ledger is not None:
            self._ledger.close_store()
        self._ledger = self._made = None
