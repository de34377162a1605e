"""Files in Gemini requests: bounded by formula and by the lengths in their headers, or refused."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest
from bursar.wire.anatomy import FRAME_BYTES
from bursar.wire.base import Request
from bursar.wire.gemini_generate import GeminiGenerate


def parse(model: str = "gemini-2.5-flash", /, **fields: Any) -> Request:
    return GeminiGenerate(model, is_stream=False).parse(json.dumps(fields).encode())


def refused(model: str = "gemini-2.5-flash", /, **fields: Any) -> str | None:
    with pytest.raises(BadRequest) as caught:
        parse(model, **fields)
    return caught.value.param


def parts(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "parts": list(parts)}]


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def file(mime_type: str, data: bytes, *, is_url_safe: bool = False, **more: Any) -> dict[str, Any]:
    encode = base64.urlsafe_b64encode if is_url_safe else base64.b64encode
    return {"inlineData": {"mimeType": mime_type, "data": encode(data).decode()}, **more}


def beyond(part: dict[str, Any], model: str = "gemini-2.5-flash", /, **fields: Any) -> tuple[int, int]:
    """Give the likely and the most tokens of one file."""
    request = parse(model, contents=parts(part), **fields)
    likely = (request.anatomy.user - FRAME_BYTES) // 4
    return likely, likely + request.images_tokens_most


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06\0\0\0" * 50


@pytest.mark.parametrize(
    ("size", "most"),
    [((5, 5), 1_120), ((384, 384), 1_120), ((960, 540), 1_548), ((3_008, 2_000), 12 * 258), ((9_000, 9_000), 16 * 258),
     ((90_000, 10), 1_120 + 1_976), ((3_072, 384), 24 * 258)],
)  # fmt: skip
def test_an_image_is_bounded_by_its_tiles_or_its_resolution(size: tuple[int, int], most: int) -> None:
    for is_url_safe in (False, True):
        assert beyond(file("image/png", png(*size), is_url_safe=is_url_safe)) == (258, most)


def test_an_image_of_unknown_size_takes_the_worst_case_and_an_asked_resolution_its_own() -> None:
    assert beyond(file("image/heic", b"?" * 40)) == (258, 24 * 258)
    assert beyond(file("image/png", png(5, 5)), "gemini-3-pro-preview") == (1_120, 1_120)
    asked = file("image/png", png(5, 5), mediaResolution={"level": "MEDIA_RESOLUTION_ULTRA_HIGH"})
    assert beyond(asked, "gemini-3-pro-preview") == (1_120, 2_304)
    assert beyond(file("image/png", png(5, 5), media_resolution={"num_tokens": 9_999})) == (258, 9_999)
    assert beyond(file("image/png", png(5, 5)), **config(mediaResolution="MEDIA_RESOLUTION_HIGH")) == (258, 2_304)


def wav(seconds: int, rate: int = 16_000, kind: int = 1) -> bytes:
    fmt = struct.pack("<HHIIHH", kind, 1, rate, rate * 2, 2, 16)
    head = b"WAVELIST\x03\0\0\0abc\0fmt " + struct.pack("<I", len(fmt)) + fmt + b"data"
    return b"RIFF\0\0\0\0" + head + struct.pack("<I", rate * 2 * seconds) + b"\0" * (rate * 2 * seconds)


def test_sound_is_bounded_by_its_length() -> None:
    assert beyond(file("audio/wav", wav(3))) == (5 * 32, 5 * 32)
    mp3 = b"\xff\xfb\x90\x00" + b"\0" * 31_996
    assert beyond(file("audio/mp3", mp3)) == (3 * 32, 33 * 32)
    tagged = b"ID3\x04\0\0\0\0\0\x05" + b"12345" + mp3
    assert beyond(file("audio/mpeg", tagged))[1] == 34 * 32
    for data in (b"OggS" + b"\0" * 99, b"fLaC", b"", wav(1, kind=17), b"RIFF\0\0\0\0WAVE", b"\xff\xf1\x50" * 9, b"ID3"):
        assert refused(contents=parts(file("audio/x", data))) == "contents[0].parts[0].inlineData"


def mp4(seconds: int, *, version: int = 0, more: bytes = b"") -> bytes:
    long = struct.pack(">QQIQ", 0, 0, 1_000, seconds * 1_000) if version else b""
    clock = bytes([version, 0, 0, 0]) + (long or struct.pack(">IIII", 0, 0, 1_000, seconds * 1_000)) + b"\0" * 40
    return b"\0\0\0\x18ftypisom" + b"\0" * 12 + b"\0\0\0\x6cmvhd" + clock + more


def test_film_is_bounded_by_its_length_and_its_frames() -> None:
    assert beyond(file("video/mp4", mp4(10))) == (3_320, 3_320)
    assert beyond(file("video/mp4", mp4(10, version=1))) == (3_320, 3_320)
    assert beyond(file("video/mp4", mp4(10)), "gemini-3-flash") == (1_120, 3_320)
    assert beyond(file("video/mp4", mp4(10), videoMetadata={"fps": 4.5}))[1] == 10 * (5 * 300 + 32)
    unknown = mp4(10).replace(struct.pack(">I", 10_000), b"\xff" * 4)
    for data in (b"\x1aE\xdf\xa3webm", mp4(0), mp4(10, more=b"moof"), unknown, b""):
        assert refused(contents=parts(file("video/mp4", data))) == "contents[0].parts[0].inlineData"
    for fps in (0, -1, 25, 1e300):
        assert refused(contents=parts(file("video/mp4", mp4(1), videoMetadata={"fps": fps}))) is not None
    assert refused(contents=parts(file("video/mp4", mp4(1), videoMetadata={"fps": "1"}))) is not None


def test_documents_are_bounded_by_pages_and_text_by_its_bytes() -> None:
    pdf = b"%PDF-1.4\n" + b"<</Type /Page>>" * 3
    assert beyond(file("application/pdf", pdf)) == (6_000, 9_000)
    assert beyond(file("application/pdf", pdf, is_url_safe=True)) == (6_000, 9_000)
    assert parse(contents=parts(file("text/csv; charset=utf-8", b"abc" * 10))).anatomy.user == 30 + FRAME_BYTES
    for kind in ("application/zip", "application/octet-stream", "", "font/woff", "application/pdf"):
        assert refused(contents=parts(file(kind, b"PK"))) == "contents[0].parts[0].inlineData"


def test_files_in_the_result_of_a_tool_are_measured_as_well() -> None:
    result = {"name": "f", "response": {}, "parts": [file("image/png", png(5, 5))]}
    request = parse(contents=parts({"functionResponse": result}))
    assert request.anatomy.user == FRAME_BYTES + 1 + 2 + 4 * 258
    assert request.images_tokens_most == 1_120 - 258


FILES = st.builds(
    lambda kind, data: {"mimeType": kind, "data": base64.b64encode(data).decode()},
    st.sampled_from(["image/png", "audio/wav", "audio/mp3", "video/mp4", "application/pdf", "text/plain"]),
    st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: mp4(3)[:40] + tail) | st.just(wav(0)),
)
NAMES = st.sampled_from(["mediaResolution", "numTokens", "videoMetadata", "fps", "mediaProcessing", "text"])
NUMBERS = st.none() | st.integers() | st.floats() | st.dictionaries(NAMES, st.integers() | st.floats(), max_size=2)


@given(FILES, st.dictionaries(NAMES, NUMBERS, max_size=3))
def test_hostile_files_are_bounded_or_refused(data: dict[str, Any], more: dict[str, Any]) -> None:
    try:
        request = parse(contents=parts({**more, "inlineData": data}))
    except BadRequest:
        return
    assert request.anatomy.total >= 0 and request.images_tokens_most >= 0
