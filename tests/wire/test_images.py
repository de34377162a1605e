"""Images and files are bounded by formula, from their headers alone."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadRequest
from bursar.wire.images import Cost, anthropic_image, image_size, openai_image, pdf_cost


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06\0\0\0"


def jpeg(width: int, height: int, preview: int = 0) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", preview + 2) + b"\0" * preview if preview else b""
    return b"\xff\xd8" + exif + b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + b"\0" * 20


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0"


def webp(kind: bytes, width: int, height: int) -> bytes:
    if kind == b"VP8 ":
        return b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    if kind == b"VP8L":
        bits = (width - 1) | (height - 1) << 14
        return b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", bits)
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + sizes


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "data",
    [
        png(3008, 2000),
        jpeg(3008, 2000),
        jpeg(3008, 2000, preview=60_000),
        gif(3008, 2000),
        webp(b"VP8 ", 3008, 2000),
        webp(b"VP8L", 3008, 2000),
        webp(b"VP8X", 3008, 2000),
    ],
)
def test_the_size_is_read_from_the_header(data: bytes) -> None:
    assert image_size(b64(data)) == (3008, 2000)


@given(
    st.binary(max_size=80), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF....WEBPVP8X"])
)
def test_broken_headers_have_no_size_and_never_raise(data: bytes, start: bytes) -> None:
    size = image_size(b64(start + data))
    assert size is None or (size[0] > 0 and size[1] > 0)


@given(st.text(max_size=80))
def test_text_that_is_no_base64_has_no_size(text: str) -> None:
    image_size(text)
    with pytest.raises(BadRequest):
        pdf_cost(text, param="file")


def test_openai_tiles_match_the_measured_photograph() -> None:
    assert openai_image("gpt-4o-2024-08-06", (3008, 2000), "auto").most == 1_105
    assert openai_image("gpt-4o", (512, 512), "high").most == 255
    assert openai_image("gpt-4o", (3008, 2000), "low") == Cost(85, 85)
    assert openai_image("gpt-4o-mini", (512, 512), "low").most == 2_833
    assert openai_image("gpt-4o", None, "auto").most == 85 + 170 * 8


@pytest.mark.parametrize(
    ("size", "measured"),
    [((256, 256), 77), ((1024, 1024), 1_229), ((1920, 1080), 2_448), ((3840, 2160), 9_792), ((4032, 3024), 14_364)],
)
def test_models_that_see_the_original_stay_under_the_bound(size: tuple[int, int], measured: int) -> None:
    assert measured <= openai_image("gpt-6", size, "auto").most
    assert measured <= openai_image("gpt-6", None, "auto").most


@pytest.mark.parametrize(("size", "measured"), [((1920, 1080), 2_765), ((2560, 1440), 3_069), ((4032, 3024), 4_005)])
def test_messages_images_stay_under_the_bound(size: tuple[int, int], measured: int) -> None:
    assert measured <= anthropic_image(size).most <= anthropic_image(None).most


@given(
    st.none() | st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)), st.sampled_from(["low", "high", "auto", "?"])
)
def test_what_is_likely_is_never_above_the_most(size: tuple[int, int] | None, detail: str) -> None:
    for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1-nano", "gpt-5", "gpt-5.4", "qwen/qwen3-vl", "o3"):
        cost = openai_image(model, size, detail)
        assert 0 < cost.likely <= cost.most <= openai_image(model, None, detail).most
    cost = anthropic_image(size)
    assert 0 < cost.likely <= cost.most


def test_a_pdf_costs_by_its_pages() -> None:
    three = b"%PDF-1.4\n" + b"<< /Type /Page >>\n" * 3 + b"<< /Type /Pages /Count 3 >>"
    assert pdf_cost(b64(three), param="file") == Cost(6_000, 9_000)
    assert pdf_cost(b64(b"%PDF-1.7 /Linearized 1 /N 12 "), param="file").most == 36_000
    assert pdf_cost(b64(b"%PDF-1.7 /Count 999999 "), param="file").most == 600 * 3_000


def test_a_pdf_that_hides_its_pages_is_bounded_by_its_bytes() -> None:
    hidden = b"%PDF-1.7 /Type/ObjStm /ObjStm " + b"x" * 200_000
    cost = pdf_cost(b64(hidden), param="file")
    assert cost.likely == 2_000
    assert cost.most == 100 * 3_000
