"""Connections to providers: which is kept, where an answer ends, and what is not HTTP."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Sequence

import pytest
from tests.upstream.test_http import PATIENT, Serve, head_of, in_use, provider_at, send, serving, upstream

from bursar.core.provider import Provider
from bursar.errors import UpstreamFailed
from bursar.upstream.connection import BUFFER_BYTES, HEADERS_MAX, Connection
from bursar.upstream.http import HttpUpstream
from bursar.upstream.pool import Pool, address_of

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def saying(*answers: bytes, stays: bool = True) -> tuple[Serve, list[int]]:
    """Answer each request of a connection with the next of these; gives how many requests each connection had."""
    counts: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts.append(0)
        mine = len(counts) - 1
        for answer in answers:
            await head_of(reader)
            counts[mine] += 1
            writer.write(answer)
            await writer.drain()
        if stays:
            await reader.read()

    return serve, counts


async def gone(connection: Connection) -> None:
    """Wait until a connection has noticed that it was closed."""
    noticed = asyncio.Event()
    let_go = connection._let_go

    def told(which: Connection) -> None:
        let_go(which)
        noticed.set()

    connection._let_go = told
    if connection.is_open:
        await noticed.wait()


async def body_from(made: HttpUpstream, port: int) -> bytes:
    answer = await send(made, provider_at(port))
    body = await answer.body(10**7)
    answer.finish()
    return body


async def test_a_connection_is_kept_for_the_next_call() -> None:
    serve, counts = saying(OK, OK, OK)
    async with serving(serve) as port, upstream() as made:
        assert [await body_from(made, port) for _ in range(3)] == [b"ok"] * 3
        assert counts == [3]
        assert in_use(made) == 0


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
    ],
    ids=["said so", "1.0", "more than its length"],
)
async def test_a_connection_that_cannot_be_trusted_is_not_kept(last: bytes) -> None:
    serve, counts = saying(last)
    async with serving(serve) as port, upstream() as made:
        assert [await body_from(made, port) for _ in range(2)] == [b"ok"] * 2
        assert counts == [1, 1]


async def test_one_that_was_closed_while_idle_is_not_used_again() -> None:
    serve, counts = saying(OK, stays=False)
    async with serving(serve) as port, upstream() as made:
        for _ in range(3):
            assert await body_from(made, port) == b"ok"
            (connection,) = made._pools[True]._where  # The guarded one: this provider is not said to be private.
            async with asyncio.timeout(10):
                await gone(connection)
        assert counts == [1, 1, 1]


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    serve, _ = saying(b"HTTP/1.1 200 OK\r\n\r\nall of it", stays=False)
    async with serving(serve) as port, upstream() as made:
        assert await body_from(made, port) == b"all of it"


async def test_chunks_are_put_together_and_a_missing_end_is_a_failure() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n"
    serve, counts = saying(chunked + b"0\r\nx-trailer: 1\r\n\r\n", chunked, stays=False)
    async with serving(serve) as port, upstream() as made:
        assert await body_from(made, port) == b"abcde"
        with pytest.raises(UpstreamFailed):
            await body_from(made, port)
        assert counts == [2]


async def test_what_only_announces_an_answer_is_none() -> None:
    serve, counts = saying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, OK)
    async with serving(serve) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        assert (answer.status, dict(answer.headers)) == (200, {"content-length": "2"})
        assert await answer.body(10) == b"ok"
        assert await body_from(made, port) == b"ok"
        assert counts == [2]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
async def test_a_server_that_packs_unasked_is_understood(coding: str) -> None:
    text = b"a long answer " * 200_000
    packed = zlib.compress(text) if coding == "deflate" else gzip.compress(text)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n"
    serve, _ = saying(head % (coding.encode(), len(packed)) + packed)
    async with serving(serve) as port, upstream() as made:
        assert await body_from(made, port) == text


async def test_a_packing_that_cannot_be_read_is_a_failure_that_may_be_billed() -> None:
    for answer in (b"content-encoding: br\r\ncontent-length: 2\r\n\r\nok", b"content-encoding: gzip\r\n\r\nnot gzip"):
        serve, _ = saying(b"HTTP/1.1 200 OK\r\n" + answer, stays=False)
        async with serving(serve) as port, upstream() as made:
            with pytest.raises(UpstreamFailed) as caught:
                await body_from(made, port)
            assert caught.value.is_sent
            assert in_use(made) == 0


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(HEADERS_MAX + 1)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n",
    ],
    ids=["many headers", "a long header", "another protocol", "two framings", "a negative length"],
)
async def test_an_answer_that_is_not_as_it_should_be_is_a_failure_that_may_be_billed(said: bytes) -> None:
    serve, _ = saying(said)
    async with serving(serve) as port, upstream() as made:
        with pytest.raises(UpstreamFailed) as caught:
            await body_from(made, port)
        assert caught.value.is_sent
        assert in_use(made) == 0


async def test_no_more_is_read_ahead_than_the_buffer_holds() -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (200 * 2**20))
        writer.transport.set_write_buffer_limits(0)
        for _ in range(200):
            writer.write(b"a" * 2**20)
            await writer.drain()
            sent += 2**20

    async with serving(serve) as port, upstream() as made:
        answer = await send(made, provider_at(port))
        before = -1
        while before != sent:  # Until the sender has not got on in a while.
            before = sent
            await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.2)
        assert sent < 50 * 2**20, "what the kernel's own buffers hold"
        piece = await answer.read(10)
        assert piece is not None and len(piece) <= 4 * BUFFER_BYTES
        answer.abort()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


class Names:
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str) -> Sequence[str]:
        return self.addresses


async def test_a_second_address_is_tried_where_the_first_refuses() -> None:
    serve, _ = saying(OK)
    async with serving(serve) as port:
        made = HttpUpstream(resolver=Names("127.0.0.2", "127.0.0.1"))
        await made.start()
        try:
            asked = Provider(
                "p", f"http://name.example:{port}", ("openai.chat",), deadlines=PATIENT, allows_private=True
            )
            answer = await made.send(asked, "POST", "/x", {}, b"{}")
            assert await answer.body(10) == b"ok"
        finally:
            await made.stop()


async def test_a_full_pool_gives_up_an_idle_connection_and_then_refuses() -> None:
    serve, _ = saying(OK)
    async with serving(serve) as one, serving(serve) as two:
        pool = Pool(Names(), 1)
        first = await pool.open(address_of(f"http://127.0.0.1:{one}"))
        with pytest.raises(OSError, match="1 connections"):
            await pool.open(address_of(f"http://127.0.0.1:{two}"))
        exchange = first.begin(b"POST / HTTP/1.1\r\n\r\n", b"{}")
        assert await exchange.read(asyncio.get_running_loop().time() + 10) == b"ok"
        second = await pool.open(address_of(f"http://127.0.0.1:{two}"))
        assert second.is_open and not first.is_open
        pool.close()


async def test_what_has_been_idle_too_long_is_closed_at_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, _ = saying(OK)
    async with serving(serve) as one, serving(serve) as two:
        pool = Pool(Names(), 3)
        opened = [await pool.open(address_of(f"http://127.0.0.1:{port}")) for port in (one, two)]
        for each in opened:
            exchange = each.begin(b"POST / HTTP/1.1\r\n\r\n", b"{}")
            assert await exchange.read(asyncio.get_running_loop().time() + 10) == b"ok"
        monkeypatch.setattr("bursar.upstream.pool.KEPT_S", 0.0)
        pool._drop_stale()
        assert [each.is_open for each in opened] == [False, False]
        assert pool.in_use == 0
        pool.close()


@pytest.mark.parametrize("header", ["a\r\nb: c", "a\nb", "a\0b"])
async def test_a_header_of_two_lines_is_never_sent(header: str) -> None:
    serve, counts = saying(OK)
    async with serving(serve) as port, upstream() as made:
        with pytest.raises(UpstreamFailed) as caught:
            await made.send(provider_at(port), "POST", "/x", {"x-a": header}, b"{}")
        assert not caught.value.is_sent
        assert counts == []
