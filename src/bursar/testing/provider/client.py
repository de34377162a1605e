"""Talk to a provider's control API, in process or not: one face for both.

Owns the client side of the control API. It must never send a model call: that is what the code under test does.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any, TypedDict, cast
from urllib.parse import quote, urlencode, urlsplit

from bursar.testing.provider.script import Script

__all__ = ["CallLine", "InvoiceReport", "OpenLine", "ProviderClient", "RequestRecord"]

CONTROL_TIMEOUT_S = 30.0


class CallLine(TypedDict):
    """One ended call. `status` is the HTTP status sent, None when none was; tokens are disjoint parts."""

    id: str
    wire: str
    model: str
    at: str
    stream: bool
    cap: int | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_nano: int
    ended: str
    status: int | None
    billed: bool
    request_headers: dict[str, str]


class OpenLine(TypedDict):
    """One call in flight, with the output tokens generated so far."""

    id: str
    wire: str
    model: str
    at: str
    stream: bool
    cap: int | None
    generated_tokens: int
    request_headers: dict[str, str]


class InvoiceReport(TypedDict):
    """The invoice of the present period. `requests` counts all that arrived, on any path of the provider."""

    total_nano: int
    requests: int
    ended: int
    billed: int
    calls: list[CallLine]
    open: list[OpenLine]


class RequestRecord(TypedDict):
    """One request as received. `headers` are pairs, names in lower case; `body` is text, cut at 1 MiB."""

    method: str
    path: str
    query: str
    headers: list[list[str]]
    body: str
    size_bytes: int


class ProviderClient:
    """Control a scripted provider at `url`. All methods block; call them from any thread."""

    def __init__(self, url: str) -> None:
        """Control the provider at `url`, such as http://127.0.0.1:8001."""
        self._url = url

    @property
    def url(self) -> str:
        """Where the provider is, without a path."""
        return self._url

    def set(self, model: str, script: Script) -> None:
        """Let `model` ("*": every model without a script) answer as `script` says."""
        self._call("PUT", f"/_scripts/{quote(model, safe='')}", script.to_json())

    def invoice(self, calls: int | None = None) -> InvoiceReport:
        """Return the invoice, with the newest `calls` lines or all that are kept."""
        query = "" if calls is None else f"?calls={calls}"
        return cast(InvoiceReport, self._call("GET", f"/_invoice{query}"))

    def new_period(self) -> InvoiceReport:
        """Return the invoice and begin a new one. Calls in flight are billed in the new one."""
        return cast(InvoiceReport, self._call("DELETE", "/_invoice"))

    def requests(self) -> list[RequestRecord]:
        """Return the last requests as received, oldest first."""
        return cast(list[RequestRecord], self._call("GET", "/_requests"))

    def health(self) -> bool:
        """Return True when the provider answers."""
        return cast(bool, self._call("GET", "/_health")["ok"])

    def wait(
        self,
        *,
        billed: int | None = None,
        ended: int | None = None,
        requests: int | None = None,
        open_calls: int | None = None,
        timeout_s: float = 10.0,
    ) -> dict[str, int]:
        """Wait until at least so many calls of this period are billed, ended, arrived or open, and return the counts.

        `open_calls=0` waits until nothing is in flight. Raises TimeoutError after `timeout_s`. Blocks: a coroutine
        uses `wait_async`.
        """
        wanted = {"billed": billed, "ended": ended, "requests": requests, "open": open_calls}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        return cast(dict[str, int], self._call("GET", f"/_wait?{query}&timeout_s={timeout_s}", wait_s=timeout_s))

    async def wait_async(self, *, timeout_s: float = 10.0, **counts: int) -> dict[str, int]:
        """Do as `wait` does, without blocking the event loop."""
        return await asyncio.to_thread(self.wait, timeout_s=timeout_s, **counts)

    def _call(self, method: str, path: str, body: Any = None, wait_s: float = 0.0) -> Any:
        address = urlsplit(self._url)
        host, port = address.hostname, address.port
        assert host is not None
        connection = http.client.HTTPConnection(host, port, timeout=CONTROL_TIMEOUT_S + wait_s)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"connection": "close"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status == 408:
            raise TimeoutError(f"{path} was not reached: {answer}")
        if response.status != 200:
            raise ValueError(answer["error"])
        return answer
