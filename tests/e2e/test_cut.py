"""A stream that would pass the cap ends as its API ends an answer that reached its length, in the real SDKs."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.e2e.world import World, usd, world

from bursar.config.settings import Limits
from bursar.testing import Rates, Script

pytestmark = pytest.mark.slow

LIMIT = 120_000_000
"""$0.12: 12,000 output tokens at $10 per million."""
SPEED = 3000
USUAL_HOLD = 4096 * 10_000
RUN_AHEAD = 200


def script(*, visible: int, reasoning: int = 0, tokens_per_event: int = 20) -> Script:
    return Script(
        output_tokens=visible,
        reasoning_tokens=reasoning,
        tokens_per_s=SPEED,
        tokens_per_event=tokens_per_event,
        run_ahead_tokens=RUN_AHEAD,
        rates=Rates(input=0, cache_read=0, output=10_000_000),
    )


def by_openai(url: str) -> str:
    reasons, usages = [], []
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "go on"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
            usages += [chunk.usage] if chunk.usage else []
    assert usages and usages[-1].completion_tokens > 0
    (reason,) = reasons
    return reason


def by_openai_helper(url: str) -> str:
    with (
        OpenAI(base_url=f"{url}/v1", api_key="none") as client,
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "go on"}]) as stream,
    ):
        for _ in stream:
            pass
        return str(stream.current_completion_snapshot.choices[0].finish_reason)


def by_anthropic(url: str) -> str:
    messages: list[Any] = [{"role": "user", "content": "go on"}]
    with (
        Anthropic(base_url=url, api_key="none") as client,
        client.messages.stream(model="m", max_tokens=64_000, messages=messages) as stream,
    ):
        message = stream.get_final_message()
    assert message.usage.output_tokens > 0
    return str(message.stop_reason)


ENDS: dict[Callable[[str], str], str] = {by_openai: "length", by_openai_helper: "length", by_anthropic: "max_tokens"}


@pytest.mark.parametrize("read", ENDS)
@pytest.mark.parametrize("reasoning", [0, 40_000], ids=["visible", "hidden-reasoning"])
def test_streams_that_share_a_budget_are_cut_cleanly(
    tmp_path: Path, read: Callable[[str], str], reasoning: int
) -> None:
    visible = 40_000 if not reasoning else 10
    with world(tmp_path, script(visible=visible, reasoning=reasoning), [usd(LIMIT)], top_speed=SPEED) as made:
        with ThreadPoolExecutor(2) as pool:
            reasons = list(pool.map(lambda _: read(made.url), range(2)))
        assert set(reasons) == {ENDS[read]}
        assert_within(made)
        assert {hold.note.ended for hold in made.holds()} <= {"cut", "capped"}
        cut = [hold for hold in made.holds() if hold.note.ended == "cut"]
        assert cut
        for hold in cut:
            assert hold.flags >= {"cut", "estimated"}


@pytest.mark.parametrize("read", ENDS)
def test_a_stream_alone_uses_the_budget_to_its_last_token(tmp_path: Path, read: Callable[[str], str]) -> None:
    with world(tmp_path, script(visible=40_000), [usd(LIMIT)], top_speed=SPEED) as made:
        assert read(made.url) == ENDS[read]
        assert_within(made)
        assert made.balance().settled == LIMIT
        (hold,) = made.holds()
        assert hold.note.cap == 12_000
        assert hold.note.ended == "capped"


def assert_within(made: World) -> None:
    """The run-ahead is inside what was held: the invoice never passes the limit, and the ledger is never below it."""
    balance = made.assert_sound()
    made.provider.wait(open_calls=0)
    assert made.invoice_nano() <= balance.settled + balance.presumed <= LIMIT


async def test_a_reader_that_does_not_read_neither_stops_the_metering_nor_passes_the_cap(tmp_path: Path) -> None:
    endless = script(visible=200_000, tokens_per_event=1)
    limits = Limits(read_ahead_bytes_max=16_384)
    with world(tmp_path, endless, [usd(LIMIT)], top_speed=SPEED, limits=limits) as made:
        reader, writer = await slow_connection(made.url)
        other_reader, other_writer = await slow_connection(made.url)
        for one in (writer, other_writer):
            one.write(request(made.url))
            await one.drain()
        # Nobody reads; the streams are extended and cut by time alone, and the provider sees both connections close.
        await made.provider.wait_async(requests=2)
        await made.provider.wait_async(open_calls=0, timeout_s=60)
        body = await asyncio.gather(reader.read(-1), other_reader.read(-1))
        for one in (writer, other_writer):
            one.close()
        assert all(b'"finish_reason":"length"' in told and b"data: [DONE]" in told for told in body)
        assert_within(made)


async def slow_connection(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with receive buffers so small that the gateway cannot unload the whole answer on us."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    host, _, port = url.removeprefix("http://").partition(":")
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    return await asyncio.open_connection(sock=sock, limit=2048)


def request(url: str) -> bytes:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "go on"}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {url.removeprefix('http://')}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
