"""Streams that last: deadlines that flowing bytes do not move, heartbeats, and the price of the moment of asking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import PATHS, body_of, house, send, settings_for, until, usd
from tests.pipeline.rig import Rig, rig

from bursar.config.settings import Limits, PriceRow
from bursar.core.hold import State
from bursar.core.provider import Deadlines, Provider
from bursar.testing import Script
from bursar.testing.gateway import GatewayProcess
from bursar.wiring.prices import open_prices

CONTENT = b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
END = (
    b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}\n\n'
    b"data: [DONE]\n\n"
)
COMMENT = b": still here\n\n"


class Flood:
    """An answer that always has something to read: first what is given, then comments for ever."""

    def __init__(self, first: bytes) -> None:
        self.status = 200
        self.headers = [("content-type", "text/event-stream")]
        self._first = first
        self.is_aborted = False

    async def read(self, timeout_s: float) -> bytes:
        piece, self._first = self._first or COMMENT, b""
        await asyncio.sleep(0)
        return piece

    async def body(self, size_max: int) -> bytes:
        raise AssertionError("it is a stream")

    def abort(self) -> None:
        self.is_aborted = True

    def finish(self) -> None:
        raise AssertionError("it never ends")


def flooded(made: Rig, first: bytes) -> Flood:
    """Put a flood in the provider's place."""
    flood = Flood(first)

    class Upstream:
        async def send(
            self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
        ) -> Any:
            return flood

    made.engine._stage = replace(made.engine._stage, upstream=Upstream())
    return flood


async def test_a_stream_that_never_pauses_ends_at_the_total_deadline(tmp_path: Path) -> None:
    deadlines = Deadlines(total_s=0.3)
    async with rig(tmp_path, [usd()], is_memory=True, deadlines=deadlines) as made:
        flood = flooded(made, CONTENT)
        _, body = await asyncio.wait_for(made.run(made.call(stream=True)), 20)
        assert b"error" in body
        assert flood.is_aborted
        await made.assert_sound()
        assert made.holds()[0].state is State.PRESUMED


async def test_a_stream_that_goes_on_after_its_last_event_is_closed_from_here(tmp_path: Path) -> None:
    async with rig(tmp_path, [usd()], is_memory=True) as made:
        flood = flooded(made, CONTENT + END)
        _, body = await asyncio.wait_for(made.run(made.call(stream=True)), 20)
        assert b"error" not in body and b"bursar cost-usd" in body
        assert flood.is_aborted
        await made.assert_sound()
        assert made.holds()[0].note.ended == "complete"


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_a_long_stream_outlives_many_heartbeats(tmp_path: Path, wire: str) -> None:
    """R55. Another process looks again and again for holds of processes that are gone, and leaves this one alone."""
    limits = Limits(heartbeat_s=0.1, lapse_s=0.4)
    script = Script(output_tokens=200, tokens_per_s=100)
    with house(tmp_path, [usd()], scripts={"m": script}, limits=limits, is_process=True) as home:
        settings = settings_for(home.provider.url, home.ledger_path, [usd()], limits=limits)
        with GatewayProcess(settings) as other:
            got = home.ask(wire, stream=True)
            assert got.is_whole
            assert send(other.url, "POST", PATHS[wire], body_of(wire)).status == 200
        first = home.holds()[0]
        assert (first.state, first.note.ended, first.flags) == (State.SETTLED, "complete", frozenset())
        assert home.assert_sound().settled == home.invoice_nano()


@pytest.mark.slow
def test_what_a_killed_process_left_is_presumed_by_another(tmp_path: Path) -> None:
    limits = Limits(heartbeat_s=0.1, lapse_s=0.4)
    script = {"m": Script(output_tokens=1000, tokens_per_s=10)}
    with house(tmp_path, [usd()], scripts=script, limits=limits, is_process=True) as home:
        body = body_of("openai", stream=True, max_tokens=1000)
        home.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        home.provider.wait(open_calls=1)
        home.process.kill()
        settings = settings_for(home.provider.url, home.ledger_path, [usd()], limits=limits)
        with GatewayProcess(settings):
            until(lambda: home.balance().presumed > 0)
        home.provider.wait(open_calls=0)
        home.assert_sound()
        assert home.holds()[0].state is State.PRESUMED


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
async def test_a_price_that_changes_in_mid_flight_is_for_later_calls(tmp_path: Path, is_stream: bool) -> None:
    """R40."""
    script = {"m": Script(output_tokens=40, tokens_per_s=200)}
    async with rig(tmp_path, [usd()], is_memory=True, scripts=script) as made:
        first = asyncio.create_task(made.run(made.call(stream=is_stream)))
        await made.provider.wait_async(open_calls=1)
        dear = replace(made.engine.settings, prices=(PriceRow("*", "*", False, (("input", "25"), ("output", "100"))),))
        made.engine.control.in_force.prices = open_prices(dear)
        await first
        await made.run(made.call(stream=is_stream))
        old, new = made.holds()
        assert old.settled.cost_nano == made.provider.invoice()["calls"][0]["cost_nano"]
        assert new.settled.cost_nano == 10 * old.settled.cost_nano
        assert old.price != new.price
        await made.assert_sound()
