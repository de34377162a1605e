"""The quick look at a ledger that a status line takes. Owns the choice of what looks; loads no other store."""

from __future__ import annotations

from pathlib import Path

from bursar.errors import NotFound
from bursar.stores.peek import Fullest, Peek, Sum

__all__ = ["Fullest", "Peek", "Sum", "open_peek"]


def open_peek(path: Path, tenant: str) -> Peek:
    """Look at the ledger at `path`. Raises NotFound where there is none, StoreUnavailable where it cannot be read."""
    if not path.exists():
        raise NotFound(f"there is no ledger at {path}")
    return Peek(path, tenant)
