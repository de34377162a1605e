"""S15, S21 to S25: what a body says twice, wrongly or too boldly is refused; the cap that goes up is the cap held."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import DOLLAR, PATHS, House, body_of, house, usd

from bursar.wire.fields import CONTROL_FIELDS

WIRES = ["openai", "anthropic"]


def sent_up(home: House) -> Any:
    return json.loads(home.provider.requests()[-1]["body"])


def raw(wire: str, text: str) -> bytes:
    """A body with a piece of text put in as it is."""
    return body_of(wire, max_tokens=None)[:-1] + b", " + text.encode() + b"}"


@pytest.mark.parametrize("wire", sorted(PATHS))
def test_a_body_says_neither_where_a_call_goes_nor_who_pays(home: House, wire: str) -> None:
    for field in CONTROL_FIELDS:
        for value in ("http://127.0.0.1:9", {"a": "b"}, None):
            body = json.dumps({**json.loads(body_of(wire)), field: value}).encode()
            got = home.send("POST", PATHS[wire], body)
            assert got.status == 400
            assert field in got.message
    assert home.provider.invoice()["requests"] == 0


TWICE = [
    '"model": "other"',
    '"messages": []',
    '"max_tokens": 5, "max_tokens": 6',
    '"max_tokens": 5, "\\u006dax_tokens": 1000000',
    '"max_tokens": 5, "stream": true, "stream": false',
    '"max_tokens": 5, "metadata": {"a": "1", "a": "2"}',
    '"max_tokens": 5, "x": [{"y": {"z": 1, "z": 2}}]',
]
NO_NUMBER = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "1" + "0" * 4999 + ".0"]
NO_CAP = ["0", "-1", '"5"', "true", "false", "1.5", "5.0", "1e3", "[5]", "{}", str(2**31), str(2**63), str(10**30)]


@pytest.mark.parametrize("wire", WIRES)
def test_a_key_that_comes_twice_is_refused(home: House, wire: str) -> None:
    for text in TWICE:
        assert home.send("POST", PATHS[wire], raw(wire, text)).status == 400, text
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


@pytest.mark.parametrize("wire", WIRES)
def test_what_is_no_finite_number_is_refused(home: House, wire: str) -> None:
    for number in NO_NUMBER:
        for name in ("max_tokens", "temperature", "n"):
            cap = "" if name == "max_tokens" else '"max_tokens": 5, '
            got = home.send("POST", PATHS[wire], raw(wire, f'{cap}"{name}": {number}'))
            assert got.status == 400, (name, number[:20])
    assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("wire", WIRES)
def test_a_cap_that_is_no_count_is_refused(home: House, wire: str) -> None:
    names = ["max_tokens"] if wire == "anthropic" else ["max_tokens", "max_completion_tokens", "n", "best_of"]
    for name in names:
        for value in NO_CAP:
            got = home.send("POST", PATHS[wire], raw(wire, f'"{name}": {value}'))
            assert got.status == 400, (name, value[:20])
            assert name in got.message, (name, value[:20])
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


def test_two_caps_at_once_are_refused(home: House) -> None:
    got = home.ask(max_tokens=5, max_completion_tokens=500_000)
    assert got.status == 400
    assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("cap", [1, 5, 1000, 8192, 8193, 1_000_000_000, 2**31 - 1])
def test_the_cap_that_goes_up_is_covered_by_the_hold(home: House, wire: str, cap: int, is_stream: bool) -> None:
    assert home.ask(wire, max_tokens=cap, stream=is_stream or None).status == 200
    (row,) = home.holds()
    up = sent_up(home)["max_tokens"]
    assert up <= cap
    assert row.held.output_tokens == up == row.note.cap
    assert row.held.cost_nano <= DOLLAR


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("null", [False, True], ids=["absent", "null"])
def test_a_missing_cap_is_put_in_and_equals_the_one_held(home: House, is_stream: bool, null: bool) -> None:
    extra = '"stream": true' if is_stream else '"stream": false'
    body = raw("openai", extra + (', "max_tokens": null, "max_completion_tokens": null' if null else ""))
    assert home.send("POST", PATHS["openai"], body).status == 200
    (row,) = home.holds()
    assert sent_up(home)["max_completion_tokens"] == row.held.output_tokens == row.note.cap > 0


def test_a_stream_that_can_be_extended_gets_what_the_budget_has_left_as_its_cap(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], top_speed=300) as home:
        assert home.ask(stream=True).status == 200
        (row,) = home.holds()
        cap = sent_up(home)["max_completion_tokens"]
        assert row.held.output_tokens == 4096 < cap
        assert cap * 10_000 + row.held.input_tokens * 2_500 <= DOLLAR


@pytest.mark.parametrize("choices", [1, 3, 128])
def test_every_choice_is_held(home: House, choices: int) -> None:
    assert home.ask(n=choices, max_tokens=100).status == 200
    (row,) = home.holds()
    assert row.held.output_tokens == 100 * choices
    assert home.assert_sound().settled == home.invoice_nano()


UNPRICED: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"n": 129},
        {"best_of": 2},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "a", "format": "wav"}},
        {"web_search_options": {}},
        {"plugins": [{"id": "web"}]},
        {"models": ["other"]},
        {"service_tier": "unheard-of"},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "code_interpreter"}]},
        {"search_parameters": {"mode": "on"}},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}]},
    ],
    "anthropic": [
        {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"mcp_servers": [{"url": "http://x"}]},
        {"service_tier": "unheard-of"},
        {"inference_geo": "us"},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
    ],
}


@pytest.mark.parametrize("wire", WIRES)
def test_what_cannot_be_bounded_is_refused(home: House, wire: str) -> None:
    for fields in UNPRICED[wire]:
        got = home.ask(wire, **fields)
        assert got.status == 400, fields
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"5",
        b"{",
        b"{}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"model":"m"',
        b"{}{}",
        b"a=b",
    ],
)
def test_what_is_no_json_object_is_refused(home: House, wire: str, body: bytes) -> None:
    got = home.send("POST", PATHS[wire], body)
    assert got.status == 400
    assert got.json["error"]["message"]
    assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("model", ["", "a" * 257, "a\nb", "a\x00b", "\ud83d", 5, None, ["m"], {"a": 1}, True])
def test_a_model_that_is_no_name_is_refused(home: House, model: object) -> None:
    body = json.dumps({"model": model, "messages": []}).encode()
    assert home.send("POST", PATHS["openai"], body).status == 400


BOMB = b'{"model":"m","messages":[{"role":"user","content":"' + b"a" * 30_000_000 + b'"}]}'


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BOMB)),
        ("GZIP", gzip.compress(BOMB)),
        ("deflate", zlib.compress(BOMB)),
        ("br", b"\x8b\x02\x80abc\x03"),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\x00"),
        ("gzip, identity", gzip.compress(BOMB)),
        ("identity, gzip", gzip.compress(BOMB)),
        ("", gzip.compress(BOMB)),
    ],
)
def test_an_encoded_body_is_refused_unread(home: House, coding: str, body: bytes) -> None:
    got = home.send("POST", PATHS["openai"], body, {"content-encoding": coding})
    assert got.status == 400
    assert "encoded" in got.message
    assert home.provider.invoice()["requests"] == 0


def test_an_identity_body_is_an_ordinary_one(home: House) -> None:
    assert home.ask(headers={"content-encoding": "identity"}).status == 200


def test_a_compressed_body_without_its_header_is_no_json(home: House) -> None:
    assert home.send("POST", PATHS["openai"], gzip.compress(BOMB)).status == 400
