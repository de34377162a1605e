"""The usual answer: how long answers of this agent and model usually are.

Owns U, the 95th percentile of recent answers. It decides how little may be held for a call, and so when a call is
refused: never while a usual answer would fit.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
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


class _Recent:
    """Recent answers of one key, in their order of time and in that of their length."""

    __slots__ = ("by_length", "by_time")

    def __init__(self) -> None:
        self.by_time: deque[int] = deque()
        self.by_length: list[int] = []

    def add(self, tokens: int) -> None:
        if len(self.by_time) == RECENT:
            del self.by_length[bisect_left(self.by_length, self.by_time.popleft())]
        self.by_time.append(tokens)
        insort(self.by_length, tokens)

    def usual(self) -> int:
        return self.by_length[-(-len(self.by_length) * 95 // 100) - 1]


class UsualAnswers:
    """Recent answer lengths in tokens per choice. Bounded: the least recently used keys go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._recent: OrderedDict[UsualKey, _Recent] = OrderedDict()
        self._keys_max = keys_max
        self._lock = threading.RLock()

    def usual(self, key: UsualKey) -> int:
        """Give U: at least 1,024 tokens, 4,096 while nothing is known."""
        with self._lock:
            recent = self._recent.get(key)
            if recent is None:
                return UNKNOWN
            self._recent.move_to_end(key)
            return max(LEAST, recent.usual())

    def learn(self, key: UsualKey, tokens: int) -> None:
        """Take the length of one answer, per choice."""
        with self._lock:
            recent = self._recent.get(key)
            if recent is None:
                recent = self._recent[key] = _Recent()
                while len(self._recent) > self._keys_max:
                    self._recent.popitem(last=False)
            else:
                self._recent.move_to_end(key)
            recent.add(tokens)
