"""A metered stream: the provider's events pass through, and are counted as they pass.

Owns the reading of one streamed answer: extension before it is needed, the cut when that is refused, the settle at the
end, and the cost as a trailing comment. It drives the call's account; it decides nothing about money itself.
"""

from __future__ import annotations

import time
from dataclasses import replace

from bursar import failpoints
from bursar.core.usage import Usage
from bursar.errors import TooLarge, UpstreamFailed
from bursar.pipeline.account import Account
from bursar.pipeline.call import Call
from bursar.pipeline.ports import Answering
from bursar.pipeline.refusals import plain_usd
from bursar.wire.base import Refusal, StreamReader

__all__ = ["MeteredStream"]

AFTER_END_S = 1.0
"""How long the connection may stay open after the API's last event before it is closed from here."""


class MeteredStream:
    """The body of a streamed reply (see `pipeline/call.py`: Body)."""

    def __init__(self, call: Call, account: Account, answer: Answering) -> None:
        self._call = call
        self._account = account
        self._answer = answer
        account.watch.wake = answer.abort
        self._reader: StreamReader = call.wire.reader(call.request)
        self._status = answer.status
        self._is_over = False
        self._tail = b""
        self._ends = time.monotonic() + call.provider.deadlines.total_s
        self._quiet_since = time.monotonic()
        self._idle_s = call.provider.deadlines.idle_s
        self._due: float | None = None
        """When time alone makes something due; None when that is to be asked anew."""

    async def read(self) -> bytes:
        while not self._is_over:
            piece = await self._next()
            if piece is None:
                out = await self._idle()
            elif piece == b"":
                out = await self._end()
            else:
                out = await self._feed(piece)
            if out:
                return out
        tail, self._tail = self._tail, b""
        return tail

    async def _next(self) -> bytes | None:
        """Read what comes, but no longer than until something is due."""
        now = time.monotonic()
        if now >= self._ends:
            return None  # Also when something could be read: bytes that never stop do not move the end.
        if self._due is None:
            due_s = None if self._account.is_closed else self._account.tick_s()
            self._due = self._ends if due_s is None else now + due_s
        wait_s = min(self._quiet_since + self._idle_s, self._ends, self._due) - now
        try:
            piece = await self._answer.read(wait_s if wait_s > 0 else 0.0)
        except UpstreamFailed:
            return b""
        if piece:
            self._quiet_since = time.monotonic()
        return piece

    async def _feed(self, piece: bytes) -> bytes:
        try:
            out = self._reader.feed(piece)
        except (TooLarge, UpstreamFailed) as error:
            return await self._break(error.message)
        if failpoints.armed:
            failpoints.failpoint("mid_stream")
        if self._reader.is_finished:
            await self._settle()
            return out
        if await self._is_cut():
            return out + await self._cut()
        return out

    async def _is_cut(self) -> bool:
        """Do what this piece makes due, with nearly every one nothing; True when the stream is to end."""
        visible = self._reader.visible_tokens
        if self._account.is_calm(visible):
            return False
        self._due = None
        return await self._account.progress(visible)

    async def _idle(self) -> bytes:
        """Nothing came: something is due by time, or a deadline has passed."""
        if self._account.is_closed:
            # All that is billed has passed; the connection is merely still open.
            self._close_connection()
            return self._comment()
        now = time.monotonic()
        if now >= self._ends:
            total_s = self._call.provider.deadlines.total_s
            return await self._break(f"{self._call.provider.name} did not end its answer within {total_s:g} s")
        if now - self._quiet_since >= self._idle_s:
            return await self._break(f"{self._call.provider.name} went silent in the middle of its answer")
        self._due = None
        if await self._account.progress(self._reader.visible_tokens):
            return await self._cut()
        return b""

    async def _end(self) -> bytes:
        """The provider's bytes end, by its own will or by an accident."""
        rest = self._reader.rest()
        if self._reader.is_error:
            self._close_connection()
            if not self._account.is_closed:
                await self._account.lose(self._reader.answer(), status=self._status, ended="error")
            return rest
        if not self._account.is_closed:
            if self._account.is_cut(self._reader.visible_tokens):
                return rest + await self._cut()
            if not self._reader.is_complete:
                return rest + await self._break(f"{self._call.provider.name} broke off in the middle of its answer")
            await self._settle()
        self._is_over = True
        self._answer.finish()
        return rest + self._comment()

    async def _settle(self) -> None:
        """The API's last event has passed: settle, and wait only a moment for the connection's own end."""
        if self._account.is_closed:
            return
        if failpoints.armed:
            failpoints.failpoint("before_settle")
        await self._account.settle(self._reader.answer(), status=self._status)
        self._due = None
        self._ends = min(self._ends, time.monotonic() + AFTER_END_S)

    async def _cut(self) -> bytes:
        """End the client's stream as its API ends an answer that reached its cap."""
        self._close_connection()
        answer = self._reader.answer()
        await self._account.lose(answer, status=self._status, ended="cut")
        told = answer.usage or answer.usage_input or Usage()
        charged = self._account.charge.amounts.output_tokens if self._account.charge else told.output_total
        shown = replace(told, output_tokens=max(0, charged - told.output_total + told.output_tokens))
        return self._reader.cut(shown) + self._comment()

    async def _break(self, message: str) -> bytes:
        """Tell the client of an accident in its API's way; what may be billed is charged."""
        self._close_connection()
        await self._account.lose(self._reader.answer(), status=self._status)
        return self._reader.error(Refusal(502, "upstream_failed", message))

    def _close_connection(self) -> None:
        self._is_over = True
        self._answer.abort()

    def _comment(self) -> bytes:
        charge = self._account.charge
        if charge is None or not self._call.request.takes_comments:
            return b""
        return f": bursar cost-usd={plain_usd(charge.amounts.cost_nano)} call={self._call.id}\n\n".encode()

    async def tick(self) -> float | None:
        if self._is_over or self._account.is_closed:
            return None
        self._due = None
        if await self._account.progress(self._reader.visible_tokens):
            self._tail = await self._cut()
        return self._account.tick_s()

    async def close(self, *, is_hangup: bool) -> None:
        self._is_over = True
        if self._account.is_closed:
            return
        self._answer.abort()
        ended = "hangup" if is_hangup else "lost"
        await self._account.lose(self._reader.answer(), status=self._status, ended=ended)
