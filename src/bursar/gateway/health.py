"""The pages that watch the gateway itself: is it alive, is it ready, what are its figures.

Owns what they say to a stranger: one word, no version, no model, no secret. They are no routes of an API and hold no
money.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from bursar.pipeline.call import Reply
from bursar.telemetry.metrics import CONTENT_TYPE

__all__ = ["Readiness", "health", "metrics"]

READY_S = 1.0
"""How long one look at the ledger answers for: each is a write, and anybody may ask often."""


async def health() -> Reply:
    """Say that the process answers: it needs no restart."""
    return _page(200, b"ok\n")


class Readiness:
    """Say whether calls can be served now. `stop()` makes it say no, so that no new ones are sent here."""

    def __init__(self, probe: Callable[[], Awaitable[bool]], clock_s: Callable[[], float] = time.monotonic) -> None:
        """`probe` tells whether the ledger can be read and written, in bounded time."""
        self._probe = probe
        self._clock_s = clock_s
        self._is_stopping = False
        self._is_ready = False
        self._asked_s = -READY_S

    def stop(self) -> None:
        self._is_stopping = True

    async def __call__(self) -> Reply:
        if self._clock_s() - self._asked_s >= READY_S:
            # Set first, so that those who ask meanwhile take the last answer and do not write as well.
            self._asked_s = self._clock_s()
            self._is_ready = await self._probe()
        if self._is_ready and not self._is_stopping:
            return _page(200, b"ready\n")
        return _page(503, b"not ready\n")


async def metrics(read: Callable[[], Awaitable[bytes | None]]) -> Reply | None:
    """Give the metrics for a scrape; None when they are switched off, and the path is as unknown as any other."""
    body = await read()
    return None if body is None else _page(200, body, CONTENT_TYPE)


def _page(status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> Reply:
    return Reply(status, (("content-type", kind), ("cache-control", "no-store")), body)
