"""A client so plain that it hides nothing of what the provider sends."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "completions": "/v1/completions",
}
HELLO = [{"role": "user", "content": "hello"}]
HELLO_TOKENS = 2 + 8
"""Five bytes are two tokens, and eight are added."""


@dataclass(frozen=True)
class Got:
    """A response as received; `is_whole` tells whether it came to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data lines of a stream."""
        return [line.removeprefix("data: ") for line in self.body.decode().split("\n") if line.startswith("data: ")]

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events, parsed, but the closing [DONE]."""
        return [json.loads(data) for data in self.data if data != "[DONE]"]


class Plain:
    """Send requests to a provider with the standard library alone."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    @contextlib.contextmanager
    def open(
        self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPConnection]:
        """Send a request and leave the response to the caller; close the connection at the end."""
        connection = http.client.HTTPConnection(str(self._address.hostname), self._address.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def ask(self, wire: str, **fields: Any) -> Iterator[http.client.HTTPConnection]:
        """Send a request to generate."""
        with self.open("POST", _path(wire, fields), json.dumps(_body(wire, fields)).encode()) as connection:
            yield connection

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Got:
        """Send a request and read the response to its end, or to where it breaks."""
        with self.open(method, path, body, headers) as connection, connection.getresponse() as response:
            status, names = response.status, {name.lower(): value for name, value in response.getheaders()}
            try:
                return Got(status, names, response.read(), True)
            except http.client.IncompleteRead as broken:
                return Got(status, names, broken.partial, False)

    def generate(self, wire: str, headers: dict[str, str] | None = None, **fields: Any) -> Got:
        """Send a request to generate and read its answer."""
        return self.send("POST", _path(wire, fields), json.dumps(_body(wire, fields)).encode(), headers)


def _path(wire: str, fields: dict[str, Any]) -> str:
    """Return where a request goes: Gemini names the model and the stream in the URL."""
    if wire != "gemini":
        return PATHS[wire]
    verb = "streamGenerateContent?alt=sse" if fields.get("stream") else "generateContent"
    return f"/v1beta/models/{fields.get('model', 'm')}:{verb}"


def _body(wire: str, fields: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m"}
    match wire:
        case "responses" | "embeddings":
            body["input"] = "hello"
        case "completions":
            body |= {"prompt": "hello", "max_tokens": 1_000_000}
        case "gemini":
            body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
            fields = {name: value for name, value in fields.items() if name not in ("model", "stream")}
        case _:
            body["messages"] = HELLO
    if wire == "anthropic":
        body["max_tokens"] = 1_000_000
    body.update(fields)
    return {name: value for name, value in body.items() if value is not None}
