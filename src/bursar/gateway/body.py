"""A request's body: read within its limits of size and time, and parsed once.

Owns both limits, and where a large body is parsed. It never looks into one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from bursar.config.settings import Limits
from bursar.errors import BadRequest, TooLarge
from bursar.gateway.relay import Receive

__all__ = ["parsed", "read_body"]

PARSED_AT_ONCE_BYTES = 2**18
T = TypeVar("T")


async def read_body(headers: Mapping[str, str], receive: Receive, limits: Limits) -> bytes:
    """Read the request's body. Raises TooLarge, and BadRequest when it does not arrive in time."""
    most = limits.body_bytes_max
    if int(headers.get("content-length") or 0) > most:
        raise TooLarge(f"a request body may have {most:,} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BadRequest("the client went away before its request was complete")
                body += message.get("body", b"")
                if len(body) > most:
                    raise TooLarge(f"a request body may have {most:,} bytes")
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise BadRequest("the request's body did not arrive in time") from None


async def parsed(read: Callable[[bytes], T], body: bytes) -> T:
    """Parse a body; a large one in a thread of its own, since it can take seconds and others are waiting."""
    return read(body) if len(body) <= PARSED_AT_ONCE_BYTES else await asyncio.to_thread(read, body)
