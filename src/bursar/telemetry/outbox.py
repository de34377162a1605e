"""The way of call records to an exporter: a bounded queue and one thread.

Owns the promise that telling never waits: what does not fit is dropped and counted. It knows no exporter; it is handed
one as a function.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from bursar.telemetry.record import CallRecord

__all__ = ["Outbox", "Send"]

log = logging.getLogger("bursar.telemetry")

BATCH_MAX = 512
STOP_S = 5.0
"""How long a stop waits for what is queued, before the exporter is told to give up."""

Send = Callable[[Sequence[CallRecord]], bool]
"""Export some records, waiting as long as that takes; False when they did not arrive."""


class Outbox:
    """An Observer that hands records on, at once when the exporter is free. `stop()` ends the thread."""

    def __init__(self, send: Send, give_up: Callable[[], None], queue_max: int) -> None:
        """`give_up` makes a `send` that still tries return soon."""
        self._send = send
        self._give_up = give_up
        self._queue_max = queue_max
        self._queue: deque[CallRecord] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="bursar-telemetry", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many records did not arrive: the queue was full, or the exporter failed."""
        return self._dropped

    def call_ended(self, record: CallRecord) -> None:
        with self._changed:
            if self._is_stopping or len(self._queue) >= self._queue_max:
                self._dropped += 1
                return
            self._queue.append(record)
            self._changed.notify()

    def stop(self) -> None:
        """Send what is queued, within STOP_S. Harmless when done before."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(STOP_S)
        self._give_up()
        self._thread.join(STOP_S)

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                has_arrived = self._send(batch)
            except Exception:
                # The outermost frame of this thread: an exporter's bug must not end it.
                log.exception("events could not be exported")
                has_arrived = False
            if not has_arrived:
                with self._changed:
                    self._dropped += len(batch)

    def _next_batch(self) -> list[CallRecord]:
        """Take whatever is queued, waiting for the first; nothing when all is done and no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_stopping)
            return [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
