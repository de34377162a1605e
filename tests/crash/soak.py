"""The long run of R17: `python -m tests.crash.soak [TIMES]` kills a writer 500 times. Run by hand, not by pytest."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.crash.test_kill import Survivor, kill_at_random

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        survivor = Survivor(Path(folder) / "ledger.db")
        kill_at_random(survivor, int(sys.argv[1]) if len(sys.argv) > 1 else 500)
        print(f"{len(survivor.reserved):,} holds and {len(survivor.settled):,} settles acknowledged, none lost")
