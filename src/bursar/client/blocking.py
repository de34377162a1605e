"""A metered call of a client that blocks: driven in the caller's own thread, with no event loop.

Owns what `Client.send` does in its own way; nothing here ever suspends.
"""

from __future__ import annotations

from typing import Any

from bursar.client import sending
from bursar.client.calls import Metering
from bursar.pipeline.call import Body

__all__ = ["Sending"]


class Answer(sending.Answer):
    """What such a client got."""

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next, however long that takes: the client's own time-outs end it."""
        if self.pieces is None:
            self.feed = self.decoding()
            self.pieces = iter([self.response.content] if self.is_read else self.stream)
        try:
            for piece in self.pieces:
                readable: bytes = piece if self.feed is None else self.feed.feed(piece)
                if readable:
                    return readable
        except self.sending.kit.failure as error:
            raise self.sending.failed(error) from error
        return b""

    def abort(self) -> None:
        self.stream.close()

    def finish(self) -> None:
        if not self.response.is_closed:
            self.stream.close()


class Sending(sending.Sending):
    """By a client that blocks."""

    is_awaited = False
    answers = Answer

    async def read(self, response: Any) -> bytes:
        read: bytes = response.read()
        return read

    async def close(self, response: Any) -> None:
        response.close()

    async def join(self, stream: Any) -> bytes:
        return b"".join(stream)

    def replay(self, raw: bytes) -> Any:
        return self.kit.replay(raw, self.response.stream)

    def metered(self, body: Body, metering: Metering) -> Any:
        return self.kit.metered(body, metering, self.response.stream)
