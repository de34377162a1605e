"""The usual answer: how long answers of this agent and model usually are.

Owns U, the 95th percentile of recent answers. It decides how little may be held for a call, and so when a call is
refused: never while a usual answer would fit.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

__all__ = ["RecentAnswers", "UsualAnswers", "UsualKey"]

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


class RecentAnswers:
    """Recent answers of one key, in their order of time and in that of their length. Safe from several threads."""

    __slots__ = ("_by_length", "_by_time", "_lock", "_teach", "usual")

    def __init__(self, teach: Callable[[int], None] | None = None) -> None:
        self._by_time: deque[int] = deque()
        self._by_length: list[int] = []
        self._lock = threading.Lock()
        self._teach = teach
        """Where nothing was known, what it learns is for those who ask next."""
        self.usual = UNKNOWN
        """U: at least 1,024 tokens, 4,096 while nothing is known."""

    @property
    def is_new(self) -> bool:
        """Tell whether nothing was known of such answers; then they are to be asked for again."""
        return self._teach is not None

    def learn(self, tokens: int) -> None:
        """Take the length of one answer, per choice."""
        if self._teach is not None:
            self._teach(tokens)
            return
        by_length = self._by_length
        with self._lock:
            if len(by_length) == RECENT:
                del by_length[bisect_left(by_length, self._by_time.popleft())]
            self._by_time.append(tokens)
            insort(by_length, tokens)
            self.usual = max(LEAST, by_length[-(-len(by_length) * 95 // 100) - 1])


class UsualAnswers:
    """Recent answer lengths in tokens per choice. Bounded: the least recently used keys go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._recent: OrderedDict[UsualKey, RecentAnswers] = OrderedDict()
        self._keys_max = keys_max
        self._lock = threading.RLock()

    def recent(self, key: UsualKey) -> RecentAnswers:
        """Give the recent answers of a key, to be asked and told of more without being looked up each time."""
        with self._lock:
            recent = self._recent.get(key)
            if recent is None:
                # Only what has learnt something has a place here: names come from clients.
                return RecentAnswers(partial(self.learn, key))
            self._recent.move_to_end(key)
            return recent

    def usual(self, key: UsualKey) -> int:
        """Give U of a key."""
        return self.recent(key).usual

    def learn(self, key: UsualKey, tokens: int) -> None:
        """Take the length of one answer, per choice."""
        with self._lock:
            recent = self._recent.get(key)
            if recent is None:
                recent = self._recent[key] = RecentAnswers()
            self._recent.move_to_end(key)
            recent.learn(tokens)
            while len(self._recent) > self._keys_max:
                self._recent.popitem(last=False)
