"""A request that a transport hands on to another client is one call; what else is sent meanwhile is one of its own."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from tests.client.bedrock_rig import CLAUDE, GEMINI, HELLO, KEYS, billed, metered_provider
from tests.client.house import ASKED, QUARTER, House

import bursar
from bursar.client import patches
from bursar.client.asked import Where, address_of
from bursar.testing import ScriptedProvider

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install aiohttp")

STREAMED = {**ASKED, "stream": True}
JSON = {"content-type": "application/json"}


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ScriptedProvider]:
    with metered_provider(tmp_path) as running:
        yield running


class Pieces(httpx2.AsyncByteStream):
    """aiohttp's answer as httpx reads one."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.content.iter_any():
            yield piece

    async def aclose(self) -> None:
        self._answer.close()


class Through(httpx2.AsyncBaseTransport):
    """Sends by aiohttp, as the transports of openai and litellm do; `times`: so often, `first` answers before it."""

    def __init__(self, session: Any, times: int = 1, first: list[httpx2.Response] | None = None) -> None:
        self._session = session
        self._times = times
        self._first = first or []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._first:
            return self._first.pop()
        answer = await self._sent(request)
        for _ in range(self._times - 1):
            if answer.status != 200:
                answer = await self._sent(request)
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=Pieces(answer))

    async def _sent(self, request: httpx2.Request) -> Any:
        try:
            data: Any = request.content
        except httpx2.RequestNotRead:
            data = request.stream  # As of a request that was redirected.
        url, heads = str(request.url), request.headers
        return await self._session.request(
            request.method, url, headers=heads, data=data, allow_redirects=False, auto_decompress=False
        )


class Beside(httpx2.BaseTransport):
    """Does something before it sends by the library's own transport."""

    def __init__(self, before: Callable[[httpx2.Request], object]) -> None:
        self._before = before
        self._own = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._before(request)
        return self._own.handle_request(request)

    def close(self) -> None:
        self._own.close()


class Elsewhere(httpx2.HTTPTransport):
    """Sends by the library's own transport, and not as it was asked."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url.copy_with(host="localhost")
        return super().handle_request(
            httpx2.Request("POST", url, headers=request.headers, stream=request.stream, extensions=request.extensions)
        )


def same(request: httpx2.Request) -> httpx2.Response:
    """Send the very same by another client."""
    with httpx2.Client() as other:
        answer = other.post(str(request.url), content=request.read(), headers=JSON)
    return httpx2.Response(answer.status_code, json=answer.json())


# --- what is handed on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [ASKED, STREAMED], ids=["whole", "stream"])
async def test_what_goes_by_aiohttp_below_httpx_is_one_call(home: House, body: Any) -> None:
    with bursar.budget("$1") as spent:
        async with aiohttp.ClientSession() as session, httpx2.AsyncClient(transport=Through(session)) as client:
            for _ in range(2):
                assert (await client.post(home.chat_url, json=body)).status_code == 200
        assert (spent.calls, home.requests, spent.spent) == (2, 2, Decimal("0.5"))
    home.assert_sound()


async def test_a_file_that_is_handed_on_is_read_as_well(home: House) -> None:
    async def by_file(request: httpx2.Request) -> httpx2.Response:
        async with session.post(str(request.url), data=io.BytesIO(request.content), headers=JSON) as answer:
            return httpx2.Response(answer.status, json=await answer.json())

    with bursar.budget("$1") as spent:
        transport = httpx2.MockTransport(by_file)
        async with aiohttp.ClientSession() as session, httpx2.AsyncClient(transport=transport) as client:
            assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests) == (1, 1)


async def test_each_step_of_a_redirect_is_handed_on(home: House) -> None:
    there = httpx2.Response(307, headers={"location": f"{home.chat_url}?again"})
    with bursar.budget("$1") as spent:
        async with aiohttp.ClientSession() as session:
            transport = Through(session, first=[there])
            async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as client:
                assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests) == (1, 1)
    home.assert_sound()


async def test_what_three_clients_hand_on_is_one_call(home: House) -> None:
    class ByHttpx(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = await middle.post(str(request.url), content=await request.aread(), headers=JSON)
            return httpx2.Response(answer.status_code, json=answer.json())

    class ByAiohttp(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async with session.post(str(request.url), data=request.content, headers=JSON) as answer:
                return httpx.Response(answer.status, json=await answer.json())

    with bursar.budget("$1") as spent:
        async with (
            aiohttp.ClientSession() as session,
            httpx.AsyncClient(transport=ByAiohttp()) as middle,
            httpx2.AsyncClient(transport=ByHttpx()) as client,
        ):
            assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests) == (1, 1)


async def test_what_a_transport_sends_again_after_a_refusal_is_the_same_call(home: House) -> None:
    home.provider.set("m", replace(QUARTER, fault="status", fault_status=429, fault_times=1))
    with bursar.budget("$1") as spent:
        async with aiohttp.ClientSession() as session, httpx2.AsyncClient(transport=Through(session, 2)) as client:
            assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests) == (1, 2)
    home.assert_sound()


def test_what_a_transport_sends_again_where_nothing_was_sent_is_the_same_call(home: House) -> None:
    class Fallback(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            with pytest.raises(httpx2.ConnectError), httpx2.Client(proxy="http://127.0.0.1:1") as other:
                other.post(str(request.url), content=request.read(), headers=JSON)
            return same(request)

    with bursar.budget("$1") as spent, httpx2.Client(transport=Fallback()) as client:
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert (len(home.holds()), spent.calls, home.requests) == (1, 1, 1)
    home.assert_sound()


# --- what is not ------------------------------------------------------------------------------------------------------


async def test_a_transport_that_sends_twice_makes_a_second_call(home: House) -> None:
    class Racing(Through):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answers = await asyncio.gather(*(Through.handle_async_request(self, request) for _ in range(3)))
            return answers[0]

    with bursar.budget("$1") as spent:
        async with aiohttp.ClientSession() as session, httpx2.AsyncClient(transport=Racing(session)) as client:
            assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests) == (3, 3)


def test_what_is_handed_on_to_another_address_is_a_call_of_its_own(home: House) -> None:
    def elsewhere(request: httpx2.Request) -> httpx2.Response:
        with httpx2.Client() as other:
            answer = other.post(home.chat_url, content=request.read(), headers=JSON)
        return httpx2.Response(answer.status_code, json=answer.json())

    transport = httpx2.MockTransport(elsewhere)
    with bursar.budget("$1") as spent, httpx2.Client(transport=transport) as client:
        assert client.post("http://127.0.0.1:1/v1/chat/completions", json=ASKED).status_code == 200
        assert (spent.calls, home.requests) == (2, 1)


def test_what_a_transport_asks_before_it_hands_on_takes_nothing_from_that(home: House) -> None:
    def asking_first(request: httpx2.Request) -> httpx2.Response:
        with httpx2.Client() as other:
            other.post(str(request.url), json={**ASKED, "user": "guard"})
        return same(request)

    with bursar.budget("$5") as spent, httpx2.Client(transport=httpx2.MockTransport(asking_first)) as client:
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert (spent.calls, home.requests, spent.spent) == (2, 2, Decimal("0.5"))
    home.assert_sound()


async def test_nor_does_it_in_a_task(home: House) -> None:
    async def asking_first(request: httpx2.Request) -> httpx2.Response:
        async with httpx2.AsyncClient() as other:
            await other.post(str(request.url), json={**ASKED, "user": "guard"})
            answer = await other.post(str(request.url), content=request.content, headers=JSON)
        return httpx2.Response(answer.status_code, json=answer.json())

    with bursar.budget("$5") as spent:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(asking_first)) as client:
            assert (await client.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests, spent.spent) == (2, 2, Decimal("0.5"))
    home.assert_sound()


def test_a_block_that_a_transport_opens_is_asked_for_what_is_sent_inside(home: House) -> None:
    def inside(request: httpx2.Request) -> httpx2.Response:
        with bursar.budget(limit) as own:
            answer = same(request)
        calls.append(own.calls)
        return answer

    calls: list[int] = []
    with bursar.budget("$5") as spent, httpx2.Client(transport=httpx2.MockTransport(inside)) as client:
        limit = "$0.0001"
        assert client.post(home.chat_url, json=ASKED).status_code == 402
        limit = "$1"
        assert client.post(home.chat_url, json=ASKED).status_code == 200
    assert (calls, home.requests) == ([0, 1], 1)
    assert spent.spent >= Decimal("0.25")
    home.assert_sound()


@pytest.mark.parametrize("event", ["request", "response"])
@pytest.mark.parametrize("transport", [httpx2.HTTPTransport, lambda: Beside(lambda _: None)], ids=["own", "other"])
def test_the_very_same_by_another_client_in_a_hook_is_a_second_call(home: House, event: str, transport: Any) -> None:
    def again(found: Any) -> None:
        same(found.request if event == "response" else found)

    hooks: Any = {event: [again]}
    with bursar.budget("$1") as spent, httpx2.Client(transport=transport(), event_hooks=hooks) as client:
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert (spent.calls, home.requests) == (2, 2)
    home.assert_sound()


@pytest.mark.parametrize(
    "transport", [httpx2.HTTPTransport, lambda: Beside(lambda _: None), Elsewhere], ids=["own", "other", "elsewhere"]
)
def test_the_very_same_by_a_signals_handler_while_a_call_is_on_the_wire_is_a_second_call(
    home: House, transport: Any
) -> None:
    asked: list[httpx2.Request] = []

    def on_wire(name: str, _: object) -> None:
        if name == "http11.send_request_body.complete":
            signal.raise_signal(signal.SIGUSR1)

    was = signal.signal(signal.SIGUSR1, lambda *_: same(asked[0]))
    try:
        with bursar.budget("$1") as spent, httpx2.Client(transport=transport()) as client:
            asked.append(client.build_request("POST", home.chat_url, json=ASKED, extensions={"trace": on_wire}))
            assert client.send(asked[0]).status_code == 200
            assert (spent.calls, home.requests) == (2, 2)
    finally:
        signal.signal(signal.SIGUSR1, was)
    home.assert_sound()


class Around(httpx2.AsyncBaseTransport):
    """Sends by the library's own transport, nothing else."""

    def __init__(self) -> None:
        self._own = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._own.handle_async_request(request)

    async def aclose(self) -> None:
        await self._own.aclose()


@pytest.mark.parametrize("transport", [httpx2.AsyncHTTPTransport, Around], ids=["own", "other"])
async def test_the_very_same_while_a_call_of_a_task_is_on_the_wire_is_a_second_call(
    home: House, transport: Any
) -> None:
    async def on_wire(name: str, _: object) -> None:
        if name == "http11.send_request_body.complete":
            await asyncio.to_thread(same, asked)

    with bursar.budget("$1") as spent:
        async with httpx2.AsyncClient(transport=transport()) as client:
            asked = client.build_request("POST", home.chat_url, json=ASKED, extensions={"trace": on_wire})
            assert (await client.send(asked)).status_code == 200
        assert (spent.calls, home.requests) == (2, 2)
    home.assert_sound()


async def test_a_task_that_outlives_the_transport_that_began_it_makes_calls_of_its_own(home: House) -> None:
    tasks = []

    async def later(request: httpx2.Request) -> None:
        await is_over.wait()
        async with aiohttp.ClientSession() as session:
            await (await session.post(str(request.url), data=request.content, headers=JSON)).read()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        tasks.append(asyncio.create_task(later(request)))
        return httpx2.Response(429)

    is_over = asyncio.Event()
    with bursar.budget("$1") as spent:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
            assert (await client.post(home.chat_url, json=ASKED)).status_code == 429
        is_over.set()
        await asyncio.gather(*tasks)
        assert (spent.calls, home.requests) == (1, 1)


async def test_what_aiohttp_asks_in_a_hook_of_httpx_is_a_call_of_its_own(home: House) -> None:
    async def hook(_: object) -> None:
        async with session.post(home.chat_url, json={**ASKED, "n": 1}) as answer:
            await answer.read()

    with bursar.budget("$1") as spent:
        async with (
            aiohttp.ClientSession() as session,
            httpx2.AsyncClient(event_hooks={"response": [hook]}, transport=Through(session)) as through,
            httpx2.AsyncClient(event_hooks={"response": [hook]}) as client,
        ):
            for each in (through, client):
                assert (await each.post(home.chat_url, json=ASKED)).status_code == 200
        assert (spent.calls, home.requests) == (4, 4)
    home.assert_sound()


async def test_what_is_asked_in_a_hook_of_aiohttp_is_a_call_of_its_own(home: House) -> None:
    async def again(*_: object) -> None:
        async with aiohttp.ClientSession() as other, httpx2.AsyncClient() as client:
            await (await other.post(home.chat_url, json=ASKED)).read()
            await client.post(home.chat_url, json=ASKED)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(again)
    with bursar.budget("$1") as spent:
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            await (await session.post(home.chat_url, json=ASKED)).read()
        assert (spent.calls, home.requests, spent.spent) == (3, 3, Decimal("0.75"))
    home.assert_sound()


def gemini(provider: ScriptedProvider) -> tuple[str, dict[str, Any]]:
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 10}}
    return f"{provider.url}/v1beta/models/{GEMINI}:generateContent", asked


async def test_what_boto3_asks_in_a_hook_of_aiohttp_is_a_call_of_its_own(provider: ScriptedProvider) -> None:
    boto3 = pytest.importorskip("boto3")
    aws = boto3.client("bedrock-runtime", endpoint_url=provider.url, **KEYS)

    async def ask(*_: object) -> None:
        await asyncio.to_thread(aws.converse, modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 10})

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ask)
    url, asked = gemini(provider)
    with bursar.budget("$1") as spent:
        async with aiohttp.ClientSession(trace_configs=[trace]) as session, session.post(url, json=asked) as answer:
            await answer.read()
            assert answer.status == 200
        assert (spent.calls, billed(provider)) == (2, 2)


async def test_what_aiohttp_asks_while_aiobotocore_sends_has_no_signature_of_its(provider: ScriptedProvider) -> None:
    aio = pytest.importorskip("aiobotocore.session")
    url, asked = gemini(provider)
    del asked["generationConfig"]  # So that a cap is written, which a signature would have to cover.
    own = aiohttp.ClientSession._request
    statuses: list[int] = []

    async def request(self: Any, method: str, where: Any, **options: Any) -> Any:
        if CLAUDE.partition(":")[0] in str(where) and not statuses:
            async with aiohttp.ClientSession() as other:
                statuses.append((await other.post(url, json=asked, headers={"x-own": "1"})).status)
        return await own(self, method, where, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "_request", request)
        with bursar.budget("$1") as spent:
            async with aio.get_session().create_client("bedrock-runtime", endpoint_url=provider.url, **KEYS) as client:
                await client.converse(modelId=CLAUDE, messages=HELLO)
            assert (statuses, spent.calls, billed(provider)) == ([200], 2, 2)
    (sent,) = [dict(each["headers"]) for each in provider.requests() if "x-own" in dict(each["headers"])]
    assert not [name for name in sent if name.startswith("x-amz") or name == "authorization"]


def test_what_is_asked_while_botocore_sends_is_a_call_of_its_own(provider: ScriptedProvider) -> None:
    boto3 = pytest.importorskip("boto3")
    aws = boto3.client("bedrock-runtime", endpoint_url=provider.url, **KEYS)
    url, asked = gemini(provider)
    own = aws._endpoint.http_session

    class Session:
        def send(self, prepared: Any) -> Any:
            assert httpx2.post(url, json=asked).status_code == 200
            return own.send(prepared)

    aws._endpoint.http_session = Session()
    with bursar.budget("$1") as spent:
        aws.converse(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 10})
        assert (spent.calls, billed(provider)) == (2, 2)


def test_where_the_library_works_in_another_way_nothing_is_taken_as_handed_on(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "HANDING", ("_is_not_there",))
    transport = httpx2.MockTransport(same)
    with bursar.budget("$1") as spent, httpx2.Client(transport=transport) as client:
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert (spent.calls, home.requests) == (2, 1)


def test_the_same_address_is_read_alike_however_it_is_written() -> None:
    written = ["https://Api.openai.com/v1/a%3Ab?x=1", "https://me:pw@api.openai.com:443/v1/a:b"]
    found = {address_of(httpx2.URL(each)) for each in written} | {address_of(Where.of(each)) for each in written}
    assert found == {"https://api.openai.com/v1/a:b"}
