"""The bare proxy: bursar's own server and client, and nothing between them: python bench/bare.py PORT UPSTREAM_PORT.

It parses the request's JSON, forwards it, and reads `usage` from the answer, whole or event by event. No budget, no
key, no label, no ledger: what is left of bursar's cost above this is what bursar does.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import uvicorn

from bursar.config.settings import Limits
from bursar.core.provider import Provider
from bursar.gateway.alone import settle_in
from bursar.gateway.body import read_body
from bursar.gateway.exchange import Exchange, Receive, Send
from bursar.gateway.protocol import IdleConnections, LimitedProtocol
from bursar.upstream.http import HttpAnswer, HttpUpstream

JSON = b"content-type: application/json\r\n"
EVENTS = b"content-type: text/event-stream\r\n"
WHOLE_MAX = 2**26


class BareProxy:
    """An application for the gateway's protocol."""

    def __init__(self, upstream: int) -> None:
        self.limits = Limits()
        self.idle = IdleConnections()
        base = f"http://127.0.0.1:{upstream}"
        self._providers = {
            kind: Provider(kind, f"{base}/{'stream' if kind == 'stream' else 'whole'}", ("openai.chat",))
            for kind in ("whole", "stream", "agent")
        }
        self._upstream = HttpUpstream()
        self.tokens = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await self._upstream.start()
        settle_in()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._upstream.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def handle(self, exchange: Exchange) -> None:
        if exchange.method != "POST":
            exchange.respond(404, JSON, b"{}")
            return
        body = await read_body(exchange, self.limits)
        asked = msgspec.json.decode(body)
        provider = self._providers[asked["model"].removeprefix("bench-")]
        headers = {"content-type": "application/json"}
        answer = await self._upstream.send(provider, "POST", exchange.path, headers, msgspec.json.encode(asked))
        if asked.get("stream"):
            await self._stream(answer, exchange)
            return
        told = await answer.body(WHOLE_MAX)
        self.tokens += msgspec.json.decode(told)["usage"]["completion_tokens"]
        exchange.respond(200, JSON, told)

    async def _stream(self, answer: HttpAnswer, exchange: Exchange) -> None:
        exchange.start(200, EVENTS)
        while piece := await answer.read(60):
            for event in piece.split(b"\n\n"):
                if event.startswith(b"data: {"):
                    usage = msgspec.json.decode(event[6:]).get("usage")
                    self.tokens += usage["completion_tokens"] if usage else 0
            exchange.write(piece)
        exchange.end()


def main() -> None:
    port, upstream = int(sys.argv[1]), int(sys.argv[2])
    uvicorn.run(
        BareProxy(upstream), port=port, http=LimitedProtocol, loop="uvloop", ws="none", lifespan="on",
        access_log=False, log_level="critical",
    )  # fmt: skip


if __name__ == "__main__":
    main()
