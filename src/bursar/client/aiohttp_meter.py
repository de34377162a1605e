"""A metered request of aiohttp: awaited in the loop that its session runs in.

Owns `ClientSession._request` as the pipeline sees it; google-genai's asynchronous client and litellm's transport end
there. It must only be imported where aiohttp is, and it never raises an error of its own out of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from bursar.client.aiohttp_bodies import Nothing, fed, metered, synthetic
from bursar.client.asked import Asking, Heads, Where
from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange, Feed
from bursar.client.handing import handed_on, is_handing
from bursar.client.homeward import homeward_url
from bursar.client.meter import aimed_at, maker_of
from bursar.client.recognise import Aimed
from bursar.client.signing import Signer, signer_of
from bursar.client.streams import AsyncMetered
from bursar.core.headers import CREDENTIALS
from bursar.core.provider import Provider
from bursar.pipeline.ports import Answering
from bursar.wiring.driving import Way

__all__ = ["request"]

Original = Callable[..., Awaitable[aiohttp.ClientResponse]]

FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
UNSEEN = b'"model"'
"""What stands for a body that only aiohttp could write: it is taken for a model call's."""
_JSON = "application/json"
STALE = frozenset({"content-length", "transfer-encoding"})
"""What says how long the program's own body was."""


@dataclass(frozen=True, slots=True)
class _Kit:
    """What an exchange asks of its library (see `kit.py`)."""

    session: aiohttp.ClientSession
    failure: tuple[type[Exception], ...] = FAILURES
    unsent: tuple[type[Exception], ...] = UNSENT

    def response(
        self, status: int, *, headers: Any, content: bytes, request: Asking, extensions: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """Make a response of bursar's own."""
        url = request.url.own
        info = aiohttp.RequestInfo(url, request.method, CIMultiDictProxy(CIMultiDict(request.headers)), url)
        made = synthetic(self.session, info, status, list(headers), content)
        made.__dict__["extensions"] = extensions
        return made


async def request(original: Original, session: aiohttp.ClientSession, where: Any, options: dict[str, Any]) -> Any:
    """Send a request of a session, metered where that is to be. `options` are those of `_request`, its method too."""
    where = _homeward(session, where)
    if session.closed or str(options["method"]).upper() != "POST":
        return await original(session, str_or_url=where, **options)
    asking = _asking(session, where, options)
    signer = signer_of(asking.url)
    if signer is not None:
        asking.headers.pop("authorization", None)  # It can be made anew, and so counts for nothing.
    aimed = (signer and signer.aimed) or aimed_at(asking)
    if aimed is None:
        return await original(session, str_or_url=where, **options)
    content = _content(session, options)
    if content is None and is_handing():
        content, options = await _collected(options)
    turn = None if content is None else handed_on(session, asking.url, content, UNSENT)
    if turn is not None:
        with turn:
            handed = await original(session, str_or_url=where, **options)
            return turn.answered(handed, handed.status)
    kit: Any = _Kit(session)
    exchange = _Exchange(
        kit, session, asking, UNSEEN if content is None else content, {**options, "str_or_url": where}, signer=signer
    )
    response = await _metered(original, exchange, aimed, is_seen=content is not None)
    if response is None:
        return await original(session, str_or_url=where, **options)
    await _raise_for_status(session, options, response)
    return response


def _homeward(session: aiohttp.ClientSession, where: Any) -> Any:
    """Give an address as it is at the provider itself."""
    if session.closed:
        return where
    asked = str(session._build_url(where))
    home = homeward_url(asked)
    return where if home == asked else type(session._build_url(where))(home, encoded=True)


async def _metered(original: Original, exchange: _Exchange, aimed: Aimed, *, is_seen: bool) -> Any:
    """Send it through the stages; None where it is nobody's business."""
    maker = maker_of(exchange, aimed)
    if not isinstance(maker, CallMaker):
        return maker
    if not is_seen:
        return maker.unreadable(exchange)
    metering = maker.metering(exchange, is_interruptible=True)
    if not isinstance(metering, Metering):
        return metering
    reply = await metering.handle(_Upstream(original, exchange), Way.ASYNCIO)
    if exchange.failure is not None:
        raise exchange.failure
    if reply.refusal is not None:
        return metering.refused(reply)
    if isinstance(reply.body, bytes):
        return fed(exchange.response, exchange.raw if exchange.raw is not None else reply.body)
    return metered(exchange.response, AsyncMetered(reply.body, metering, Nothing()), metering.adopt)


def _asking(session: aiohttp.ClientSession, where: Any, options: Mapping[str, Any]) -> Asking:
    """Read what a request asks, before aiohttp makes one of it."""
    url = session._build_url(where)
    if options.get("params"):
        url = url.extend_query(options["params"])
    netloc = url.raw_authority.rpartition("@")[2].encode("ascii")
    prepared = session._prepare_headers(options.get("headers"))
    headers = Heads((str(name).lower(), str(value)) for name, value in prepared.items())
    return Asking("POST", Where(url.scheme, netloc, url.path, url.raw_query_string.encode("ascii"), url), headers)


def _content(session: aiohttp.ClientSession, options: Mapping[str, Any]) -> bytes | None:
    """Read a request's body; None for one that only aiohttp could write: a form, a file, an iterator."""
    data, json = options.get("data"), options.get("json")
    if json is not None:
        return session._json_serialize(json).encode("utf-8")
    if isinstance(data, str):
        return data.encode("utf-8")
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    return b"" if data is None else None


async def _collected(options: dict[str, Any]) -> tuple[bytes | None, dict[str, Any]]:
    """Read a body that comes in pieces, as a transport hands one on; with the options in which it is whole."""
    data = options.get("data")
    if isinstance(data, BufferedIOBase):
        content = data.read()
    elif isinstance(data, AsyncIterable):
        content = b"".join([piece async for piece in data])
    else:
        return None, options
    return content, {**options, "data": content}


async def _raise_for_status(session: aiohttp.ClientSession, options: Mapping[str, Any], response: Any) -> None:
    """Do what the session was told to do about a status, which the pipeline had to see first."""
    asked = options.get("raise_for_status")
    asked = session._raise_for_status if asked is None else asked
    if callable(asked):
        await asked(response)
    elif asked:
        response.raise_for_status()


@dataclass(slots=True)
class _Exchange(Exchange):
    """One request of aiohttp."""

    signer: Signer | None = None

    def answered(self, response: Any) -> None:
        self.response, self.raw, self.failure = response, None, None

    @property
    def is_decoded(self) -> bool:
        """Tell whether aiohttp takes encodings off; then nothing here is to be decoded."""
        asked = self.options.get("auto_decompress")
        return bool(self.client._auto_decompress if asked is None else asked)

    @property
    def encoding(self) -> str:
        return "" if self.is_decoded else self.response.headers.get("content-encoding", "")

    async def rewritten(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Give the options with which the request goes out."""
        options = {**self.options, "raise_for_status": False}
        if body == self.content and not headers:
            return options
        was = CIMultiDict(self.client._prepare_headers(options.get("headers")))
        if self.signer is not None and body != self.content:
            was.update(await self.signer.again(body))
        # Of two keys the operator's counts: beside it the program's own must not stand.
        gone = STALE | (frozenset() if CREDENTIALS.isdisjoint(headers) else CREDENTIALS)
        own = CIMultiDict((name, value) for name, value in was.items() if name.lower() not in gone)
        own.update(headers)
        if options.pop("json", None) is not None:
            own.setdefault("content-type", _JSON)
        return {**options, "data": body, "headers": own}


@dataclass(frozen=True, slots=True)
class _Upstream:
    """See `pipeline/ports.py`: Upstream. The provider is reached by the program's own session."""

    original: Original
    exchange: _Exchange

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        exchange = self.exchange
        options = await exchange.rewritten(headers, body)
        try:
            response = await self.original(exchange.client, **options)
        except FAILURES as error:
            raise exchange.failed(error) from error
        exchange.answered(response)
        return _Answer(exchange, response)


@dataclass(slots=True)
class _Answer:
    """See `pipeline/ports.py`: Answering."""

    exchange: _Exchange
    response: aiohttp.ClientResponse
    _content: aiohttp.StreamReader = field(init=False)
    _close: Callable[[], None] = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _feed: Feed = field(init=False)

    def __post_init__(self) -> None:
        # Both are taken now: the response gets others of ours before the program sees it.
        self._content, self._close = self.response.content, self.response.close
        self._loop = asyncio.get_running_loop()
        self._feed = Feed(self.exchange.encoding)

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return [(str(name), str(value)) for name, value in self.response.headers.items()]

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what has come; None when nothing came in time."""
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                while piece := await self._content.readany():
                    readable = self._feed.feed(piece)
                    if readable:
                        return readable
                return b""
        except FAILURES as error:
            if limit.expired():
                return None
            raise self.exchange.failed(error) from error

    async def body(self, size_max: int) -> bytes:
        try:
            raw = await self._content.read()
        except FAILURES as error:
            raise self.exchange.failed(error) from error
        self.exchange.raw = raw
        if self.exchange.is_decoded:
            return raw if len(raw) <= size_max else b""
        return self.exchange.readable(raw, self.exchange.encoding, size_max)

    def abort(self) -> None:
        """Close the connection, in the loop that it belongs to: what ends a forgotten stream runs elsewhere."""
        if asyncio._get_running_loop() is self._loop:
            self._close()
            return
        with contextlib.suppress(RuntimeError):  # The loop has ended, and its connections with it.
            self._loop.call_soon_threadsafe(self._close)

    def finish(self) -> None:
        """Nothing to give back: at the end of a body aiohttp does."""
