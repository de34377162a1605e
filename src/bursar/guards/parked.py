"""The body of a streamed reply whose run still waits for a person: comments that keep the connection alive.

Owns the time until somebody decides, and how the decision is told then: the answer itself follows, or an error in the
middle of the stream, as its API writes one. It holds nothing while it waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bursar.core.window import NS
from bursar.guards.ports import Clock
from bursar.pipeline.call import Body, Call, Next
from bursar.wire.base import Refusal

__all__ = ["KEEPALIVE_S", "ParkedStream"]

KEEPALIVE_S = 10.0
"""How often a comment is sent: proxies close what is silent for a minute, some for half of one."""
COMMENT = b": this run waits for a person's approval\n\n"
_BROKEN = Refusal(502, "upstream_failed", "the provider did not answer as it should")


@dataclass(slots=True)
class ParkedStream:
    """See `pipeline/call.py`: Body. `wait` tells whether somebody has decided by an instant."""

    call: Call
    following: Next
    wait: Callable[[Call, int], Awaitable[bool]]
    clock: Clock
    ends_ns: int
    _body: Body | None = None
    _is_over: bool = False
    _has_begun: bool = field(default=False)

    async def read(self) -> bytes:
        if self._is_over or (self._body is None and self.call.is_gone()):
            return b""
        if self._body is not None:
            return await self._body.read()
        if not self._has_begun:
            # The head goes out with the first bytes: whoever waits for it is told at once why.
            self._has_begun = True
            return COMMENT
        until_ns = min(self.ends_ns, self.clock() + int(KEEPALIVE_S * NS))
        if not await self.wait(self.call, until_ns) and self.clock() < self.ends_ns:
            return COMMENT
        reply = await self.following(self.call)
        if isinstance(reply.body, bytes):
            self._is_over = True
            return self.call.wire.reader(self.call.request).error(reply.refusal or _BROKEN)
        self._body = reply.body
        return await self._body.read()

    async def tick(self) -> float | None:
        return None if self._body is None else await self._body.tick()

    async def close(self, *, is_hangup: bool) -> None:
        self._is_over = True
        if self._body is not None:
            await self._body.close(is_hangup=is_hangup)
