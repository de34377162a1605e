"""Events come out whole, in order and byte for byte, however the bytes were split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import TooLarge
from bursar.wire.sse import EVENT_BYTES_MAX, EventSplitter, event_data

LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b": note", b"event: x", b"id: 1", b"retry: 5", b"data: \xc3\xa9"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Events whose lines end in one way each, and the bytes of all of them."""
    end = draw(ENDS)
    drawn = draw(st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=6))
    events = [b"".join(line + end for line in lines) + end for lines in drawn]
    return b"".join(events), events


@given(streams(), st.lists(st.integers(1, 9), max_size=200))
def test_any_split_gives_the_same_events(stream: tuple[bytes, list[bytes]], sizes: list[int]) -> None:
    raw, events = stream
    splitter = EventSplitter()
    got, at = [], 0
    for size in sizes:
        got += splitter.feed(raw[at : at + size])
        at += size
    got += splitter.feed(raw[at:])
    assert b"".join(got) + splitter.take_rest() == raw
    assert [event_data(event) for event in got if event_data(event)] == [
        event_data(event) for event in events if event_data(event)
    ]


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"\r", b"\n\n", b"\r\n\r\n"]), max_size=40))
def test_arbitrary_bytes_are_never_changed(chunks: list[bytes]) -> None:
    splitter = EventSplitter()
    passed = b"".join(event for chunk in chunks for event in splitter.feed(chunk))
    assert passed + splitter.take_rest() == b"".join(chunks)


def test_a_return_and_newline_split_in_two_is_one_line_end() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r") == []
    assert splitter.feed(b"\ndata: b\r") == []
    assert splitter.feed(b"\n\r") == []
    assert splitter.feed(b"\ndata: c\r\n\r\n") == [b"data: a\r\ndata: b\r\n\r\n", b"data: c\r\n\r\n"]


@given(st.lists(st.sampled_from([b"data: a", b"x", b"\n", b"\r"]), max_size=30).map(b"".join), st.data())
def test_line_ends_that_are_mixed_are_cut_alike_in_any_split(raw: bytes, data: st.DataObject) -> None:
    """What comes in one piece, in single bytes, or in any others is the same events and the same rest."""

    def events(pieces: list[bytes]) -> list[bytes]:
        splitter = EventSplitter()
        return [event for piece in pieces for event in splitter.feed(piece)] + [splitter.take_rest()]

    at = data.draw(st.integers(0, len(raw)))
    single = [raw[at : at + 1] for at in range(len(raw))]
    assert events([raw]) == events(single) == events([raw[:at], raw[at:]])


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"event: x\ndata: a\n\n", b"a"),
        (b"\ndata: a\n\n", b"a"),
        (b"data: a\r\n\r\n", b"a"),
        (b"data: a\r\r", b"a"),
        (b"data: a\rb\n\n", b"a"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b": OPENROUTER PROCESSING\n\n", b""),
        (b"event: ping\n\n", b""),
        (b"database: x\n\n", b""),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
        (b"data: a", b"a"),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert event_data(event) == data


@pytest.mark.parametrize("size", [1 << 16, 1 << 20])
def test_a_line_without_end_is_too_large_at_its_limit(size: int) -> None:
    splitter = EventSplitter()
    for _ in range(EVENT_BYTES_MAX // size):
        splitter.feed(b"x" * size)
    with pytest.raises(TooLarge):
        splitter.feed(b"x")


def test_a_whole_event_over_its_limit_is_too_large() -> None:
    with pytest.raises(TooLarge):
        EventSplitter(size_max=10).feed(b"data: 123456\n\n")
    assert EventSplitter(size_max=14).feed(b"data: 123456\n\n") == [b"data: 123456\n\n"]


def test_a_large_event_in_single_bytes_stays_cheap() -> None:
    splitter = EventSplitter()
    raw = b"data: " + b"x" * 200_000 + b"\n\n"
    events = [event for at in range(len(raw)) for event in splitter.feed(raw[at : at + 1])]
    assert events == [raw]
