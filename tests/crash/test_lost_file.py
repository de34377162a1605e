"""A ledger file that is deleted or replaced under a running process is noticed at its next heartbeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.errors import StoreUnavailable
from bursar.stores.sqlite import SqliteLedger


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_nothing_more_is_written_into_a_file_that_nobody_would_find(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "bursar.db"
    ledger = SqliteLedger(path)
    ledger.beat("one", 1)
    path.rename(tmp_path / "elsewhere.db")
    if is_replaced:
        path.write_bytes(b"")
    for verb in (lambda: ledger.beat("one", 2), lambda: ledger.lapse("one", 3)):
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            verb()
    ledger.close_store()
