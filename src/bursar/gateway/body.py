"""A request's body: read within its limits of size and time, and parsed once.

Owns both limits, and where a large body is parsed. It never looks into one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bursar.config.settings import Limits
from bursar.errors import BadRequest, TooLarge
from bursar.gateway.exchange import Exchange

__all__ = ["parsed", "read_body"]

PARSED_AT_ONCE_BYTES = 2**18
HUGE_BYTES = 2**21
_large = ThreadPoolExecutor(1, "bursar-parse")
_huge = ThreadPoolExecutor(1, "bursar-parse-huge")
"""One thread each: several would parse no faster, and the loop would wait for the interpreter behind all of them. What
takes seconds does not stand before what takes milliseconds."""
T = TypeVar("T")


async def read_body(exchange: Exchange, limits: Limits) -> bytes:
    """Read the request's body. Raises TooLarge, and BadRequest when it does not arrive in time."""
    most = limits.body_bytes_max
    if int(exchange.headers.get("content-length") or 0) > most:
        raise TooLarge(f"a request body may have {most:,} bytes")
    if not exchange.is_whole:
        await _arrived(exchange, most, limits.body_s)
    if exchange.size_bytes > most:
        raise TooLarge(f"a request body may have {most:,} bytes")
    return exchange.take()


async def _arrived(exchange: Exchange, most: int, timeout_s: float) -> None:
    """Wait for the whole body, or more than there may be of it. Raises BadRequest when it does not come."""
    try:
        async with asyncio.timeout(timeout_s):
            while not exchange.is_whole and exchange.size_bytes <= most:
                if exchange.is_gone:
                    raise BadRequest("the client went away before its request was complete")
                await exchange.more()
    except TimeoutError:
        raise BadRequest("the request's body did not arrive in time") from None


async def parsed(read: Callable[[bytes], T], body: bytes) -> T:
    """Parse a body; a large one in a thread, since it can take long and others are waiting."""
    if len(body) <= PARSED_AT_ONCE_BYTES:
        return read(body)
    thread = _large if len(body) <= HUGE_BYTES else _huge
    return await asyncio.get_running_loop().run_in_executor(thread, read, body)
