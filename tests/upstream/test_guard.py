"""S16, S17: a provider's name never leads into the operator's network, unless the operator says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.upstream.test_http import PATIENT, answering, head_of, serving

from bursar.core.provider import Provider
from bursar.errors import UpstreamFailed
from bursar.upstream.guard import GuardedResolver, PrivateAddress, needs_guard
from bursar.upstream.http import HttpUpstream
from bursar.upstream.pool import Pool, address_of

INSIDE = ["127.0.0.1", "10.0.0.5", "169.254.169.254", "100.64.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]


class Names:
    """Answers each question with the next of some answers, and the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[str]:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(host)
        return answer


def provider(url: str, *, allows_private: bool = False) -> Provider:
    return Provider("p", url, ("openai.chat",), deadlines=PATIENT, allows_private=allows_private)


async def ask(names: Names, asked: Provider) -> bytes:
    made = HttpUpstream(resolver=names)
    await made.start()
    try:
        answer = await made.send(asked, "POST", "/x", {}, b"{}")
        return await answer.body(100)
    finally:
        await made.stop()


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    async with serving(answering(b"secret")) as port:
        with pytest.raises(UpstreamFailed) as caught:
            await ask(Names([address]), provider(f"http://api.example:{port}/v1"))
    assert not caught.value.is_sent
    assert "allow_private" in caught.value.message
    assert address not in caught.value.message


@pytest.mark.parametrize("written", ["0x7f.0.0.1", "0x7f000001", "localtest.example."])
async def test_odd_ways_to_write_an_address_lead_nowhere(written: str) -> None:
    async with serving(answering(b"secret")) as port:
        with pytest.raises(UpstreamFailed) as caught:
            await ask(Names(["127.0.0.1"]), provider(f"http://{written}:{port}/v1"))
    assert not caught.value.is_sent


@pytest.mark.parametrize("written", ["2130706433", "017700000001", "127.1", "0177.0.0.1"])
async def test_numbers_that_a_system_may_take_for_an_address_are_none(written: str) -> None:
    names = Names(["127.0.0.1"])
    async with serving(answering(b"secret")) as port:
        with pytest.raises(UpstreamFailed) as caught:
            await ask(names, provider(f"http://{written}:{port}/v1"))
    assert not caught.value.is_sent


async def test_the_operator_may_open_it() -> None:
    async with serving(answering(b"ok")) as port:
        names = Names(["127.0.0.1"])
        assert await ask(names, provider(f"http://gpu.example:{port}/v1", allows_private=True)) == b"ok"
        assert names.asked == ["gpu.example"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "x.localhost", "localhost."])
async def test_what_the_operator_wrote_as_this_machine_is_this_machine(host: str) -> None:
    async with serving(answering(b"ok")) as port:
        assert await ask(Names(["127.0.0.1"]), provider(f"http://{host}:{port}/v1")) == b"ok"


@pytest.mark.parametrize("host", ["localhost.example", "xlocalhost", "127.0.0.1.nip.example", "[::1"])
def test_what_only_looks_like_this_machine_is_guarded(host: str) -> None:
    assert needs_guard(provider(f"http://{host}/v1"))


async def test_one_provider_s_leave_does_not_serve_another() -> None:
    """Names and connections are remembered by host: the guard must not be passed by what was allowed before."""
    async with serving(answering(b"ok")) as port:
        made = HttpUpstream(resolver=Names(["127.0.0.1"]))
        await made.start()
        try:
            url = f"http://gpu.example:{port}/v1"
            answer = await made.send(provider(url, allows_private=True), "POST", "/x", {}, b"{}")
            assert await answer.body(100) == b"ok"
            answer.finish()
            with pytest.raises(UpstreamFailed):
                await made.send(provider(url), "POST", "/x", {}, b"{}")
        finally:
            await made.stop()


async def test_only_what_was_checked_is_left() -> None:
    resolver = GuardedResolver(Names(["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"]))
    found = await resolver.resolve("api.example")
    assert list(found) == ["8.8.8.8", "2606:4700::1111"]


async def test_nothing_found_is_no_private_address() -> None:
    assert await GuardedResolver(Names([])).resolve("api.example") == []


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    """A name that answers otherwise the second time gains nothing: there is no second question for a connection."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with serving(answering(b"ok")) as port:
        address = address_of(f"http://api.example:{port}")
        pool = Pool(GuardedResolver(names, is_allowed=lambda found: found == "127.0.0.1"), 10)
        connection = await pool.open(address)
        assert (
            await connection.begin(b"GET / HTTP/1.1\r\n\r\n", b"{}").read(asyncio.get_running_loop().time() + 10)
            == b"ok"
        )
        assert len(names.asked) == 1
        with pytest.raises(PrivateAddress):
            await Pool(GuardedResolver(names, is_allowed=lambda found: found == "127.0.0.1"), 10).open(address)
        pool.close()


async def test_a_redirect_is_not_followed_and_no_key_goes_with_it() -> None:
    """S17, also to the same host."""
    names = Names(["127.0.0.1"])
    said = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(said)
        await writer.drain()

    async with serving(serve) as port:
        made = HttpUpstream(resolver=names)
        await made.start()
        try:
            asked = provider(f"http://gpu.example:{port}/v1", allows_private=True)
            answer = await made.send(asked, "POST", "/x", {"authorization": "Bearer k"}, b"{}")
            assert answer.status == 302
            answer.abort()
        finally:
            await made.stop()
        assert names.asked == ["gpu.example"]
