"""How many tools of its own a program has used in each run, for the guards.

Owns that memory and its limit. It is one process's: the ledger hears of it with the run's next model call.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

__all__ = ["Tools"]

RUNS_MAX = 10_000


@dataclass(slots=True)
class Tools:
    """How many tools each run has had in this process."""

    _done: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, run: str) -> int:
        """Say how many a run has had."""
        return self._done.get(run, 0)

    def add(self, run: str, more: int) -> int:
        """Count more, or take back; says how many there are now."""
        with self._lock:
            now = self._done[run] = max(0, self._done.get(run, 0) + more)
            self._done.move_to_end(run)
            while len(self._done) > RUNS_MAX:
                self._done.popitem(last=False)
            return now
