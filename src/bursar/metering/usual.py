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
    """Recent answers of one key, in their order of time and in that of their length, and what follows from them."""

    __slots__ = ("by_length", "by_time", "usual")

    def __init__(self) -> None:
        self.by_time: deque[int] = deque()
        self.by_length: list[int] = []
        self.usual = UNKNOWN

    def add(self, tokens: int) -> None:
        by_time, by_length = self.by_time, self.by_length
        if len(by_time) == RECENT:
            del by_length[bisect_left(by_length, by_time.popleft())]
        by_time.append(tokens)
        insort(by_length, tokens)
        usual = by_length[-(-len(by_length) * 95 // 100) - 1]
        self.usual = max(LEAST, usual)


class UsualAnswers:
    """Recent answer lengths in tokens per choice. Bounded: the least recently used keys go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._recent: OrderedDict[UsualKey, _Recent] = OrderedDict()
        self._keys_max = keys_max
        self._lock = threading.RLock()

    def usual(self, key: UsualKey) -> int:
        """Give U: at least 1,024 tokens, 4,096 while nothing is known."""
        recent = self._recent.get(key)
        if recent is None:
            return UNKNOWN
        try:  # noqa: SIM105 - dearer than what it holds
            self._recent.move_to_end(key)
        except KeyError:
            pass  # Another thread has let it go meanwhile: reading takes no lock.
        return recent.usual

    def learn(self, key: UsualKey, tokens: int) -> None:
        """Take the length of one answer, per choice."""
        with self._lock:
            recent = self._recent.get(key)
            if recent is None:
                # A thread that reads it before it is filled is told that nothing is known.
                recent = self._recent[key] = _Recent()
                if len(self._recent) > self._keys_max:
                    self._recent.popitem(last=False)
            else:
                self._recent.move_to_end(key)
            recent.add(tokens)
