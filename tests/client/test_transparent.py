"""A program sees what it would see without bursar: the same answers, bytes, errors; and costs it nothing more."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
import zstandard
from tests.client.house import ASKED, HELLO, House, house

import bursar
from bursar.core.hold import State
from bursar.testing import Script
from bursar.wire.strict_json import BODY_BYTES_MAX


def packed(content: bytes) -> bytes:
    """Compress, to the same bytes each time: what tests are called by must not tell the hour."""
    return gzip.compress(content, mtime=0)


ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "é" * 50}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 100, "total_tokens": 108},
}
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "GZIP": packed,
    "gzip": packed,
    "x-gzip": packed,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


def served(headers: dict[str, str], body: bytes, status: int = 200) -> httpx2.MockTransport:
    """Be a server at a program's own address that answers with exactly this."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(body))

    return httpx2.MockTransport(answer)


def post(transport: httpx2.BaseTransport, **more: Any) -> httpx2.Response:
    with httpx2.Client(transport=transport) as client:
        return client.post("https://api.openai.com/v1/chat/completions", json={**ASKED, **more})


def test_a_request_that_is_written_anew_keeps_its_own_time_outs(home: House) -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append({"cap": json.loads(request.content).get("max_completion_tokens"), **request.extensions})
        return httpx2.Response(200, json=ANSWER)

    uncapped = {"model": "m", "messages": HELLO}
    url = "https://api.openai.com/v1/chat/completions"
    with bursar.budget("$1"), httpx2.Client(transport=httpx2.MockTransport(answer), timeout=60) as client:
        client.post(url, json=uncapped, timeout=3, extensions={"own": "kept"})
    (one,) = seen
    assert one["cap"] is not None, "a cap was written in"
    assert (one["timeout"]["read"], one["own"]) == (3, "kept")


@pytest.mark.parametrize("encoding", sorted(ENCODERS))
def test_an_encoded_answer_arrives_byte_for_byte_and_is_counted(home: House, encoding: str) -> None:
    raw = ENCODERS[encoding](json.dumps(ANSWER).encode())
    headers = {"content-type": "application/json", "content-encoding": encoding, "x-own": "kept", "set-cookie": "a=b"}
    bare = post(served(headers, raw))
    with bursar.budget("$1") as budget:
        metered = post(served(headers, raw))
        assert budget.report().rows[0].output_tokens == 100
    assert (metered.status_code, metered.headers.raw) == (bare.status_code, bare.headers.raw)
    assert metered.content == bare.content
    assert metered.content == raw or metered.json() == ANSWER, "some are left to whoever reads the answer"
    with bursar.budget("$1"), httpx2.Client(transport=served(headers, raw)) as client:
        request = client.build_request("POST", "https://api.openai.com/v1/chat/completions", json=ASKED)
        response = client.send(request, stream=True)
        assert b"".join(response.iter_raw()) == raw
        assert response.request is request, "it finds the request that it made"


def test_an_answer_in_an_encoding_that_nobody_reads_is_passed_on_and_charged_in_full(home: House) -> None:
    headers = {"content-type": "application/json", "content-encoding": "made-up"}
    with bursar.budget("$1") as budget:
        assert post(served(headers, b"whatever")).content == b"whatever"
        assert budget.spent > 0
    (hold,) = home.holds()
    assert hold.state is State.PRESUMED


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_an_answer_that_is_not_what_its_encoding_says_is_the_clients_own_error_and_charged_in_full(
    home: House, way: str, kind: str
) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    url = "https://api.openai.com/v1/chat/completions"

    async def main() -> None:
        async with httpx2.AsyncClient(transport=served(headers, b"no gzip")) as client:
            request = client.build_request("POST", url, json=ASKED)
            await (await client.send(request, stream=way == "stream")).aread()

    def ask() -> None:
        with httpx2.Client(transport=served(headers, b"no gzip")) as client:
            client.send(client.build_request("POST", url, json=ASKED), stream=way == "stream").read()

    def error() -> tuple[str, httpx2.URL, bytes]:
        with pytest.raises(httpx2.DecodingError) as caught:
            asyncio.run(main()) if kind == "asyncio" else ask()
        return str(caught.value), caught.value.request.url, caught.value.request.content

    bare = error()
    with bursar.budget("$1") as budget:
        assert error() == bare
        assert budget.spent > 0
    (hold,) = home.holds()
    assert hold.state is State.PRESUMED


def test_the_client_reads_its_own_answer_as_it_would_without_bursar(home: House) -> None:
    def ask() -> httpx2.Response:
        return post(served({"content-type": "application/json", "content-encoding": "gzip"}, body))

    body = packed(json.dumps(ANSWER).encode())
    bare = ask()
    with bursar.budget("$1"):
        metered = ask()
    for one, other in ((bare, metered), (metered, bare)):
        assert type(one.stream) is type(other.stream)
        assert (one.is_closed, one.is_stream_consumed) == (other.is_closed, other.is_stream_consumed)
        assert one.num_bytes_downloaded == other.num_bytes_downloaded == len(body)
        assert one.elapsed == getattr(one.stream, "elapsed", None)


def test_an_error_of_the_provider_arrives_as_it_is_and_costs_nothing(home: House) -> None:
    body = b'{"error": {"message": "no", "type": "invalid_request_error"}}'
    with bursar.budget("$1") as budget:
        response = post(served({"content-type": "application/json"}, body, 400))
        assert (response.status_code, response.content) == (400, body)
        assert budget.spent == 0
    (hold,) = home.holds()
    assert hold.state is State.RELEASED


def test_what_asks_no_model_api_passes_untouched(home: House) -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, text="fine")

    with bursar.budget("$0.01"), httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        requests = [
            client.build_request("GET", "https://api.openai.com/v1/models"),
            client.build_request("POST", "https://api.anthropic.com/v1/messages/count_tokens", json={"model": "m"}),
            client.build_request("POST", "https://example.com/v1/messages", json={"text": "to a friend"}),
            client.build_request("POST", "https://example.com/orders", json={"model": "shoe"}),
        ]
        for request in requests:
            assert client.send(request).text == "fine"
    assert [mine is sent for mine, sent in zip(requests, seen, strict=True)] == [True] * 4
    assert home.holds() == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/images/generations",
        "https://api.openai.com/v1/something/new",
        "https://elsewhere.example/v1/audio/speech",
        "https://us-east5-aiplatform.googleapis.com/v1/projects/p/publishers/anthropic/models/claude:rawPredict",
    ],
)
def test_what_is_billed_and_cannot_be_bounded_is_refused(home: House, url: str) -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("it was sent")

    with bursar.budget("$1"), httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        response = client.post(url, json={"model": "m", "prompt": "a cat"})
        assert response.status_code == 404
        assert "nothing bounds" in response.json()["error"]["message"]
    with httpx2.Client(transport=served({}, b"fine")) as client:
        assert client.post(url, json={}).text == "fine", "outside of a budget it is nobody's business"


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", packed(json.dumps(ASKED).encode())),
        ("GZIP", packed(json.dumps(ASKED).encode())),
        ("deflate", zlib.compress(json.dumps(ASKED).encode())),
        ("gzip", b"no gzip at all"),
        ("made-up", b"whatever"),
        ("gzip, gzip", packed(packed(json.dumps(ASKED).encode()))),
        ("gzip", packed(b" " * (BODY_BYTES_MAX + 1))),
        ("identity", json.dumps(ASKED).encode("utf-16")),
    ],
)
def test_what_may_ask_a_model_and_cannot_be_read_is_refused_wherever_it_goes(
    home: House, encoding: str, content: bytes
) -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("it was sent")

    url, headers = "https://elsewhere.example/v1/chat/completions", {"content-encoding": encoding}
    with bursar.budget("$1"), httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        assert client.post(url, content=content, headers=headers).status_code == 400
    assert home.holds() == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/upload", packed(json.dumps(ASKED).encode())),
        ("/upload", b"no gzip at all"),
        ("/v1/messages", packed(b'{"text": "to a friend"}')),
        ("/survey/responses", packed(b"name,answer\nada,yes\n")),
    ],
)
def test_what_a_program_compresses_for_somebody_else_passes(home: House, path: str, content: bytes) -> None:
    with bursar.budget("$0.01"), httpx2.Client(transport=served({}, b"fine")) as client:
        url = f"https://elsewhere.example{path}"
        assert client.post(url, content=content, headers={"content-encoding": "gzip"}).text == "fine"


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_refusal_can_be_read_in_every_way_that_a_stream_can(home: House, library: Any) -> None:
    async def later() -> tuple[bytes, bytes]:
        async with library.AsyncClient() as client, client.stream("POST", home.chat_url, json=ASKED) as response:
            raw = b"".join([piece async for piece in response.aiter_raw()])
            return raw, await response.aread()

    with bursar.budget("$0.01"):
        with library.Client() as client, client.stream("POST", home.chat_url, json=ASKED) as response:
            raw = b"".join(response.iter_raw())
            assert json.loads(raw)["error"]["code"] == "budget_exceeded"
            assert response.read() == response.content == b"".join(response.iter_bytes()) == raw
            assert response.is_closed and int(response.headers["content-length"]) == len(raw)
        read_later = asyncio.run(later())
        assert read_later[0] == read_later[1] and json.loads(read_later[0])["error"]["code"] == "budget_exceeded"
        assert library.post(home.chat_url, json=ASKED).json() == json.loads(raw)


def test_the_cap_is_written_into_the_request_and_its_length_is_right(home: House) -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=ANSWER)

    with bursar.budget("$0.30"), httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        headers = {"X-Own": "kept", "Authorization": "Bearer mine"}
        client.post(
            "https://api.openai.com/v1/chat/completions", json={"model": "m", "messages": HELLO}, headers=headers
        )
    (sent,) = seen
    body = json.loads(sent.content)
    assert 4096 <= body["max_completion_tokens"] <= 6000
    assert int(sent.headers["content-length"]) == len(sent.content)
    assert (sent.headers["x-own"], sent.headers["authorization"]) == ("kept", "Bearer mine")
    assert len(sent.headers.get_list("content-length")) == 1


class Broken(httpx2.SyncByteStream):
    """A body that breaks off after its first piece."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece

    def __iter__(self) -> Iterator[bytes]:
        yield self.piece
        raise httpx2.ReadTimeout("the body stayed away")


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_time_out_in_the_middle_is_the_clients_own_and_stays_charged(home: House, kind: str) -> None:
    chunk = b'data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, stream=Broken(chunk))

    with bursar.budget("$1") as budget:
        with pytest.raises(httpx2.ReadTimeout, match="stayed away") as caught:
            post(httpx2.MockTransport(answer), stream="event" in kind)
        assert caught.value.request.url.host == "api.openai.com"
        assert budget.spent > 0
    home.assert_sound()


def test_a_time_out_in_a_body_that_the_program_reads_itself_tells_of_its_request(home: House) -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "application/json"}, stream=Broken(b"{"))

    with bursar.budget("$1"), httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        request = client.build_request("POST", "https://api.openai.com/v1/chat/completions", json=ASKED)
        with pytest.raises(httpx2.ReadTimeout, match="stayed away") as caught:
            client.send(request, stream=True).read()
        assert caught.value.request is request


@pytest.mark.parametrize(
    ("failure", "state"), [(httpx2.ConnectError, State.RELEASED), (httpx2.ReadError, State.PRESUMED)]
)
def test_a_failure_before_the_answer_is_the_clients_own(home: House, failure: Any, state: State) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise failure("as it was", request=request)

    with bursar.budget("$1"), pytest.raises(failure, match="as it was"):
        post(httpx2.MockTransport(answer))
    (hold,) = home.holds()
    assert hold.state is state


def test_each_retry_of_an_sdk_is_a_call_of_its_own(tmp_path: Any) -> None:
    script = Script(output_tokens=100, fault="status", fault_status=500, fault_times=2)
    with house(tmp_path, script) as home, bursar.budget("$1") as budget:
        with openai.OpenAI(base_url=home.url, api_key="none") as client:
            assert client.chat.completions.create(**ASKED).usage is not None
        assert budget.calls == 1, "a refusal before any output costs nothing"
        assert [hold.state for hold in home.holds()] == [State.RELEASED, State.RELEASED, State.SETTLED]


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_streamed_answer_is_the_same_bytes(home: House, wants_usage: bool) -> None:
    home.provider.set("*", Script(output_tokens=50))
    more: dict[str, Any] = {"stream": True}
    if wants_usage:
        more["stream_options"] = {"include_usage": True}

    def ask() -> bytes:
        with httpx2.Client() as client, client.stream("POST", home.chat_url, json={**ASKED, **more}) as response:
            return b"".join(response.iter_raw())

    bare = ask()
    with bursar.budget("$1") as budget:
        metered = ask()
        assert budget.report().rows[0].output_tokens == 50
    assert texts(metered) == texts(bare)
    assert metered.count(b'"usage":{') == bare.count(b'"usage":{')
    assert metered.endswith(b"data: [DONE]\n\n")


def texts(body: bytes) -> list[Any]:
    """What a stream says, without names that differ from answer to answer, and usages that are not there yet."""
    events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]
    return [{**event, "id": "", "created": 0, "usage": event.get("usage")} for event in events]


def test_an_encoded_stream_is_read_and_counted(home: House) -> None:
    chunks: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": "hi"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 70, "total_tokens": 78}},
    ]
    named = [json.dumps({"id": "1", "object": "chat.completion.chunk", "model": "m", **chunk}) for chunk in chunks]
    events = "".join(f"data: {chunk}\n\n" for chunk in (*named, "[DONE]")).encode()
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    with bursar.budget("$1") as budget:
        response = post(served(headers, packed(events)), stream=True)
        assert response.content.startswith(b'data: {"id": "1"') and b'"usage"' not in response.content
        assert budget.report().rows[0].output_tokens == 70


def test_a_hook_of_the_client_may_read_the_answer_first(home: House) -> None:
    def read(response: httpx2.Response) -> None:
        response.read()

    for more in ({}, {"stream": True}):
        with bursar.budget("$1") as budget, httpx2.Client(event_hooks={"response": [read]}) as client:
            assert client.post(home.chat_url, json={**ASKED, **more}).status_code == 200
            assert budget.calls == 1
    home.assert_sound()


def test_a_transport_that_asks_by_another_client_is_one_call(home: House) -> None:
    class Through(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            with httpx2.Client() as other:
                return other.post(
                    str(request.url), content=request.read(), headers={"content-type": "application/json"}
                )

    with bursar.budget("$1") as budget:
        with httpx2.Client(transport=Through()) as client:
            client.post(home.chat_url, json=ASKED)
        assert budget.calls == 1


def test_a_loop_that_is_not_asyncios_is_metered_as_well(home: House) -> None:
    class Held(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, json=ANSWER)

    async def ask() -> int:
        client = httpx2.AsyncClient(transport=Held())
        response = await client.post("https://api.openai.com/v1/chat/completions", json=ASKED)
        return response.status_code

    with bursar.budget("$1", requests=1) as budget:
        work = ask()
        with pytest.raises(StopIteration) as ended:
            work.send(None)  # No event loop at all: nothing here may need one.
        assert ended.value.value == 200
        assert budget.calls == 1
        work = ask()
        with pytest.raises(StopIteration) as ended:
            work.send(None)
        assert ended.value.value == 402


def test_an_async_client_gets_the_same(home: House) -> None:
    async def main() -> None:
        async with httpx2.AsyncClient() as client:
            async with client.stream("POST", home.chat_url, json={**ASKED, "stream": True}) as response:
                assert b"".join([piece async for piece in response.aiter_raw()]).endswith(b"[DONE]\n\n")
            response = await client.post(home.chat_url, json=ASKED)
            assert response.json()["usage"]["completion_tokens"] == 5000

    with bursar.budget("$1") as budget:
        asyncio.run(main())
        assert budget.calls == 2
    home.assert_sound()


def test_what_a_hook_asks_a_model_itself_is_a_call_of_its_own(home: House) -> None:
    with bursar.budget("$1") as budget, httpx2.Client() as plain, httpx2.Client() as client:
        other = {**ASKED, "messages": [{"role": "user", "content": "what was that?"}]}
        client.event_hooks = {"response": [lambda _: plain.post(home.chat_url, json=other)]}
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert (budget.calls, home.requests) == (2, 2)
    home.assert_sound()


def test_what_a_client_sends_again_in_a_hook_of_its_own_is_a_second_call(home: House) -> None:
    with bursar.budget("$1") as budget, httpx2.Client() as client:

        def again(response: httpx2.Response) -> None:
            client.event_hooks = {}
            client.send(response.request)

        client.event_hooks = {"response": [again]}
        assert client.post(home.chat_url, json=ASKED).status_code == 200
        assert (budget.calls, home.requests) == (2, 2)
    home.assert_sound()


def test_a_task_that_was_begun_inside_a_call_makes_calls_of_its_own(home: House) -> None:
    async def ask() -> None:
        tasks = []

        async def hook(_: object) -> None:
            tasks.append(asyncio.create_task(plain.post(home.chat_url, json={**ASKED, "n": 1})))

        async with httpx2.AsyncClient() as plain, httpx2.AsyncClient(event_hooks={"response": [hook]}) as client:
            await client.post(home.chat_url, json=ASKED)
            await asyncio.gather(*tasks)

    with bursar.budget("$1") as budget:
        asyncio.run(ask())
        assert (budget.calls, home.requests) == (2, 2)
    home.assert_sound()
