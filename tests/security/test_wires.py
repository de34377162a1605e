"""S21 to S24 on the wires beside chat and messages: said twice, wrongly or too boldly; the cap sent is the cap held."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateway.house import DOLLAR, PATHS, House, body_of

WIRES = ["responses", "completions", "embeddings", "gemini"]
CAPS = {"responses": "max_output_tokens", "completions": "max_tokens", "gemini": "maxOutputTokens"}
COUNTS = {
    "responses": ("max_output_tokens",),
    "completions": ("max_tokens", "n", "best_of"),
    "gemini": ("maxOutputTokens", "candidateCount"),
}
NO_NUMBER = ("NaN", "Infinity", "-Infinity", "1e400", "9" * 5_000)
NO_COUNT = ("-1", '"5"', "true", "1.5", "5.0", "1e3", "[5]", "{}", str(2**31), str(2**63), str(10**30))


def raw(wire: str, text: str) -> bytes:
    """A body with a piece of text put in as it is."""
    return body_of(wire)[:-1] + b", " + text.encode() + b"}"


def counting(wire: str, name: str, value: str) -> bytes:
    """A body that says this of a count, where the API has it."""
    inner = f'"{name}": {value}'
    return raw(wire, f'"generationConfig": {{{inner}}}' if wire == "gemini" else inner)


def refuses(home: House, wire: str, body: bytes) -> str:
    got = home.send("POST", PATHS[wire], body)
    assert got.status == 400, body[:200]
    return got.message


def sent_up(home: House, wire: str) -> Any:
    body = json.loads(home.provider.requests()[-1]["body"])
    return body["generationConfig"]["maxOutputTokens"] if wire == "gemini" else body[CAPS[wire]]


def untouched(home: House) -> bool:
    return home.provider.invoice()["requests"] == 0 and home.holds() == []


@pytest.mark.parametrize("wire", WIRES)
def test_a_key_that_comes_twice_is_refused(home: House, wire: str) -> None:
    for name in json.loads(body_of(wire)):
        refuses(home, wire, raw(wire, f'"{name}": "other"'))
        refuses(home, wire, raw(wire, f'"\\u{ord(name[0]):04x}{name[1:]}": "other"'))
    refuses(home, wire, raw(wire, '"metadata": {"a": "1", "a": "2"}'))
    refuses(home, wire, raw(wire, '"x": [{"y": {"z": 1, "z": 2}}]'))
    assert untouched(home)


def test_a_name_that_comes_in_two_spellings_is_refused(home: House) -> None:
    """Google's API takes both; which of them counts is not ours to guess."""
    pair = '"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"maxOutputTokens": 5000}'
    refuses(home, "gemini", raw("gemini", pair))
    refuses(home, "gemini", raw("gemini", '"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 5000}'))
    assert untouched(home)


@pytest.mark.parametrize("wire", WIRES)
def test_what_is_no_finite_number_is_refused_wherever_it_stands(home: House, wire: str) -> None:
    for number in NO_NUMBER:
        for name in ("temperature", "x"):
            refuses(home, wire, raw(wire, f'"{name}": {number}'))
    assert untouched(home)


@pytest.mark.parametrize("wire", CAPS)
def test_a_count_that_is_none_is_refused_by_name(home: House, wire: str) -> None:
    for name in COUNTS[wire]:
        for value in (*NO_COUNT, *NO_NUMBER):
            message = refuses(home, wire, counting(wire, name, value))
            assert value in NO_NUMBER or name in message, (name, value)
    assert untouched(home)


@pytest.mark.parametrize("wire", CAPS)
def test_the_cap_that_goes_up_is_the_cap_held(home: House, wire: str) -> None:
    for cap in (16, 1_000, 8_192, 8_193, 1_000_000_000, 2**31 - 1):
        assert home.send("POST", PATHS[wire], counting(wire, CAPS[wire], str(cap))).status == 200
        row, up = home.holds()[-1], sent_up(home, wire)
        assert up <= cap
        assert row.held.output_tokens == up == row.note.cap
        assert row.held.cost_nano <= DOLLAR
    home.assert_sound()


@pytest.mark.parametrize("null", [False, True], ids=["absent", "null"])
@pytest.mark.parametrize("wire", CAPS)
def test_a_missing_cap_is_put_in_and_equals_the_one_held(home: House, wire: str, null: bool) -> None:
    body = counting(wire, CAPS[wire], "null") if null else body_of(wire)
    assert home.send("POST", PATHS[wire], body).status == 200
    (row,) = home.holds()
    assert sent_up(home, wire) == row.held.output_tokens == row.note.cap > 0


@pytest.mark.parametrize(
    ("wire", "fields", "choices"),
    [
        ("completions", {"n": 3, "max_tokens": 100}, 3),
        ("completions", {"n": 2, "best_of": 5, "max_tokens": 100}, 5),
        ("completions", {"prompt": ["a", "b"], "best_of": 2, "max_tokens": 100}, 4),
        ("gemini", {"generationConfig": {"candidateCount": 3, "maxOutputTokens": 100}}, 3),
    ],
)
def test_every_answer_is_held(home: House, wire: str, fields: dict[str, Any], choices: int) -> None:
    assert home.ask(wire, **fields).status == 200
    (row,) = home.holds()
    assert row.held.output_tokens == 100 * choices
    assert home.assert_sound().settled == home.invoice_nano()


UNPRICED: dict[str, list[dict[str, Any]]] = {
    "responses": [
        {"background": True},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"audio": {"voice": "a"}},
        {"models": ["other"]},
        {"plugins": [{"id": "web"}]},
        {"search_parameters": {"mode": "on"}},
        {"modalities": ["text", "audio"]},
        {"service_tier": "unheard-of"},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
        {"tools": [{"type": "mcp", "server_url": "http://127.0.0.1:1"}]},
        {"tools": [{"type": "image_generation"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}]},
    ],
    "completions": [{"n": 129}, {"best_of": 10_000}, {"prompt": ["x"] * 2_049}, {"service_tier": "priority"}],
    "embeddings": [
        {"input": ["x"] * 2_049},
        {"input": [{"image": "x"}]},
        {"stream": True},
        {"service_tier": "priority"},
    ],
    "gemini": [
        {"cachedContent": "cachedContents/c"},
        {"tools": [{"googleSearch": {}}]},
        {"tools": [{"google_search": {}}]},
        {"tools": [{"codeExecution": {}}]},
        {"tools": [{"urlContext": {}}]},
        {"serviceTier": "unheard-of"},
        {"model": "models/other"},
        {"generationConfig": {"responseModalities": ["AUDIO"]}},
        {"generationConfig": {"candidateCount": 9}},
        {"contents": [{"parts": [{"fileData": {"fileUri": "gs://x/y.bin", "mimeType": "video/mp4"}}]}]},
    ],
}


@pytest.mark.parametrize("wire", WIRES)
def test_what_cannot_be_bounded_is_refused(home: House, wire: str) -> None:
    for fields in UNPRICED[wire]:
        assert home.ask(wire, **fields).status == 400, fields
    assert untouched(home)


@pytest.mark.parametrize("wire", WIRES)
def test_what_is_no_json_object_is_refused(home: House, wire: str) -> None:
    for body in (
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
        b"{}{}",
        b"a=b",
    ):
        refuses(home, wire, body)
    assert untouched(home)


@pytest.mark.parametrize("wire", sorted(PATHS))
def test_an_encoded_body_is_refused_unread(home: House, wire: str) -> None:
    for coding in ("gzip", "br", "zstd", "deflate", "gzip, identity"):
        got = home.send("POST", PATHS[wire], b"\x1f\x8b" + b"\0" * 100, {"content-encoding": coding})
        assert got.status == 400 and "encoded" in got.message
    assert untouched(home)
