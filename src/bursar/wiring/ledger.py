"""The ledger that the settings name, and its clock. Owns the choice of store."""

from __future__ import annotations

from time import time_ns

from bursar.config.settings import Durability, Settings, StoreKind
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger

__all__ = ["TENANT", "StoreClock", "open_ledger"]

TENANT = "default"
"""The one tenant, until keys exist."""


class StoreClock:
    """The wall clock, never behind what the ledger has seen and never running back."""

    def __init__(self, floor_ns: int = 0) -> None:
        self._last_ns = floor_ns

    def __call__(self) -> int:
        now_ns = time_ns()
        if now_ns > self._last_ns:
            self._last_ns = now_ns
            return now_ns
        return self._last_ns


def open_ledger(settings: Settings) -> SqliteLedger | MemoryLedger:
    """Open the ledger that the settings name. Raises StoreUnavailable."""
    store = settings.store
    if store.kind is StoreKind.MEMORY:
        return MemoryLedger()
    return SqliteLedger(store.path, is_power_safe=store.durability is Durability.POWER, timeout_s=store.timeout_s)
