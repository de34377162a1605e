"""aiohttp inside a budget: plain sessions and google-genai's asynchronous client; answers are what they were."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.client.house import ASKED, House

import bursar
from bursar.testing import Script

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install aiohttp")

STREAMED = {**ASKED, "stream": True}


@pytest.fixture
async def session() -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as made:
        yield made


async def by_json(home: House, session: Any, body: dict[str, Any] = ASKED) -> tuple[int, bytes]:
    async with session.post(home.chat_url, json=body) as answer:
        return answer.status, await answer.read()


async def by_data(home: House, session: Any, body: dict[str, Any] = ASKED) -> tuple[int, bytes]:
    async with session.post(
        home.chat_url, data=json.dumps(body), headers={"content-type": "application/json"}
    ) as answer:
        return answer.status, await answer.content.read()


async def by_lines(home: House, session: Any, body: dict[str, Any] = STREAMED) -> tuple[int, bytes]:
    async with session.post(home.chat_url, json=body) as answer:
        return answer.status, b"".join([line async for line in answer.content])


async def by_chunks(home: House, session: Any, body: dict[str, Any] = STREAMED) -> tuple[int, bytes]:
    async with session.request("post", home.chat_url, json=body) as answer:
        return answer.status, b"".join([piece async for piece, _ in answer.content.iter_chunks()])


async def by_pieces(home: House, session: Any, body: dict[str, Any] = STREAMED) -> tuple[int, bytes]:
    answer = await session.post(home.chat_url, json=body)
    found = b""
    while piece := await answer.content.read(700):
        found += piece
    answer.release()
    return answer.status, found


OWN = {"id": 0, "created": 0, "usage": None}
Way = Callable[..., Awaitable[tuple[int, bytes]]]
WAYS = pytest.mark.parametrize("way", [by_json, by_data, by_lines, by_chunks, by_pieces])


@WAYS
async def test_four_calls_of_a_quarter_fit_a_dollar(home: House, session: Any, way: Way) -> None:
    with bursar.budget("$1") as spent:
        statuses = [(await way(home, session))[0] for _ in range(8)]
    assert statuses == [200] * 4 + [402] * 4
    assert (home.requests, spent.spent, spent.is_exceeded) == (4, Decimal(1), True)
    home.assert_sound()


@WAYS
async def test_forty_at_once_send_no_more_than_fits(home: House, session: Any, way: Way) -> None:
    with bursar.budget("$1") as spent:
        answers = await asyncio.gather(*(way(home, session) for _ in range(40)))
    assert sorted(status for status, _ in answers) == [200] * 4 + [402] * 36
    assert (home.requests, spent.spent) == (4, Decimal(1))


@WAYS
async def test_an_unknown_model_never_reaches_the_provider(home: House, session: Any, way: Way) -> None:
    with bursar.budget("$1"):
        status, body = await way(home, session, {**ASKED, "model": "unheard-of"})
    assert (status, home.requests) == (402, 0)
    assert json.loads(body)["error"]["code"] == "price_unknown"


@WAYS
async def test_answers_are_what_they_are_without_a_budget(home: House, session: Any, way: Way) -> None:
    def same(answer: tuple[int, bytes]) -> tuple[int, list[str]]:
        """Leave out what is each answer's own, and the mark of a usage that bursar asks for in a stream."""
        text = answer[1].decode()
        events = [line.removeprefix("data: ") for line in text.splitlines() if line.strip()]
        values = [json.loads(event) for event in events if event.startswith("{")]
        return answer[0], [json.dumps({**value, **OWN} if "choices" in value else value) for value in values]

    plain = same(await way(home, session))
    with bursar.budget("$1"):
        assert same(await way(home, session)) == plain


async def test_a_response_is_aiohttps_own_and_says_what_it_said(home: House, session: Any) -> None:
    async with session.post(home.chat_url, json=ASKED) as plain:
        await plain.read()
    with bursar.budget("$1"):
        async with session.post(home.chat_url, json=ASKED) as answer:
            assert isinstance(answer, aiohttp.ClientResponse)
            assert (answer.status, answer.reason, answer.method, answer.url) == (200, "OK", "POST", plain.url)
            assert answer.headers.keys() == plain.headers.keys()
            assert (await answer.json())["usage"]["completion_tokens"] == 5000
            assert await answer.text() == (await answer.read()).decode()
            assert answer.request_info.headers.keys() == plain.request_info.headers.keys()


async def test_a_refusal_reads_like_any_response(home: House, session: Any) -> None:
    with bursar.budget("$0.10"):
        async with session.post(home.chat_url, json=ASKED) as answer:
            assert (answer.status, answer.ok, answer.content_type) == (402, False, "application/json")
            assert answer.headers["x-should-retry"] == "false"
            assert (await answer.json())["error"]["code"] == "budget_exceeded"
            assert str(answer.url) == home.chat_url
            assert "402" in repr(answer)
        with pytest.raises(aiohttp.ClientResponseError, match="402"):
            await session.post(home.chat_url, json=ASKED, raise_for_status=True)
    assert home.requests == 0


async def test_a_status_of_the_provider_is_raised_as_the_session_was_told(home: House, session: Any) -> None:
    home.provider.set("m", Script(fault="status", fault_status=429))
    with bursar.budget("$1") as spent:
        with pytest.raises(aiohttp.ClientResponseError, match="429"):
            await session.post(home.chat_url, json=ASKED, raise_for_status=True)
        assert spent.spent == 0
    home.assert_sound()


async def test_a_stream_that_is_left_early_is_settled(home: House, session: Any) -> None:
    home.provider.set("m", Script(output_tokens=5000, tokens_per_s=1000))
    with bursar.budget("$1") as spent:
        async with session.post(home.chat_url, json=STREAMED) as answer:
            await answer.content.readline()
        assert Decimal(0) < spent.spent <= Decimal("0.25")
    home.assert_sound()


@pytest.mark.parametrize("end", ["close", "release", "forget"])
async def test_however_a_stream_ends_its_hold_does(home: House, session: Any, end: str) -> None:
    home.provider.set("m", Script(output_tokens=5000, tokens_per_s=1000))
    with bursar.budget("$1"):
        answer = await session.post(home.chat_url, json=STREAMED)
        await answer.content.readline()
        if end != "forget":
            getattr(answer, end)()
        del answer
        gc.collect()
    bursar.close()  # Ends what is left to end.
    home.assert_sound()
    (hold,) = home.holds()
    assert hold.state.name in ("SETTLED", "PRESUMED")


async def test_a_time_out_is_the_sessions_own_and_keeps_its_charge(home: House, session: Any) -> None:
    home.provider.set("m", Script(output_tokens=5000, fault="slow", fault_after_s=30))
    with bursar.budget("$1") as spent:
        with pytest.raises(TimeoutError):
            await session.post(home.chat_url, json=ASKED, timeout=aiohttp.ClientTimeout(total=0.2))
        assert spent.spent == Decimal("0.25")


async def test_a_connection_that_never_was_costs_nothing(home: House, session: Any) -> None:
    with bursar.budget("$1") as spent:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post("http://127.0.0.1:9/v1/chat/completions", json=ASKED)
        assert spent.spent == 0


async def test_a_broken_stream_raises_what_aiohttp_raises(home: House, session: Any) -> None:
    home.provider.set("m", Script(output_tokens=5000, fault="cut", fault_after_tokens=100))
    with bursar.budget("$1") as spent:
        with pytest.raises(aiohttp.ClientPayloadError):
            await by_lines(home, session)
        assert spent.spent > 0
    home.assert_sound()


async def test_a_body_that_only_aiohttp_could_write_is_refused(home: House, session: Any) -> None:
    with bursar.budget("$1"):
        async with session.post(home.chat_url, data=aiohttp.FormData({"model": "m"})) as answer:
            assert (answer.status, home.requests) == (400, 0)


async def test_other_requests_pass_as_if_nobody_were_here(home: House, session: Any) -> None:
    with bursar.budget("$1"):
        async with session.get(f"{home.url}/models") as answer:
            assert (answer.status, type(answer)) == (200, aiohttp.ClientResponse)
    assert home.requests == 1


async def test_what_was_patched_is_undone_after_the_last_budget(home: House) -> None:
    before = aiohttp.ClientSession.__dict__["_request"]
    with bursar.budget("$1"), bursar.budget("$1"):
        assert aiohttp.ClientSession.__dict__["_request"] is not before
    assert aiohttp.ClientSession.__dict__["_request"] is before
