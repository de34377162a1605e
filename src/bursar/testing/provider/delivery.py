"""Deliver one answer: whole or streamed, with its fault, and bill it exactly once.

Owns the order of sending and billing. A call is billed the moment its generation ends, be it complete, stopped by a
fault or by the loss of the connection, and always before the last byte is sent: a client that has read its answer finds
it on the invoice. It must never let the reader's pace change what is billed, or when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bursar.testing.provider.answer import Answer
from bursar.testing.provider.connection import Connection, Headers
from bursar.testing.provider.generation import Generation
from bursar.testing.provider.invoice import Ended, Invoice
from bursar.testing.provider.shape import Shape

__all__ = ["KEEP_ALIVE_S", "Delivery", "OnEnd", "natural_end"]

OnEnd = Callable[[int, Ended], None]
"""Told once how a call ended and after how many tokens per choice, as soon as it is on the invoice."""

KEEP_ALIVE_S = 0.1
STEP_S = 0.002
"""The shortest sleep between two looks at the clock, so that a fast answer is sent in groups of events."""
EVENTS_PER_WRITE = 256
PAD_BYTES_PER_WRITE = 64 * 1024

JSON = (b"content-type", b"application/json")
EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
FRAMES = ((b"content-type", b"application/vnd.amazon.eventstream"),)


def natural_end(answer: Answer) -> tuple[int, Ended]:
    """Return what is billed per choice, and as what, once generation has run to its stop."""
    fault = answer.script.fault
    if fault == "cut":
        return min(answer.total_tokens, answer.stop_tokens + answer.script.run_ahead_tokens), "cut"
    if fault == "error_event" and answer.ask.is_stream:
        return answer.stop_tokens, "error"
    return answer.stop_tokens, "length" if answer.is_length else "complete"


class Delivery:
    """Deliver and bill one answer. The invoice must list the answer's id as open."""

    def __init__(
        self, shape: Shape, answer: Answer, generation: Generation, invoice: Invoice, on_end: OnEnd | None = None
    ) -> None:
        """Send `answer` in `shape` at the pace of `generation`, whose clock is the running loop's."""
        self._on_end = on_end
        self._shape = shape
        self._answer = answer
        self._script = answer.script
        self._generation = generation
        self._invoice = invoice
        self._loop = asyncio.get_running_loop()
        self._is_ended = False
        self._status: int | None = None

    async def run(self, connection: Connection, request_id: str) -> None:
        """Deliver the answer and end its line on the invoice, whatever happens."""
        headers = self._shape.id_headers(request_id)
        try:
            if await self._wait_until(connection, self._generation.first_byte_at_s):
                return
            if self._script.fault == "reset_before":
                self._end(self._answer.stop_tokens, "reset", is_billed=self._script.fault_billed)
                await connection.cut()
            elif self._script.fault == "status":
                await self._refuse(connection, headers, request_id)
            elif self._answer.ask.is_stream:
                await self._stream(connection, headers, request_id)
            else:
                await self._whole(connection, headers)
        finally:
            self._end_lost()
            connection.unwatch()

    async def _wait_until(self, connection: Connection, at_s: float) -> bool:
        """Wait for an instant and say whether the connection was lost before it."""
        while (left_s := at_s - self._loop.time()) > 0:
            if await connection.lost_within(max(left_s, STEP_S)):
                return True
        return False

    def _end(self, tokens: int, ended: Ended, *, is_billed: bool = True) -> None:
        self._is_ended = True
        if is_billed:
            self._invoice.end(self._answer.id, self._answer.units(tokens), ended, self._status)
        else:
            self._invoice.end_unbilled(self._answer.id, ended, self._status)
        if self._on_end is not None:
            self._on_end(tokens, ended)

    def _end_generated(self) -> None:
        """End a call whose generation has run to its stop, unless it has ended."""
        if self._is_ended:
            return
        tokens, ended = natural_end(self._answer)
        self._end(tokens, ended)

    def _end_lost(self) -> None:
        """End a call whose connection is lost now, unless it has ended: bill what is generated and the run ahead."""
        if self._is_ended:
            return
        fault, now_s = self._script.fault, self._loop.time()
        if fault == "status" or (fault == "reset_before" and not self._script.fault_billed):
            self._end(0, "disconnect", is_billed=False)
        elif now_s >= self._generation.ends_at_s:
            self._end_generated()
        else:
            self._end(self._generation.billed_after_loss(now_s, self._script.run_ahead_tokens), "disconnect")

    async def _refuse(self, connection: Connection, headers: Headers, request_id: str) -> None:
        problem = self._shape.scripted_error(self._script.fault_status)
        self._status = problem.status
        self._end(0, "error", is_billed=False)
        extra = [JSON]
        if self._script.retry_after_s is not None:
            extra.append((b"retry-after", str(self._script.retry_after_s).encode()))
        await connection.respond(problem.status, [*headers, *extra], self._shape.error(problem, request_id))

    async def _whole(self, connection: Connection, headers: Headers) -> None:
        if await self._wait_until(connection, self._generation.ends_at_s):
            return
        self._status = 200
        head = [*headers, JSON]
        body = self._shape.whole(self._answer)
        self._end_generated()
        if self._script.fault == "cut":
            await connection.start(200, [*head, (b"content-length", str(len(body)).encode())])
            await connection.write(body[: len(body) // 2])
            await connection.cut()
            return
        if self._script.fault == "never_ends":
            await connection.start(200, head)
            await connection.write(body[:-1])
            await self._keep_alive(connection, b" ")
            return
        if self._script.fault == "garbage":
            body = b"<html>upstream said: " + body[: len(body) // 2]
        elif self._script.fault == "long_line":
            body = body[:-1] + b" " * max(0, self._script.fault_bytes - len(body)) + body[-1:]
        await connection.respond(200, head, body)

    async def _stream(self, connection: Connection, headers: Headers, request_id: str) -> None:
        self._status = 200
        generated = self._loop.call_at(self._generation.ends_at_s, self._end_generated)
        head_tokens = min(self._script.head_after_tokens, self._answer.stop_tokens)
        try:
            if await self._wait_until(connection, self._generation.ready_at_s(head_tokens)):
                return
            kind = FRAMES if self._answer.ask.wire == "bedrock" else EVENTS
            await connection.start(200, [*headers, *kind])
            await connection.write(self._shape.opening(self._answer))
            if self._script.fault == "long_line":
                await self._write_parts(connection, self._shape.long_line(self._script.fault_bytes))
            if await self._send_content(connection):
                return
        finally:
            generated.cancel()
        self._end_generated()
        await self._finish(connection, request_id)

    async def _finish(self, connection: Connection, request_id: str) -> None:
        """Send what comes after the content: the end of the stream, or what the fault puts in its place."""
        fault = self._script.fault
        if fault == "cut":
            await connection.cut()
        elif fault == "error_event":
            await connection.write(self._shape.error_event(self._answer, request_id), is_last=True)
        elif fault == "never_ends":
            await self._keep_alive(connection, self._shape.keep_alive())
        else:
            await connection.write(self._shape.closing(self._answer), is_last=True)

    async def _send_content(self, connection: Connection) -> bool:
        """Send the content as it is generated, and say whether the connection was lost before the end."""
        sent, count = 0, len(self._answer.events)
        half = self._half_way_events
        while not connection.is_lost:
            ready = min(
                self._answer.events_ready(self._generation.generated(self._loop.time())), sent + EVENTS_PER_WRITE
            )
            if sent < half <= ready:
                ready = half
            if ready > sent:
                await connection.write(self._shape.content(self._answer, sent, ready))
                sent = ready
                if sent == half:
                    await connection.write(self._half_way())
                continue
            is_over = sent == count
            due_tokens = self._answer.stop_tokens if is_over else self._answer.tokens_at_event(sent + 1)
            if is_over and self._generation.generated(self._loop.time()) >= due_tokens:
                return False
            left_s = self._generation.ready_at_s(due_tokens) - self._loop.time()
            await connection.lost_within(max(left_s, STEP_S))
        return True

    @property
    def _half_way_events(self) -> int:
        return (len(self._answer.events) + 1) // 2

    def _half_way(self) -> bytes:
        """Return what the fault puts in the middle of the content."""
        if self._script.fault == "usage_twice":
            return self._shape.usage(self._answer, self._answer.tokens_at_event(self._half_way_events))
        if self._script.fault == "garbage":
            return self._shape.broken(self._answer)
        return b""

    async def _write_parts(self, connection: Connection, data: bytes) -> None:
        for at in range(0, len(data), PAD_BYTES_PER_WRITE):
            if connection.is_lost:
                return
            await connection.write(data[at : at + PAD_BYTES_PER_WRITE])

    async def _keep_alive(self, connection: Connection, beat: bytes) -> None:
        while not await connection.lost_within(KEEP_ALIVE_S):
            await connection.write(beat)
