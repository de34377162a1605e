"""What is remembered of addresses, of heads and of what is around a call: bounded, and never of what has changed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest
from tests.client.house import ASKED, House

import bursar
from bursar.client import heads, places, scopes
from bursar.client.adapters import naming
from bursar.client.asked import Heads
from bursar.client.exchange import Exchange
from bursar.client.heads import headers_of, heads_of
from bursar.client.kit import kit_of
from bursar.client.places import known_place
from bursar.client.runtime import runtime
from bursar.client.scopes import UNATTRIBUTED, around


def request_to(url: str, method: str = "POST") -> httpx2.Request:
    return httpx2.Request(method, url, json=ASKED)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_an_address_is_remembered_for_the_engine_that_is_open_and_for_no_other(home: House) -> None:
    request = request_to(home.chat_url)
    with bursar.budget("$5"), httpx2.Client() as client:
        assert known_place(request, runtime.opened) is None
        client.post(home.chat_url, json=ASKED)
        place = known_place(request, runtime.opened)
        assert place is not None and place.engine is runtime.opened and place.base == home.url
        client.post(home.chat_url, json=ASKED)
        assert known_place(request, runtime.opened) is place
        assert known_place(request_to(home.chat_url, "GET"), runtime.opened) is None
        assert known_place(request_to(f"{home.chat_url}?a=b"), runtime.opened) is None
        assert known_place(request, None) is None
    bursar.close()
    assert not places._places, "nothing keeps an engine that is closed"
    with bursar.budget("$5"), httpx2.Client() as client:
        assert known_place(request, runtime.opened) is None
        client.post(home.chat_url, json=ASKED)
    assert len(home.holds()) == 3


def test_a_remembered_address_is_looked_at_again_with_other_providers(home: House) -> None:
    file = home.path / "bursar.yaml"
    with bursar.budget("$5"), httpx2.Client() as client:
        client.post(home.chat_url, json=ASKED)
    bursar.close()
    mine = f"providers:\n  mine: {{base_url: '{home.url}', wires: [openai.chat]}}\n"
    file.write_text(file.read_text() + mine)
    with bursar.budget("$5"), httpx2.Client() as client:
        client.post(home.chat_url, json=ASKED)
    assert [row.labels["provider"] for row in home.holds()] == ["openai", "mine"]


def test_only_so_many_addresses_are_remembered(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ADDRESSES_MAX", 3)
    with bursar.budget("$5"), httpx2.Client() as client:
        for number in range(8):
            client.post(f"{home.chat_url}?n={number}", json=ASKED)
            assert len(places._places) <= 3
    assert len(home.holds()) == 8


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_head_whose_lines_stand_elsewhere_is_read_as_well(library: Any) -> None:
    for pairs in ([("x-bursar-agent", "a"), ("accept", "b")], [("accept", "b"), ("x-bursar-agent", "c")]):
        request = library.Request("POST", "https://example.com", headers=pairs, content=b"{}")
        found, at = headers_of(request)
        assert found == {"x-bursar-agent": dict(pairs)["x-bursar-agent"]}
        assert at is not None and request.headers.raw[at][0].lower() == b"content-length"
        exchange = Exchange(kit_of(library), None, request, b"{}", {})
        exchange.headers, exchange.length_at = found, at
        sent = exchange.rewrite({}, b"{ }")
        assert sent.headers.raw[at] == (request.headers.raw[at][0], b"3") and request.headers["content-length"] == "2"
        sent.headers["accept"] = "other"
        assert request.headers["accept"] == "b", "the copy is one"


def test_headers_that_are_not_kept_as_httpx_keeps_them_are_read_by_their_bytes() -> None:
    class Other(httpx2.Headers):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.beside = 1

    for made in (Heads({"X-Bursar-Agent": "a", "content-length": "2"}), Other({"X-Bursar-Agent": "a"})):
        request: Any = httpx2.Request("POST", "https://example.com")
        request.headers = made
        assert headers_of(request) == ({"x-bursar-agent": "a"}, None)
    request = httpx2.Request("POST", "https://example.com", content=b"{}")
    request.headers = Other({"content-length": "2"})
    assert heads.resized(request.headers, 30, headers_of(request)[1]).raw == [(b"Content-Length", b"30")]


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([], ("", "")),
        ([("Content-Type", "a"), ("date", "b")], ("a", "")),
        ([("date", "b"), ("content-type", "a")], ("a", "")),
        ([("content-type", "a"), ("Content-Encoding", " GZIP ")], ("a", "gzip")),
        ([("content-type", "a"), ("content-type", "b"), ("content-encoding", "x"), ("content-encoding", "y")],
         ("a, b", "x, y")),
    ],
)  # fmt: skip
def test_of_an_answer_its_type_and_its_encoding_are_read(pairs: list[tuple[str, str]], told: tuple[str, str]) -> None:
    for _ in range(2):
        headers, encoding = heads_of(httpx2.Response(200, headers=pairs))
        assert (dict(headers)["content-type"], encoding) == told


def test_only_so_many_heads_are_remembered() -> None:
    for number in range(heads.HEADS_MAX + 50):
        headers_of(httpx2.Request("POST", "https://example.com", headers={f"x-{number}": "a"}))
        heads_of(httpx2.Response(200, headers={f"x-{number}": "a", "content-type": f"b{number}"}))
    for memory in (heads._asked, heads._answered, heads._typed):
        assert memory.cache_info().currsize <= heads.HEADS_MAX


# --- what is around a call --------------------------------------------------------------------------------------------


def test_what_is_around_a_call_is_worked_out_once_and_again_when_it_changes(home: House) -> None:
    with bursar.budget("$5", agent="a"):
        first = around()
        assert around() is first
        with bursar.budget("$1", task="t"):
            inner = around()
            assert inner is not first and len(inner.budgets) == 2 and inner.labels["task"] == "t"
        assert around().budgets == first.budgets
        with naming.step(agent="b"):
            assert around().labels["agent"] == "b"
        assert around().labels["agent"] == "a"
    assert around().scopes == ()


def test_a_thread_without_a_block_of_its_own_hears_of_each_that_opens_and_closes(home: House) -> None:
    with ThreadPoolExecutor(1) as pool:

        def elsewhere() -> Any:
            return pool.submit(around).result()

        assert elsewhere().scopes == ()
        with bursar.budget("$5", agent="a"):
            first = elsewhere()
            assert first.labels["agent"] == "a" and elsewhere() is first
            opened, over = threading.Event(), threading.Event()

            def beside() -> None:
                with bursar.budget("$1", agent="b"):
                    opened.set()
                    over.wait(10)

            thread = threading.Thread(target=beside)
            thread.start()
            opened.wait(10)
            assert elsewhere().labels["run"] == UNATTRIBUTED
            over.set()
            thread.join()
            assert elsewhere() == first
        assert elsewhere().scopes == ()


def test_the_labels_of_only_so_many_models_are_remembered(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "MODELS_MAX", 3)
    with bursar.budget("$5", agent="a"):
        here = around()
        for number in range(8):
            labels = here.labels_of("openai", f"m{number}", "openai.chat")
            assert labels["model"] == f"m{number}" and labels["agent"] == "a"
            assert here.labels_of("openai", f"m{number}", "openai.chat") is labels
            assert len(here._labelled) <= 3
