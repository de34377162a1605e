"""Bodies are parsed strictly, and only BadRequest ever comes out of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest, TooLarge
from bursar.wire.strict_json import DEPTH_MAX, DIGITS_MAX, dump, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"model":"a","model":"b"}', "'model' appears twice"),
        (b'{"a":[{"b":{"c":1,"c":2}}]}', "'c' appears twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":Infinity}', "Infinity"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":1e400}', "1e400 is too large"),
        (b'{"a":-1e400}', "-1e400 is too large"),
        (b'{"a":' + b"1" * (DIGITS_MAX + 1) + b"}", "4,300 digits"),
        (b'{"a":0.' + b"1" * (DIGITS_MAX + 1) + b"}", "4,300 digits"),
        (b'{"a":"\xff"}', "not valid UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"a":"\\ud800"}', "lone surrogate"),
        (b'{"\\uDfff":1}', "lone surrogate"),
        (b'{"a":"\\ud800\\u0041"}', "lone surrogate"),
        (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", "deeper than 100"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "deeper than 100"),
        (b"[" * 100_000 + b"]" * 100_000, "deeper than 100"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deeper than 100"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        (b'{"a":1} {"b":2}', "not valid JSON"),
        (b'{"a":1,}', "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b'{"a":"\n"}', "not valid JSON"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words.replace("(", r"\(")):
        parse(raw, size_max=10_000_000)


def test_a_duplicate_key_is_named_as_the_parameter() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(b'{"messages":[],"model":"a","model":"b"}')
    assert caught.value.param == "model"


def test_a_body_over_its_limit_is_too_large() -> None:
    assert parse(b'{"a":1}', size_max=7) == {"a": 1}
    with pytest.raises(TooLarge) as caught:
        parse(b'{"a":10}', size_max=7)
    assert caught.value.status == 413


def test_the_deepest_allowed_body_passes_and_can_be_written_again() -> None:
    raw = b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX
    assert dump(parse(raw)) == raw


def test_surrogate_pairs_and_escapes_are_text() -> None:
    assert parse(b'{"a":"\\ud83d\\ude00 \\u0000"}') == {"a": "😀 \0"}


def test_writing_keeps_key_order_and_is_compact_utf8() -> None:
    assert dump({"z": 1, "a": ["é", 1.5, None, True]}) == '{"z":1,"a":["é",1.5,null,true]}'.encode()


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_was_parsed_is_what_is_written(value: dict[str, object]) -> None:
    raw = json.dumps(value).encode()
    parsed = parse(raw)
    assert parsed == value
    assert parse(dump(parsed)) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ue0123456789.-+tfnNI \ud800', max_size=120).map(_bytes))
def test_no_bytes_raise_anything_but_bad_request(raw: bytes) -> None:
    try:
        value = parse(raw)
    except BadRequest:
        return
    assert type(value) is dict
    dump(value)


@pytest.mark.parametrize("padding", [0, 5_000])
@pytest.mark.parametrize("wide", [0, 5_000])
@pytest.mark.parametrize("objects", [0, 200])
def test_the_depth_is_bounded_however_large_or_wide_a_body_is(padding: int, wide: int, objects: int) -> None:
    shallow = {"text": "[{" * padding, "wide": [1] * wide, "objects": [{"a": []}] * objects}
    for depth, is_refused in ((DEPTH_MAX - 1, False), (DEPTH_MAX, True)):
        deep: object = []
        for _ in range(depth - 1):
            deep = [deep]
        raw = json.dumps({**shallow, "deep": deep}).encode()
        if is_refused:
            with pytest.raises(BadRequest, match="deeper than 100"):
                parse(raw)
        else:
            parse(raw)
