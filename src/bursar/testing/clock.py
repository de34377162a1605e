"""A clock that a test moves by hand.

Owns the passing of time in tests: time stands still until someone advances it. It must never read the real clock and
never run back, since the store's time never does either.
"""

from __future__ import annotations

import threading

__all__ = ["START_NS", "FixedClock"]

START_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z, the instant at which a `FixedClock` starts unless told otherwise."""

NS_PER_S = 1_000_000_000


class FixedClock:
    """Answer the same instant until advanced.

    Calling it returns nanoseconds since the Unix epoch, UTC, as an int. Safe to call and to advance from any thread.
    """

    __slots__ = ("_lock", "_now_ns")

    def __init__(self, now_ns: int = START_NS) -> None:
        """Start at `now_ns`. Raises ValueError when it is negative."""
        if now_ns < 0:
            raise ValueError(f"now_ns must be >= 0, got {now_ns}")
        self._now_ns = now_ns
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """Return the present instant in nanoseconds UTC."""
        with self._lock:
            return self._now_ns

    def advance(self, *, seconds: float = 0, ns: int = 0) -> int:
        """Move forward and return the new instant in nanoseconds UTC.

        Whole seconds are added exactly; a fraction is rounded to the nanosecond. Raises ValueError for a step back.
        """
        step_ns = ns + (seconds * NS_PER_S if isinstance(seconds, int) else round(seconds * NS_PER_S))
        if step_ns < 0:
            raise ValueError(f"a clock never runs back: asked to move by {step_ns} ns")
        with self._lock:
            self._now_ns += step_ns
            return self._now_ns

    def move_to(self, now_ns: int) -> int:
        """Move forward to the instant `now_ns` and return it. Raises ValueError when it lies in the past."""
        with self._lock:
            if now_ns < self._now_ns:
                raise ValueError(f"a clock never runs back: {now_ns} is before {self._now_ns}")
            self._now_ns = now_ns
            return now_ns
