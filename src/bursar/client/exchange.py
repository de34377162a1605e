"""One metered call between a program's HTTP client and the provider.

Owns what is the same whether the client blocks or not: how the request is written anew, what came back, and what the
provider's answer looks like to the pipeline. It never looks into a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.client.decoding import Decoder, decode, decoder
from bursar.client.heads import resized
from bursar.client.kit import Kit
from bursar.core.headers import CREDENTIALS
from bursar.errors import UpstreamFailed

__all__ = ["Exchange", "Feed"]

_CREDENTIALS = frozenset(name.encode("latin-1") for name in CREDENTIALS)


@dataclass(eq=False)
class Exchange:
    """What is known of one call on its way."""

    kit: Kit
    client: Any
    request: Any
    """As the program made it."""
    content: bytes
    options: Mapping[str, Any]
    """What `send` was called with, but for `stream`."""
    is_stream: bool = False
    """The program reads the body itself."""
    headers: Mapping[str, str] | None = field(default=None, init=False)
    """Those of the request's headers that something reads, once they were read."""
    length_at: int | None = field(default=None, init=False)
    """Where the length stands among them all."""
    response: Any = field(default=None, init=False)
    """The provider's latest answer."""
    raw: bytes | None = field(default=None, init=False)
    """Its body as it came, once it was read; None where the client's own hooks had read it before."""
    failure: Exception | None = field(default=None, init=False)
    """Why there is no answer, or no whole one: what the program would have seen."""

    def rewrite(self, headers: Mapping[str, str], body: bytes) -> Any:
        """Give the request that goes out; the program's own where nothing in it changes."""
        request = self.request
        if body == self.content and not headers:
            return request
        if headers or self.headers is None or "transfer-encoding" in self.headers:
            changed = self._headers(headers, body)
        else:
            changed = resized(request.headers, len(body), self.length_at)
        # Its own way of being copied is for pickles, and forgets its time-outs.
        sent = object.__new__(request.__class__)
        parts = request.__dict__.copy()
        parts["headers"], parts["stream"], parts["_content"] = changed, self.kit.bytes(body), body
        parts["extensions"] = dict(request.extensions)
        sent.__dict__ = parts
        return sent

    def _headers(self, headers: Mapping[str, str], body: bytes) -> Any:
        """Give the headers of the request that goes out, with these written into them, and the body's length."""
        was = self.request.headers
        written = {name.lower().encode("latin-1"): value for name, value in headers.items()}
        left_out = {b"transfer-encoding", b"content-length", *written}
        if not CREDENTIALS.isdisjoint(headers):
            # Of two keys the operator's counts: beside it the program's own must not stand.
            left_out.update(_CREDENTIALS)
        # Made at once: each change of such headers reads all of them anew.
        pairs = [pair for pair in was.raw if pair[0].lower() not in left_out]
        pairs += [(name, value.encode(was.encoding)) for name, value in written.items()]
        pairs.append((b"content-length", b"%d" % len(body)))
        return type(was)(pairs, encoding=was.encoding)

    def failed(self, error: Exception) -> UpstreamFailed:
        """Keep what the program will see, and say to the pipeline what it means for the money."""
        self.failure = error
        return UpstreamFailed(type(error).__name__, is_sent=not isinstance(error, self.kit.unsent))

    def answered(self, response: Any) -> None:
        """Take an answer; what failed before it counts no more."""
        self.response, self.raw, self.failure = response, None, None

    def readable(self, raw: bytes, encoding: str, size_max: int) -> bytes:
        """Decode a whole answer for counting; nothing where it cannot be, or is too long to be looked at."""
        read = decode(encoding, raw)
        return b"" if read is None or len(read) > size_max else read


class Feed:
    """The decoding of one stream as it is read."""

    def __init__(self, encoding: str) -> None:
        try:
            self._decoder: Decoder = decoder(encoding)
        except ValueError as error:
            raise UpstreamFailed("the answer comes in an encoding that nobody reads", is_sent=True) from error

    def feed(self, piece: bytes) -> bytes:
        try:
            return self._decoder.feed(piece)
        except ValueError as error:
            raise UpstreamFailed("the answer is not what its encoding says", is_sent=True) from error
