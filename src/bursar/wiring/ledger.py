"""The ledger that the settings name, and its clock. Owns the choice of store."""

from __future__ import annotations

from time import time_ns

from bursar.config.settings import Durability, Settings, StoreKind
from bursar.pipeline.ports import Clock
from bursar.stores.memory import MemoryLedger
from bursar.stores.sqlite import SqliteLedger

__all__ = ["TENANT", "open_ledger", "store_clock"]

TENANT = "default"
"""The one tenant, until keys exist."""


def store_clock(floor_ns: int = 0) -> Clock:
    """Make a wall clock that is never behind what the ledger has seen and never runs back.

    A function, since a call asks it four times, and an object is called in a dearer way.
    """
    last_ns = floor_ns

    def now() -> int:
        nonlocal last_ns
        now_ns = time_ns()
        if now_ns > last_ns:
            last_ns = now_ns
        return last_ns

    return now


def open_ledger(settings: Settings) -> SqliteLedger | MemoryLedger:
    """Open the ledger that the settings name. Raises StoreUnavailable."""
    store = settings.store
    if store.kind is StoreKind.MEMORY:
        return MemoryLedger()
    return SqliteLedger(store.path, is_power_safe=store.durability is Durability.POWER, timeout_s=store.timeout_s)
