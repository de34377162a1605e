"""From a Reply to a client's connection.

Owns the read-ahead: the provider's stream is read and written on while the client takes its time, up to a limit, and
what time makes due is done also while the client takes nothing. However it ends, the body is closed and so its hold.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from bursar.config.settings import Limits
from bursar.gateway.exchange import Exchange
from bursar.pipeline.call import Body, Reply

__all__ = ["relay"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_STORE = "cache-control: private, no-store\r\n"


async def relay(reply: Reply, exchange: Exchange, limits: Limits) -> None:
    """Send a reply to the client."""
    headers = _headers(reply.headers)
    if isinstance(reply.body, bytes):
        exchange.respond(reply.status, headers, reply.body)
    else:
        await _stream(reply.status, headers, reply.body, exchange, limits)


def _headers(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Write the headers' lines. One with a control letter is left out: it could end its line and begin another.

    Answers are for the one who asked, so nothing between may keep them where their provider says nothing about it.
    """
    kept = list(pairs)
    if _CONTROL.search("\t".join(map("\t".join, kept))) is not None:
        kept = [pair for pair in kept if _CONTROL.search(pair[0] + pair[1]) is None]
    lines = "".join([f"{name}: {value}\r\n" for name, value in kept])
    if not any(name == "cache-control" for name, _ in kept):
        lines += _NO_STORE
    return lines.encode("latin-1", "replace")


async def _stream(status: int, headers: bytes, body: Body, exchange: Exchange, limits: Limits) -> None:
    """Write a body as it comes, in the request's own task: a client that leaves interrupts whatever is waited for."""
    task = asyncio.current_task()
    assert task is not None
    is_hangup = True
    try:
        if not exchange.is_gone:
            exchange.when_gone(task.cancel)
            exchange.start(status, headers)
            while piece := await body.read():
                exchange.write(piece)
                while exchange.unsent_bytes >= limits.read_ahead_bytes_max:
                    # Nothing more is read until there is room; what time makes due is done.
                    await exchange.room(await body.tick())
            exchange.end()
            is_hangup = False
    except asyncio.CancelledError:
        if not exchange.is_gone:
            raise  # It is the server that stops.
        task.uncancel()
    finally:
        exchange.when_gone(None)
        await body.close(is_hangup=is_hangup)
