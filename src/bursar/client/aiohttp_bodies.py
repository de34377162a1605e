"""An aiohttp answer as the program reads it: counted as it passes, and ended however the program ends it.

Owns what stands in the place of aiohttp's own stream and response. It must only be imported where aiohttp is, and it
passes bytes on and never changes one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict, CIMultiDictProxy

from bursar.client.streams import AsyncMetered

__all__ = ["Nothing", "fed", "metered", "synthetic"]

LINE_BYTES = 2**18


class _Quiet(BaseProtocol):
    """Stands for a connection whose reading nobody needs to hold back: bytes come only when they are asked for."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, *_args: object, **_more: object) -> None:
        pass


class Nothing:
    """Stands for a stream below ours that is to be closed: aiohttp's response closes its own."""

    async def aclose(self) -> None:
        """There is nothing to do."""


class _Content(aiohttp.StreamReader):
    """aiohttp's reader of a body, over the pipeline instead of a connection: every way to read it ends in `_wait`."""

    def __init__(self, pieces: AsyncIterable[bytes] | None, limit: int) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_Quiet(loop), limit, loop=loop)
        self._pieces = None if pieces is None else aiter(pieces)
        self._is_pulling = False

    async def _wait(self, func_name: str) -> None:
        if self._is_pulling:
            raise RuntimeError(f"{func_name}() called while another coroutine is already waiting for incoming data")
        self._is_pulling = True
        try:
            piece = b"" if self._pieces is None else await anext(self._pieces, b"")
        except Exception as error:
            self.set_exception(error)
            raise
        finally:
            self._is_pulling = False
        if piece:
            self.feed_data(piece)
        else:
            self.feed_eof()


class _Ending:
    """What a response of a program does beside its own work when it is closed or released. A forgotten one forgets its
    content, which ends by itself."""

    _bursar: tuple[AsyncMetered, Callable[[Coroutine[Any, Any, None]], None]]

    def close(self) -> None:
        self._bursar_end()
        super().close()  # type: ignore[misc]

    def release(self) -> Any:
        self._bursar_end()
        return super().release()  # type: ignore[misc]

    async def __aexit__(self, *details: Any) -> None:
        await self._bursar[0].aclose()
        await super().__aexit__(*details)  # type: ignore[misc]

    def _bursar_end(self) -> None:
        """Let somebody else do what cannot be awaited here."""
        stream, adopt = self._bursar
        ending = stream.end()
        if ending is not None:
            adopt(ending)


@lru_cache(maxsize=64)
def _ending(kind: Any) -> Any:
    """Make the class that is a program's own class of responses, and ends what it reads."""
    return type(kind.__name__, (_Ending, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def metered(
    response: aiohttp.ClientResponse, stream: AsyncMetered, adopt: Callable[[Coroutine[Any, Any, None]], None]
) -> aiohttp.ClientResponse:
    """Let a program read this answer through the pipeline."""
    response.content = _Content(stream, _limit(response))
    kind: Any = type(response)
    response.__class__ = _ending(kind)
    response.__dict__["_bursar"] = (stream, adopt)
    return response


def fed(response: aiohttp.ClientResponse, body: bytes) -> aiohttp.ClientResponse:
    """Let a program read an answer that was read whole already."""
    response.content = _full(body, _limit(response))
    return response


def _limit(response: aiohttp.ClientResponse) -> int:
    """Give how long a line may be at most, as this session reads; an attribute of no public name."""
    return getattr(response.content, "_low_water", LINE_BYTES)


def _full(body: bytes, limit: int) -> _Content:
    content = _Content(None, limit)
    if body:
        content.feed_data(body)
    content.feed_eof()
    return content


def synthetic(
    session: aiohttp.ClientSession, info: aiohttp.RequestInfo, status: int, headers: list[tuple[str, str]], body: bytes
) -> aiohttp.ClientResponse:
    """Make an answer that no server gave. Its constructor differs between versions of aiohttp, so none is called."""
    response = session._response_class.__new__(session._response_class)
    named = CIMultiDictProxy(CIMultiDict(headers))
    response.__dict__.update(
        method=info.method,
        version=aiohttp.HttpVersion11,
        status=status,
        reason="refused by bursar",
        content=_full(body, LINE_BYTES),
        _body=body,
        _headers=named,
        _raw_headers=tuple((name.encode(), value.encode()) for name, value in headers),
        _request_info=info,
        _real_url=info.real_url,
        _url=info.url,
        _cache={},
        _traces=[],
        _loop=asyncio.get_running_loop(),
        _session=session,
        _closed=True,
    )
    return response
