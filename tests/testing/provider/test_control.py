"""The control API and the routes: what arrived is known, and no path answers that should not."""

from __future__ import annotations

import asyncio
import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.testing.provider.plain import HELLO, Plain

from bursar.testing import Rates, Script, ScriptedProvider
from bursar.testing.provider import state


def test_a_model_without_a_script_gives_the_same_short_answer_each_time(
    provider: ScriptedProvider, plain: Plain
) -> None:
    first, second = (plain.generate("openai", model="unheard-of").json for _ in range(2))
    assert first["choices"] == second["choices"]
    assert first["id"] != second["id"]
    assert first["usage"]["completion_tokens"] == 40


def test_the_star_is_the_script_of_every_other_model(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("*", Script(output_tokens=3))
    provider.set("a/b", Script(output_tokens=5))
    lengths = [plain.generate("openai", model=model).json["usage"]["completion_tokens"] for model in ("x", "a/b")]
    assert lengths == [3, 5]


def test_every_call_is_billed_at_its_own_scripts_rates(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("dear", Script(input_tokens=7, output_tokens=11, rates=Rates(input=3_000, output=50_000_001)))
    provider.set("free", Script(rates=Rates(input=0, output=0)))
    plain.generate("openai", model="dear")
    plain.generate("anthropic", model="free")
    report = provider.invoice()
    assert [line["cost_nano"] for line in report["calls"]] == [21 + 550_001, 0]
    assert report["total_nano"] == 550_022


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("GET", "/v1/responses"),
        ("POST", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/other"),
        ("POST", "/v1/audio/speech"),
        ("POST", "/chat/completions"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/"),
    ],
)
def test_every_other_path_is_not_found_in_the_wires_shape_and_still_counted(
    provider: ScriptedProvider, plain: Plain, method: str, path: str
) -> None:
    got = plain.send(method, path, b"{}")
    assert got.status == 404
    assert got.json["error"]["type"] == ("not_found_error" if "messages" in path else "invalid_request_error")
    report = provider.invoice()
    assert (report["requests"], report["calls"]) == (1, [])
    assert [(each["method"], each["path"]) for each in provider.requests()] == [(method, path)]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/responses",
        "/v1/responses/input_tokens",
        "/v1/embeddings",
        "/v1/completions",
        "/v1beta/models/m:generateContent",
        "/v1beta/models/m:countTokens",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    provider: ScriptedProvider, plain: Plain, path: str, body: bytes
) -> None:
    assert plain.send("POST", path, body).status == 400
    assert provider.invoice()["total_nano"] == 0


def test_requests_are_shown_as_received(provider: ScriptedProvider, plain: Plain) -> None:
    body = b'{"model":  "m", "messages": [{"role":"user","content":"\xc3\xa9"}]}'
    plain.send("POST", "/v1/chat/completions", body, {"Authorization": "Bearer secret", "X-Custom": "1"})
    (record,) = provider.requests()
    assert record["body"].encode() == body
    assert record["size_bytes"] == len(body)
    assert ["authorization", "Bearer secret"] in record["headers"]
    assert ["x-custom", "1"] in record["headers"]


def test_the_list_of_requests_is_bounded_and_the_count_is_not(provider: ScriptedProvider, plain: Plain) -> None:
    for number in range(510):
        plain.send("GET", f"/v1/nothing-{number}")
    kept = [record["path"] for record in provider.requests()]
    assert kept == [f"/v1/nothing-{number}" for number in range(10, 510)]
    assert provider.invoice()["requests"] == 510


def test_the_list_of_requests_is_bounded_in_bytes(
    provider: ScriptedProvider, plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "REQUEST_BODY_BYTES_MAX", 100)
    monkeypatch.setattr(state, "REQUEST_LOG_BYTES_MAX", 250)
    for size in (10, 200, 200, 50):
        plain.send("POST", "/v1/nothing", b"x" * size)
    assert [(len(record["body"]), record["size_bytes"]) for record in provider.requests()] == [
        (100, 200),
        (100, 200),
        (50, 50),
    ]


def test_the_invoice_keeps_custom_headers_and_never_a_key(provider: ScriptedProvider, plain: Plain) -> None:
    headers = {"X-Api-Key": "secret", "Authorization": "Bearer secret", "X-Stainless-OS": "l", "X-Bursar-Run": "r1"}
    plain.generate("anthropic", headers)
    assert provider.invoice()["calls"][0]["request_headers"] == {"x-bursar-run": "r1"}


def test_a_new_period_starts_from_nothing(provider: ScriptedProvider, plain: Plain) -> None:
    plain.generate("openai")
    closed = provider.new_period()
    assert (closed["billed"], len(closed["calls"])) == (1, 1)
    assert provider.invoice() == {
        "total_nano": 0, "requests": 0, "ended": 0, "billed": 0, "calls": [], "open": []
    }  # fmt: skip
    assert provider.requests() == []


def test_the_invoice_shows_as_many_calls_as_asked(provider: ScriptedProvider, plain: Plain) -> None:
    ids = [plain.generate("openai").json["id"] for _ in range(3)]
    assert [line["id"] for line in provider.invoice(calls=2)["calls"]] == ids[1:]
    report = provider.invoice(calls=0)
    assert (report["calls"], report["billed"]) == ([], 3)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/_scripts/m", b'{"output_tokens": -1}', 400),
        ("PUT", "/_scripts/m", b"[]", 400),
        ("PUT", "/_scripts/m", b"{", 400),
        ("PUT", "/_scripts/", b"{}", 404),
        ("GET", "/_scripts/m", b"", 404),
        ("POST", "/_invoice", b"", 404),
        ("GET", "/_wait", b"", 400),
        ("GET", "/_wait?billed=x", b"", 400),
        ("GET", "/_invoice?calls=x", b"", 400),
    ],
)
def test_a_control_request_that_is_wrong_is_refused_and_changes_nothing(
    provider: ScriptedProvider, plain: Plain, method: str, path: str, body: bytes, status: int
) -> None:
    got = plain.send(method, path, body)
    assert got.status == status
    assert got.json["error"]
    assert plain.generate("openai").json["usage"]["completion_tokens"] == 40
    assert provider.invoice()["requests"] == 1


def test_waiting_ends_when_the_count_is_reached(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(fault="status", fault_times=1))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(provider.wait, requests=2, ended=2, billed=1)
        plain.generate("openai")
        assert not waiting.done()
        plain.generate("openai")
        assert waiting.result(10) == {"billed": 1, "ended": 2, "requests": 2, "open": 0}


def test_waiting_for_no_open_call_ends_when_the_last_one_has(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(first_byte_s=3_600))
    with plain.ask("openai"):
        provider.wait(open_calls=1)
        with pytest.raises(TimeoutError):
            provider.wait(open_calls=0, timeout_s=0.01)
    assert provider.wait(open_calls=0)["ended"] == 1


def test_waiting_in_vain_raises_in_bounded_time(provider: ScriptedProvider) -> None:
    with pytest.raises(TimeoutError):
        provider.wait(billed=1, timeout_s=0.01)


async def test_waiting_in_a_coroutine_leaves_the_loop_free(provider: ScriptedProvider, plain: Plain) -> None:
    waiting = asyncio.create_task(provider.wait_async(billed=1))
    await asyncio.to_thread(plain.generate, "openai")
    assert (await waiting)["billed"] == 1


def test_a_body_beyond_all_measure_is_refused(provider: ScriptedProvider, plain: Plain) -> None:
    with plain.open("POST", "/v1/messages", b"", {"content-length": str(10**9)}) as connection:
        part = b"x" * (1024 * 1024)
        for _ in range(66):
            connection.send(part)
        response = connection.getresponse()
        assert response.status == 413
        assert json.loads(response.read())["error"]["type"] == "request_too_large"


def test_a_provider_in_this_process_answers_as_soon_as_it_is_made_and_frees_its_port() -> None:
    with ScriptedProvider({"m": Script(output_tokens=2)}) as first:
        assert first.health()
        answer = Plain(first.url).generate("openai", messages=HELLO)
        assert answer.json["usage"]["completion_tokens"] == 2
        port = int(first.url.rpartition(":")[2])
    with ScriptedProvider(port=port) as second:
        assert second.url == first.url
        assert second.invoice()["requests"] == 0


def test_stopping_cuts_what_is_still_running(provider: ScriptedProvider, plain: Plain) -> None:
    provider.set("m", Script(tokens_per_s=0.001))
    with plain.ask("openai", stream=True) as connection, connection.getresponse() as response:
        assert response.readline()
        provider.stop()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()
