"""One HTTP client library, httpx or its successor httpx2: the classes of it that metering needs.

Owns the difference between the two, which is their name. Streams are made of the library's own base classes, since it
looks at them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

from bursar.client.streams import AsyncMetered, AsyncReplay, Metered, Replay

__all__ = ["Kit", "kit_of"]


@dataclass(frozen=True, slots=True)
class Kit:
    """Classes of one library."""

    bytes: type[Any]
    """The body of a request, whole."""
    response: Callable[..., Any]
    """Makes a response of our own."""
    failure: type[Any]
    """What is raised when a request gets no answer."""
    undecodable: type[Exception]
    """The one of these that says that a body is not what its encoding says."""
    wires: tuple[type[Any], ...]
    """The transports of its own."""
    unsent: tuple[type[Exception], ...]
    """Those failures of which it is certain that nothing was sent."""
    replay: type[Replay]
    metered: type[Metered]
    async_replay: type[AsyncReplay]
    async_metered: type[AsyncMetered]


def _said(kind: type[Any], status: int, **parts: Any) -> Any:
    """Make a response that has its whole body, and that a program which streams the raw bytes can read as well."""
    made = kind(status, **parts)
    made.is_closed = made.is_stream_consumed = False
    return made


@lru_cache(maxsize=4)
def kit_of(library: ModuleType) -> Kit:
    """Take what is needed of a library."""
    sync, other = library.SyncByteStream, library.AsyncByteStream
    unsent = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
    return Kit(
        library.ByteStream,
        partial(_said, library.Response),
        library.RequestError,
        library.DecodingError,
        (library.HTTPTransport, library.AsyncHTTPTransport),
        tuple(getattr(library, name) for name in unsent),
        type("Replay", (Replay, sync), {}),
        type("Metered", (Metered, sync), {}),
        type("AsyncReplay", (AsyncReplay, other), {}),
        type("AsyncMetered", (AsyncMetered, other), {}),
    )
