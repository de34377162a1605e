"""Connections to providers: what counts as sent, which deadlines there are, and that connections are given back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bursar.core.provider import Deadlines, Provider
from bursar.errors import TooLarge, UpstreamFailed
from bursar.upstream.http import HttpAnswer, HttpUpstream

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
QUICK = Deadlines(connect_s=1, first_byte_s=0.3, idle_s=0.3, total_s=0.5)
PATIENT = Deadlines(connect_s=5, first_byte_s=10, idle_s=10, total_s=20)


def provider_at(port: int, deadlines: Deadlines = PATIENT) -> Provider:
    return Provider("p", f"http://127.0.0.1:{port}/v1/", ("openai.chat",), deadlines=deadlines)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """Serve raw bytes on a free port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def upstream() -> AsyncIterator[HttpUpstream]:
    made = HttpUpstream()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def in_use(made: HttpUpstream) -> int:
    return made.in_use


async def send(made: HttpUpstream, provider: Provider) -> HttpAnswer:
    return await made.send(provider, "POST", "/chat/completions?a=b", {"x-a": "b"}, b"{}")


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2)


async def test_a_request_says_what_was_said_and_nothing_more() -> None:
    seen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            seen.append(await head_of(reader))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\nok")
        await reader.read()

    async with serving(serve) as port, upstream() as made:
        for _ in range(2):
            answer = await send(made, provider_at(port))
            assert await answer.body(100) == b"ok"
            answer.abort()
        first, second = seen
        lines = first.split(b"\r\n")
        assert lines[0] == b"POST /v1/chat/completions?a=b HTTP/1.1"
        names = {line.split(b":")[0].lower() for line in lines[1:] if b":" in line}
        assert names == {b"host", b"x-a", b"accept-encoding", b"content-length"}
        assert first == second  # No cookie came back.


async def test_a_port_where_nobody_listens_means_not_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: connecting is refused.
        async with upstream() as made:
            with pytest.raises(UpstreamFailed) as caught:
                await send(made, provider_at(taken.getsockname()[1]))
    assert not caught.value.is_sent
    assert "127.0.0.1" not in caught.value.message


@pytest.mark.parametrize("url", ["http://name.invalid", "http://127.0.0.1:99999", "http://[::1", "http://"])
async def test_an_address_that_is_none_means_not_sent(url: str) -> None:
    async with upstream() as made:
        with pytest.raises(UpstreamFailed) as caught:
            await send(made, Provider("p", url, ("openai.chat",), deadlines=PATIENT))
    assert not caught.value.is_sent


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200", b"garbage\r\n\r\n", b"HTTP/1.1 xyz OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"],
    ids=["closed", "half a head", "garbage", "no status", "bad header"],
)
async def test_whatever_breaks_after_connecting_may_have_been_sent(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(said)
        await writer.drain()

    async with serving(serve) as port, upstream() as made:
        with pytest.raises(UpstreamFailed) as caught:
            await send(made, provider_at(port))
        assert caught.value.is_sent
        assert in_use(made) == 0


async def test_silence_until_the_deadline_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(serve) as port, upstream() as made:
        with pytest.raises(UpstreamFailed) as caught:
            await send(made, provider_at(port, QUICK))
        assert caught.value.is_sent and "within 0.3 s" in caught.value.message
        assert in_use(made) == 0


def answering(body: bytes, length: int | None = None, *, drips: bytes = b"") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        size = len(body) if length is None else length
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + body)
        await writer.drain()
        gone = asyncio.ensure_future(reader.read())
        while drips and not gone.done():
            writer.write(drips)
            await asyncio.wait({gone}, timeout=0.05)
        if length is not None and length > len(body) + 1_000_000:
            await gone
        gone.cancel()

    return serve


async def test_a_body_above_the_limit_is_not_read_on() -> None:
    async with serving(answering(b"a" * 1000)) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        with pytest.raises(TooLarge):
            await answer.body(999)
        assert in_use(made) == 0


async def test_a_body_that_breaks_off_is_a_failure() -> None:
    async with serving(answering(b"half", 8)) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        with pytest.raises(UpstreamFailed) as caught:
            await answer.body(100)
        assert caught.value.is_sent and in_use(made) == 0


@pytest.mark.parametrize("drips", [b"", b" "], ids=["silent", "dripping"])
async def test_a_body_that_does_not_end_is_a_failure_in_time(drips: bytes) -> None:
    async with serving(answering(b"half", 10**9, drips=drips)) as port, upstream() as made:
        answer = await send(made, provider_at(port, QUICK))
        with pytest.raises(UpstreamFailed) as caught:
            await answer.body(10**6)
        assert "within" in caught.value.message and in_use(made) == 0


async def test_reading_gives_none_when_nothing_came_and_loses_nothing() -> None:
    go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
        await go.wait()
        writer.write(b"abc")
        await reader.read()

    async with serving(serve) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        assert await answer.read(0.01) is None
        assert await answer.read(0) is None
        go.set()
        assert await answer.read(10) == b"abc"
        assert await answer.read(10) == b""
        answer.finish()
        assert in_use(made) == 0


async def test_an_abort_closes_the_connection() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        assert await reader.read() == b""
        left.set()

    async with serving(serve) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        answer.abort()
        await asyncio.wait_for(left.wait(), 10)
        assert in_use(made) == 0


async def test_a_cancelled_request_closes_its_connection() -> None:
    left, came = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        came.set()
        await reader.read()
        left.set()

    async with serving(serve) as port, upstream() as made:
        task = asyncio.create_task(send(made, provider_at(port)))
        await came.wait()
        task.cancel()
        await asyncio.wait({task})
        await asyncio.wait_for(left.wait(), 10)
        assert in_use(made) == 0


async def test_proxy_variables_are_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(answering(b"ok")) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        assert await answer.body(10) == b"ok"
        answer.abort()
