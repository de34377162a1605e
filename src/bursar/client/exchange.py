"""One metered call between a program's HTTP client and the provider.

Owns what is the same whether the client blocks or not: how the request is written anew, what came back, and what the
provider's answer looks like to the pipeline. It never looks into a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.client.decoding import Decoder, decode, decoder
from bursar.client.kit import Kit
from bursar.core.headers import CREDENTIALS
from bursar.errors import UpstreamFailed

__all__ = ["Exchange", "Feed", "Heads"]


_CREDENTIALS = frozenset(name.encode("latin-1") for name in CREDENTIALS)


@dataclass(slots=True)
class Exchange:
    """What is known of one call on its way."""

    kit: Kit
    client: Any
    request: Any
    """As the program made it."""
    content: bytes
    options: Mapping[str, Any]
    """What `send` was called with, but for `stream`."""
    response: Any = None
    """The provider's latest answer."""
    raw: bytes | None = None
    """Its body as it came, once it was read; None where the client's own hooks had read it before."""
    failure: Exception | None = None
    """Why there is no answer, or no whole one: what the program would have seen."""
    sent: Any = field(default=None)
    """The request as it went out."""

    def rewrite(self, headers: Mapping[str, str], body: bytes) -> Any:
        """Give the request that goes out; the program's own where nothing in it changes."""
        if body == self.content and not headers:
            self.sent = self.request
            return self.request
        sent = _twin(self.request)
        written = {name.lower().encode("latin-1"): value for name, value in headers.items()}
        left_out = {b"transfer-encoding", b"content-length", *written}
        if not CREDENTIALS.isdisjoint(headers):
            # Of two keys the operator's counts: beside it the program's own must not stand.
            left_out.update(_CREDENTIALS)
        was = sent.headers
        # Made at once: each change of such headers reads all of them anew.
        pairs = [pair for pair in was.raw if pair[0].lower() not in left_out]
        pairs += [(name, value.encode(was.encoding)) for name, value in written.items()]
        pairs.append((b"content-length", b"%d" % len(body)))
        sent.headers = type(was)(pairs, encoding=was.encoding)
        sent.extensions, sent.stream, sent._content = dict(sent.extensions), self.kit.bytes(body), body
        self.sent = sent
        return sent

    def failed(self, error: Exception) -> UpstreamFailed:
        """Keep what the program will see, and say to the pipeline what it means for the money."""
        self.failure = error
        return UpstreamFailed(type(error).__name__, is_sent=not isinstance(error, self.kit.unsent))

    def answered(self, response: Any) -> None:
        """Take an answer; what failed before it counts no more."""
        self.response, self.raw, self.failure = response, None, None
        if self.sent is not self.request and response.request is self.sent:
            # A program that looks at its request finds the one that it made.
            response.request = self.request

    @property
    def is_read(self) -> bool:
        """Tell whether a hook of the client has read the answer already."""
        return hasattr(self.response, "_content")

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


def _twin(request: Any) -> Any:
    """Copy a request with all that it has. Its own way of being copied is for pickles, and forgets its time-outs."""
    twin = object.__new__(type(request))
    twin.__dict__.update(request.__dict__)
    return twin


@dataclass(frozen=True, slots=True)
class Heads:
    """What is looked at of an answer's headers, which are read once; the program gets the provider's own answer."""

    kind: str
    """The content type."""
    encoding: str

    @classmethod
    def of(cls, response: Any) -> Heads:
        found = {b"content-type": b"", b"content-encoding": b""}
        for name, value in response.headers.raw:
            lower = name.lower()
            if lower in found:
                found[lower] = found[lower] + b", " + value if found[lower] else value
        return cls(found[b"content-type"].decode("latin-1"), found[b"content-encoding"].decode("latin-1"))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return (("content-type", self.kind),)
