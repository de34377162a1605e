"""Ending what waits in an event loop for longer than its run may take.

Owns one timer for all that waits in a loop. A time-out of each would be set and taken away again with every call, and
nearly no run ever comes to its end.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

__all__ = ["RunEnds", "Wait"]

GRAIN_S = 0.01
"""So much later than asked for an end may come: calls of one run have the same end, but for the clocks' noise."""


class Wait:
    """One task that waits, for one thing after the other."""

    __slots__ = ("began", "ends", "ends_s", "is_over", "task")

    def __init__(self, ends: RunEnds, task: asyncio.Task[Any], ends_s: float) -> None:
        self.ends = ends
        self.task = task
        self.ends_s = ends_s
        """By the loop's clock."""
        self.began = 0
        """How often others had asked it to end when it began to wait."""
        self.is_over = False
        """It was cancelled because of its run; who waited takes that back by `uncancel`."""


class RunEnds:
    """The waits of one loop. To be used in it alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_s = math.inf
        """What ends before that needs a timer of its own."""

    def wait(self, due_s: float) -> Wait:
        """Make a wait of the task that runs now, over after so many seconds."""
        task = asyncio.current_task(self.loop)
        assert task is not None, "a call is made by a task"
        return Wait(self, task, self.loop.time() + due_s)

    def enter(self, wait: Wait) -> None:
        """Let its task be cancelled when it still waits at that time."""
        wait.began, wait.is_over = wait.task.cancelling(), False
        self._waits.add(wait)
        if wait.ends_s < self._looks_s:
            self._set(wait.ends_s)

    def leave(self, wait: Wait) -> None:
        """Let it wait no longer. The timer stays: the next call of the run has the same end."""
        self._waits.discard(wait)

    def _set(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_s = self.loop.call_at(when_s, self._look), when_s - GRAIN_S

    def _look(self) -> None:
        """End what is due, and come again for the rest."""
        self._timer, self._looks_s = None, math.inf
        now_s = self.loop.time() + GRAIN_S
        for wait in [each for each in self._waits if each.ends_s <= now_s]:
            self._waits.discard(wait)
            wait.is_over = True
            wait.task.cancel()
        if self._waits:
            self._set(min(each.ends_s for each in self._waits))
