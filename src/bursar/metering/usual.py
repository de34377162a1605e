"""The usual answer: how long answers of this agent and model usually are.

Owns U, the 95th percentile of recent answers. It decides how little may be held for a call, and so when a call is
refused: never while a usual answer would fit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import NamedTuple

__all__ = ["UsualAnswers", "UsualKey"]

KEYS_MAX = 10_000
RECENT = 64
"""How many recent answers are remembered per key."""
LEAST = 1024
UNKNOWN = 4096


class UsualKey(NamedTuple):
    """Whose answers are alike."""

    tenant: str
    agent: str
    model: str
    wire: str


class UsualAnswers:
    """Recent answer lengths in tokens per choice. Bounded: the least recently used keys go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._recent: OrderedDict[UsualKey, deque[int]] = OrderedDict()
        self._keys_max = keys_max
        self._lock = threading.Lock()

    def usual(self, key: UsualKey) -> int:
        """Give U: at least 1,024 tokens, 4,096 while nothing is known."""
        with self._lock:
            recent = self._recent.get(key)
            if not recent:
                return UNKNOWN
            self._recent.move_to_end(key)
            ordered = sorted(recent)
        return max(LEAST, ordered[-(-len(ordered) * 95 // 100) - 1])

    def learn(self, key: UsualKey, tokens: int) -> None:
        """Take the length of one answer, per choice."""
        with self._lock:
            recent = self._recent.setdefault(key, deque(maxlen=RECENT))
            recent.append(tokens)
            self._recent.move_to_end(key)
            while len(self._recent) > self._keys_max:
                self._recent.popitem(last=False)
