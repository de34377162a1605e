"""Any wire, for a request that is signed already: not a byte of its body can change.

Owns what follows from that: the client's own cap is what is held, and where it states none, or sends what bursar would
leave out, the request is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bursar.errors import BadRequest
from bursar.wire.base import Answer, Refusal, Request, StreamReader, Wire

__all__ = ["SIGNED", "Signed", "is_signed"]

SIGNED = "AWS4-"
"""How the `authorization` of a request begins whose signature covers its body."""


def is_signed(authorization: str) -> bool:
    """Tell by the header whether a signature covers the body: AWS's does."""
    return authorization.startswith(SIGNED)


@dataclass(frozen=True, slots=True)
class Signed:
    """A wire of one request. See `wire/base.py: Wire` for the contract."""

    inner: Wire
    raw: bytes
    """The body as it was signed."""

    @property
    def name(self) -> str:
        return self.inner.name

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest for what cannot be bounded as it is."""
        request = self.inner.parse(raw)
        if request.dropped:
            where = request.dropped[0]
            raise BadRequest(f"`{where}` cannot be left out of a request that is signed already", param=where)
        if not request.has_output:
            return request
        if request.cap is None:
            raise BadRequest("a request that is signed already needs an output cap of its own: none can be written")
        return replace(request, cap_least=request.cap)

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Give the body as it was signed."""
        return self.raw

    def read_whole(self, request: Request, body: bytes) -> Answer | None:
        return self.inner.read_whole(request, body)

    def reader(self, request: Request) -> StreamReader:
        return self.inner.reader(request)

    def path(self, model: str) -> str:
        return self.inner.path(model)

    def is_provider_error(self, status: int, body: bytes) -> bool:
        return self.inner.is_provider_error(status, body)

    def named_maximum(self, status: int, body: bytes) -> int | None:
        return self.inner.named_maximum(status, body)

    def named_room(self, status: int, body: bytes) -> int | None:
        return self.inner.named_room(status, body)

    def refusal(self, refusal: Refusal) -> bytes:
        return self.inner.refusal(refusal)
