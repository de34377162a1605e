"""AWS's event-stream frames: botocore reads what is written here, every split gives the same, no damage passes."""

from __future__ import annotations

import struct
from binascii import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import TooLarge, UpstreamFailed
from bursar.wire.event_stream import FrameSplitter, Message, frame, read_frame

eventstream = pytest.importorskip("botocore.eventstream")

HEADERS = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
TEXTS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=4)


@given(TEXTS, st.binary(max_size=300))
def test_botocore_reads_every_message_that_is_written(headers: dict[str, str], payload: bytes) -> None:
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(frame(headers, payload))
    (message,) = list(buffer)
    assert (message.headers, message.payload) == (headers, payload)
    assert read_frame(frame(headers, payload)) == Message(headers, payload)


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 40))
def test_messages_pass_whole_however_the_bytes_are_split(payloads: list[bytes], step: int) -> None:
    frames = [frame(HEADERS, payload) for payload in payloads]
    raw, splitter = b"".join(frames), FrameSplitter()
    assert [each for at in range(0, len(raw), step) for each in splitter.feed(raw[at : at + step])] == frames
    assert splitter.take_rest() == b""


@given(st.data())
def test_a_damaged_byte_is_always_found(data: st.DataObject) -> None:
    raw = bytearray(frame(HEADERS, b'{"a":1}'))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((UpstreamFailed, TooLarge)):  # noqa: PT012 - either step may find it
        for each in FrameSplitter().feed(bytes(raw)):
            read_frame(each)


def test_every_kind_of_header_is_passed_over() -> None:
    kinds = [(0, b""), (1, b""), (2, b"a"), (3, b"ab"), (4, b"abcd"), (5, b"abcdefgh"), (8, b"abcdefgh"),
             (9, b"0123456789abcdef"), (6, b"\0\2xy"), (7, b"\0\2hi")]  # fmt: skip
    headers = b"".join(b"\1" + bytes((97 + kind, kind)) + value for kind, value in kinds)
    assert read_frame(_raw(headers, b"p")) == Message({"h": "hi"}, b"p")


@pytest.mark.parametrize("headers", [b"\1a\7\0\5hi", b"\1a\x0b", b"\5a", b"\1a\7\0\1\xff", b"\1a\5abc"])
def test_headers_that_do_not_add_up_are_damage(headers: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        read_frame(_raw(headers, b""))


def test_a_message_above_its_limit_is_refused_before_it_is_kept() -> None:
    with pytest.raises(TooLarge):
        FrameSplitter(size_max=100).feed(frame(HEADERS, b"x" * 200)[:12])


def test_half_a_message_is_given_back() -> None:
    whole, splitter = frame(HEADERS, b"x"), FrameSplitter()
    assert splitter.feed(whole + whole[:30]) == [whole]
    assert splitter.take_rest() == whole[:30]


def _raw(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return body + struct.pack(">I", crc32(body))
