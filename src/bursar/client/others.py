"""What is changed in packages that do not send by httpx: aiohttp, botocore; and in Google's, which makes errors itself.

Owns which attribute is wrapped, and how. Each package is looked at when it is there: what meters it is imported late,
since it needs the package itself.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any, Protocol

from bursar.client.refused import as_sdk_error

__all__ = ["OTHERS", "Active", "Put"]

Put = Callable[[type, str, Callable[[Any], Any]], None]
"""Replaces an attribute of a class by what is made of it, until nothing is metered any more."""


class Active(Protocol):
    """Whether anything is metered now."""

    @property
    def is_active(self) -> bool: ...


def _aiohttp(put: Put, active: Active, module: ModuleType) -> None:
    from bursar.client.aiohttp_meter import request  # noqa: PLC0415 - only where aiohttp is

    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def _request(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
            if not active.is_active:
                return await original(self, method, str_or_url, **options)
            return await request(original, self, str_or_url, {**options, "method": method})

        return _request

    put(module.ClientSession, "_request", make)


def _botocore(put: Put, active: Active, module: ModuleType) -> None:
    from bursar.client.botocore_meter import made, send  # noqa: PLC0415 - only where botocore is

    creating = module.Endpoint.create_request

    def make_create(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def create_request(self: Any, params: Any, operation_model: Any = None) -> Any:
            return made(original(self, params, operation_model), params, operation_model)

        return create_request

    def make_send(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def _send(self: Any, request: Any) -> Any:
            return send(original, creating, self, request) if active.is_active else original(self, request)

        return _send

    put(module.Endpoint, "create_request", make_create)
    put(module.Endpoint, "_send", make_send)


def _aiobotocore(put: Put, active: Active, module: ModuleType) -> None:
    from bursar.client.aiobotocore_meter import send  # noqa: PLC0415 - only where aiobotocore is
    from bursar.client.botocore_meter import made  # noqa: PLC0415

    creating = module.AioEndpoint.create_request

    def make_create(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def create_request(self: Any, params: Any, operation_model: Any = None) -> Any:
            return made(await original(self, params, operation_model), params, operation_model)

        return create_request

    def make_send(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def _send(self: Any, request: Any) -> Any:
            if not active.is_active:
                return await original(self, request)
            return await send(original, creating, self, request)

        return _send

    put(module.AioEndpoint, "create_request", make_create)
    put(module.AioEndpoint, "_send", make_send)


def _genai(put: Put, _active: Active, module: ModuleType) -> None:
    def make(original: classmethod[Any, Any, None]) -> classmethod[Any, Any, None]:
        @functools.wraps(original.__func__)
        def raise_error(cls: Any, status_code: int, response_json: Any, response: Any) -> None:
            try:
                original.__func__(cls, status_code, response_json, response)
            except module.APIError as error:
                raise _also_ours(error, response) from None

        return classmethod(raise_error)

    def make_async(original: classmethod[Any, Any, Awaitable[None]]) -> classmethod[Any, Any, Awaitable[None]]:
        @functools.wraps(original.__func__)
        async def raise_error_async(cls: Any, status_code: int, response_json: Any, response: Any) -> None:
            try:
                await original.__func__(cls, status_code, response_json, response)
            except module.APIError as error:
                raise _also_ours(error, response) from None

        return classmethod(raise_error_async)

    put(module.APIError, "raise_error", make)
    put(module.APIError, "raise_error_async", make_async)


def _also_ours(error: Exception, response: Any) -> Exception:
    """Look through the wrapper that google-auth's sessions put around a response."""
    return as_sdk_error(error, getattr(response, "_response", response))


OTHERS: Mapping[str, Callable[[Put, Active, ModuleType], None]] = {
    "aiohttp": _aiohttp,
    "botocore.endpoint": _botocore,
    "aiobotocore.endpoint": _aiobotocore,
    "google.genai.errors": _genai,
}
"""What is done to a package once it has been imported."""
