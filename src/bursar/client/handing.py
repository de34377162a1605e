"""What a client's transport hands on to another client: one call, which is metered where it was sent first.

Owns the mark by which the second client knows. It is there while a transport that is not the HTTP library's own has the
request, and counts once: for the same body to the same address by another client. The library's own transport is the
wire, and so is a session of aiohttp or botocore: nobody hands anything on from there. So whatever else is sent
meanwhile is a call of its own: by a hook, a signal's handler, a task that was begun there, a transport that asks twice,
or inside a block that the transport opens, whose budget has not been asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, TypeVar

from bursar.client.asked import address_of
from bursar.client.kit import Kit
from bursar.client.scopes import budgeted_here
from bursar.pipeline.hold import NEVER_BILLED

__all__ = ["Handing", "Turn", "handed_on", "handing", "handing_async", "is_handing", "wire", "wire_async"]

_here: ContextVar[Handing | None] = ContextVar("bursar_handing", default=None)

T = TypeVar("T")


class Handing:
    """A client's request while a transport of somebody else's has it: one other client may send it."""

    __slots__ = ("_address", "_body", "_budgeted", "_client", "_is_over", "_token", "_turns")

    def __init__(self, client: object, url: Any, body: bytes) -> None:
        self._client = client
        self._address = address_of(url)
        self._body = body
        self._budgeted = budgeted_here()
        """What holds it, beside the configuration. A block that the transport opens itself is not asked for it."""
        self._turns = [1]
        """What is taken from it is taken by one thread only."""
        self._is_over = False

    def __enter__(self) -> None:
        self._token: Token[Handing | None] = _here.set(self)

    def __exit__(self, *_error: object) -> None:
        # A task that was begun inside still has it.
        self._is_over = True
        _here.reset(self._token)

    def take(self, client: object, url: Any, body: bytes) -> bool:
        """Tell whether this request may be sent as a part of that one, which can be once."""
        is_same = client is not self._client and body == self._body and address_of(url) == self._address
        return is_same and budgeted_here() == self._budgeted and self._took()

    def reach(self, url: Any, body: bytes) -> bool:
        """Tell whether this is that request on its way to the wire, also if somebody's transport has changed it."""
        return (body == self._body or address_of(url) == self._address) and self._took()

    def _took(self) -> bool:
        if self._is_over:
            return False
        try:
            self._turns.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """Let it be sent once more: what was sent cost nothing."""
        self._turns.append(1)


class _Apart:
    """What a client sends inside by the wire: it took the mark where it could, and what it sends takes it no more."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token: Token[Handing | None] = _here.set(None)

    def __exit__(self, *_error: object) -> None:
        _here.reset(self._token)


class Turn:
    """One sending of a request that was handed on. Where it certainly cost nothing, there may be another."""

    __slots__ = ("_handing", "_unsent")

    def __init__(self, handing: Handing, unsent: tuple[type[Exception], ...]) -> None:
        self._handing = handing
        self._unsent = unsent

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, self._unsent):
            self._handing.give_back()

    def answered(self, response: T, status: int) -> T:
        """Take the answer, and give it."""
        if status in NEVER_BILLED:
            self._handing.give_back()
        return response


def is_handing() -> bool:
    """Tell whether a transport has somebody's request here."""
    return _here.get() is not None


def handed_on(client: object, url: Any, body: bytes, unsent: tuple[type[Exception], ...]) -> Turn | None:
    """Say that a client sends what was handed on to it; None where it is a call of its own."""
    here = _here.get()
    return Turn(here, unsent) if here is not None and here.take(client, url, body) else None


def handing(original: Callable[..., Any], kit: Kit) -> Callable[..., Any]:
    """Wrap the step at which a client that blocks gives one request to a transport."""
    wires = kit.wires

    @functools.wraps(original)
    def _send_single_request(self: Any, request: Any) -> Any:
        if type(self._transport_for_url(request.url)) in wires or not _is_whole(kit, request):
            if _here.get() is None:
                return original(self, request)
            with _Apart():
                return original(self, request)
        with Handing(self, request.url, b"".join(request.stream)):
            return original(self, request)

    return _send_single_request


def handing_async(original: Callable[..., Any], kit: Kit) -> Callable[..., Any]:
    """Wrap the same step of a client that does not block."""
    wires = kit.wires

    async def hand(client: Any, request: Any) -> Any:
        with Handing(client, request.url, b"".join(request.stream)):
            return await original(client, request)

    async def apart(client: Any, request: Any) -> Any:
        with _Apart():
            return await original(client, request)

    @functools.wraps(original)
    def _send_single_request(self: Any, request: Any) -> Any:
        if type(self._transport_for_url(request.url)) in wires or not _is_whole(kit, request):
            return original(self, request) if _here.get() is None else apart(self, request)
        return hand(self, request)

    return _send_single_request


def wire(original: Callable[..., Any], kit: Kit) -> Callable[..., Any]:
    """Wrap the library's own transport, below which nobody hands on: what somebody's transport sends by it is sent."""

    @functools.wraps(original)
    def handle_request(self: Any, request: Any) -> Any:
        turn = None if _here.get() is None else _reached(kit, request)
        if turn is None:
            return original(self, request)
        with turn:
            response = original(self, request)
            return turn.answered(response, response.status_code)

    return handle_request


def wire_async(original: Callable[..., Any], kit: Kit) -> Callable[..., Any]:
    """Wrap the same of a client that does not block."""

    async def send(turn: Turn, transport: Any, request: Any) -> Any:
        with turn:
            response = await original(transport, request)
            return turn.answered(response, response.status_code)

    @functools.wraps(original)
    def handle_async_request(self: Any, request: Any) -> Any:
        turn = None if _here.get() is None else _reached(kit, request)
        return original(self, request) if turn is None else send(turn, self, request)

    return handle_async_request


def _is_whole(kit: Kit, request: Any) -> bool:
    """Tell whether this can be a request that was looked at: its body is in one piece then."""
    return request.method == "POST" and isinstance(request.stream, kit.bytes)


def _reached(kit: Kit, request: Any) -> Turn | None:
    here, body = _here.get(), request.stream
    if here is None or not here.reach(request.url, b"".join(body) if isinstance(body, kit.bytes) else b""):
        return None
    return Turn(here, kit.unsent)
