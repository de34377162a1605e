"""S54: the operator's secrets never come back to a client, however an answer is cut into pieces."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.upstream.test_http import PATIENT, Serve, head_of, serving, upstream

from bursar.core.provider import Provider
from bursar.upstream.mask import Mask

KEY = "sk-proj-4711-of-the-operator"
LONGER = KEY + "-and-more"


def masked(pieces: list[bytes], *secrets: str) -> bytes:
    mask = Mask(secrets)
    return b"".join(mask.feed(piece) for piece in pieces) + mask.rest()


@given(
    st.lists(st.sampled_from([KEY, LONGER, "s", "sk", "sk-proj-", KEY[:-1], "operator", " ", "\n\n", "é"]), max_size=8),
    st.lists(st.integers(0, 300), max_size=12),
)
def test_no_cut_shows_a_secret_and_nothing_else_changes(words: list[str], cuts: list[int]) -> None:
    text = "".join(words).encode()
    at = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    shown = masked([text[start:end] for start, end in pairwise(at)], LONGER, KEY)
    assert KEY.encode() not in shown
    if KEY.encode() not in text:
        assert shown == text


def test_the_longer_secret_is_masked_whole() -> None:
    assert masked([f"a {LONGER} b {KEY}.".encode()], LONGER, KEY) == b"a *** b ***."


def test_without_secrets_bytes_pass_as_they_are() -> None:
    piece = b"abc"
    assert Mask(()).feed(piece) is piece


def test_a_short_text_is_no_secret() -> None:
    assert Provider("p", "http://x", ("openai.chat",), api_key="k", secrets=("none",)).hidden == ()
    assert Provider("p", "http://x", ("openai.chat",), api_key=KEY, secrets=(LONGER,)).hidden == (LONGER, KEY)


def echoing(pieces: list[bytes]) -> Serve:
    """An error that repeats the request's key, in pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        length = sum(map(len, pieces))
        writer.write(b"HTTP/1.1 401 No\r\nx-echo: Bearer %s\r\ncontent-length: %d\r\n\r\n" % (KEY.encode(), length))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        await reader.read()

    return serve


@pytest.mark.parametrize("is_read_by_piece", [False, True], ids=["whole", "by piece"])
async def test_an_error_that_repeats_the_key_is_masked(is_read_by_piece: bool) -> None:
    half = len(KEY) // 2
    pieces = [b'{"error": "bad key ' + KEY[:half].encode(), KEY[half:].encode() + b'"}']
    async with serving(echoing(pieces)) as port, upstream() as made:
        asked = Provider("p", f"http://127.0.0.1:{port}", ("openai.chat",), api_key=KEY, deadlines=PATIENT)
        answer = await made.send(asked, "POST", "/x", {"authorization": f"Bearer {KEY}"}, b"{}")
        assert dict(answer.headers)["x-echo"] == "Bearer ***"
        if is_read_by_piece:
            told = b""
            while piece := await answer.read(10):
                told += piece
        else:
            told = await answer.body(1_000)
        answer.abort()
    assert told == b'{"error": "bad key ***"}'
