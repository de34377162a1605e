"""What is put into other packages while something is metered, and taken out again afterwards.

Owns every change outside of bursar: `send` of the HTTP clients' classes, and the place where an SDK turns a status into
an error. Changes are made in classes, so that clients which exist already are covered as well. Nothing is changed
before the first budget opens; after the last one all is as it was.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from bursar.client.handing import handing, handing_async, wire, wire_async
from bursar.client.kit import kit_of
from bursar.client.late import Watch
from bursar.client.meter import meter, meter_async
from bursar.client.others import OTHERS
from bursar.client.refused import as_sdk_error

__all__ = ["Patches", "patches"]

LIBRARIES = ("httpx", "httpx2")
HANDING = ("_send_single_request", "_transport_for_url")
"""Where a client gives a request to a transport, and how it chooses that; neither has a public name."""
SDKS = ("anthropic._base_client", "openai._base_client")
STATUS_ERROR = "_make_status_error_from_response"


@dataclass(frozen=True, slots=True)
class _Patch:
    """One attribute that was replaced."""

    owner: type
    name: str
    original: Any
    mine: Any

    def undo(self) -> None:
        """Put back what was there. Where somebody else has wrapped ours since, it stays, and passes everything on."""
        if self.owner.__dict__.get(self.name) is self.mine:
            setattr(self.owner, self.name, self.original)


@dataclass(slots=True)
class Patches:
    """The changes that are in force, for as long as somebody needs them."""

    is_active: bool = False
    _users: int = 0
    _done: list[_Patch] = field(default_factory=list)
    _watch: Watch | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def need(self) -> None:
        """Meter from now on."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self.is_active = True
                wanted: dict[str, Callable[[ModuleType], None]] = dict.fromkeys(LIBRARIES, self._library)
                others = {name: functools.partial(change, self._put, self) for name, change in OTHERS.items()}
                self._watch = Watch(wanted | dict.fromkeys(SDKS, self._sdk) | others)
                self._watch.start()
            if self._watch is not None:
                self._watch.look()

    def release(self) -> None:
        """Meter no longer, unless somebody else needs it."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self.is_active = False
                if self._watch is not None:
                    self._watch.stop()
                for patch in reversed(self._done):
                    patch.undo()
                self._done.clear()

    def forked(self) -> None:
        """Take a lock that no thread of the parent holds."""
        self._lock = threading.RLock()

    def _library(self, module: ModuleType) -> None:
        kit = kit_of(module)
        self._put(module.Client, "send", lambda original: _sending(self, original, kit))
        self._put(module.AsyncClient, "send", lambda original: _sending_async(self, original, kit))
        if not all(name in kind.__dict__ for kind in (module.Client, module.AsyncClient) for name in HANDING):
            return  # A version that works in another way: whatever is sent inside is a call of its own.
        self._put(module.Client, HANDING[0], lambda original: handing(original, kit))
        self._put(module.AsyncClient, HANDING[0], lambda original: handing_async(original, kit))
        self._put(module.HTTPTransport, "handle_request", lambda original: wire(original, kit))
        self._put(module.AsyncHTTPTransport, "handle_async_request", lambda original: wire_async(original, kit))

    def _sdk(self, module: ModuleType) -> None:
        base = getattr(module, "BaseClient", None)
        if isinstance(base, type) and STATUS_ERROR in base.__dict__:
            self._put(base, STATUS_ERROR, _erring)

    def _put(self, owner: type, name: str, make: Callable[[Any], Any]) -> None:
        with self._lock:
            original = owner.__dict__[name]
            mine = make(original)
            setattr(owner, name, mine)
            self._done.append(_Patch(owner, name, original, mine))


def _sending(active: Patches, original: Callable[..., Any], kit: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        if not active.is_active or self.is_closed:
            return original(self, request, stream=stream, **options)
        return meter(original, kit, self, request, stream, options)

    return send


def _sending_async(active: Patches, original: Callable[..., Any], kit: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        if not active.is_active or self.is_closed:
            return await original(self, request, stream=stream, **options)
        return await meter_async(original, kit, self, request, stream, options)

    return send


def _erring(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def make(self: Any, response: Any) -> Any:
        return as_sdk_error(original(self, response), response)

    return make


patches = Patches()
os.register_at_fork(after_in_child=patches.forked)
