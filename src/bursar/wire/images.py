"""What images and files cost, by formula: base64 is never counted as text.

Owns the sizes in image headers, the page counts of PDFs and the providers' formulas. It must never fetch anything: what
stands behind a URL or an id takes the worst case of its kind, or is refused where its kind has none.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from bursar.errors import BadRequest

__all__ = ["Cost", "anthropic_image", "image_size", "openai_image", "pdf_cost"]

_HEADER_CHARS_MAX = 4 * 87_382
"""How much base64 is decoded to find an image's size: 256 KiB, since photos carry large previews before it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Input tokens of one image or file."""

    likely: int
    most: int


# --- sizes ---------------------------------------------------------------------------------------------------------


def image_size(base64_text: str) -> tuple[int, int] | None:
    """Read width and height from the header of a base64 PNG, JPEG, GIF or WebP; None when it cannot be seen."""
    data = _decode(base64_text[:_HEADER_CHARS_MAX])
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return _size(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return _size(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    return None


def _decode(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii", "ignore")[: len(text) // 4 * 4])
    except binascii.Error:
        return b""


def _size(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if width > 0 and height > 0 else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8 " and len(data) >= 30:
        width, height = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        return _size(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _size(int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
        elif marker in (0x01, *range(0xD0, 0xD8)):
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


# --- OpenAI --------------------------------------------------------------------------------------------------------

_TILES_MAX = 8
"""A picture scaled into 2048 x 2048 with a short side of 768 has at most eight 512-pixel tiles (2048 x 768)."""
_TILE_MODELS = (
    ("gpt-4o-mini", 2_833, 5_667),
    ("gpt-4o", 85, 170),
    ("chatgpt-4o", 85, 170),
    ("gpt-4.1-mini", 0, 0),
    ("gpt-4.1-nano", 0, 0),
    ("gpt-4.1", 85, 170),
    ("gpt-4.5", 85, 170),
    ("gpt-4-", 85, 170),
    ("o1", 85, 170),
    ("o3", 85, 170),
)
"""Models billed by tiles: prefix, base, each tile. The first match counts; zeros say that it is billed by patches."""
_PATCHES_MAX, _PATCH_PERCENT = 1_536, 246
"""Models billed by patches of 32 pixels: at most this many, times at most 2.46 tokens (gpt-4.1-nano)."""
_ORIGINAL_PATCHES_MAX, _ORIGINAL_PERCENT = 188 * 188, 120
"""Newer models look at the original: at most 6,000 pixels a side, times 1.2 tokens."""
_LOW_TOKENS_MOST = 630
_LIKELY_UNSEEN = 1_105
"""A photograph of unknown size, as gpt-4o bills one of 3008 x 2000."""


def openai_image(model: str, size: tuple[int, int] | None, detail: str) -> Cost:
    """Bound an image in a chat request; an unknown size takes the worst case of the model's formula."""
    name = model.rsplit("/", 1)[-1]
    base, tile = next(((base, tile) for prefix, base, tile in _TILE_MODELS if name.startswith(prefix)), (0, 0))
    if tile:
        if detail == "low":
            return Cost(base, base)
        most = base + tile * (_tiles(size) if size else _TILES_MAX)
        return Cost(most if size else min(most, base + 6 * tile), most)
    if detail == "low":
        return Cost(_LOW_TOKENS_MOST // 2, _LOW_TOKENS_MOST)
    patches = -(-size[0] // 32) * -(-size[1] // 32) if size else _ORIGINAL_PATCHES_MAX
    most = _percent(min(patches, _PATCHES_MAX), _PATCH_PERCENT)
    if detail != "high" and not name.startswith(("gpt-4.1-", "o4-mini", "gpt-5-")) and name != "gpt-5":
        most = max(most, _percent(min(patches, _ORIGINAL_PATCHES_MAX), _ORIGINAL_PERCENT))
    most = max(most, 85 + 170 * (_tiles(size) if size else _TILES_MAX))
    likely = _percent(min(patches, _PATCHES_MAX), _ORIGINAL_PERCENT) if size else _LIKELY_UNSEEN
    return Cost(min(likely, most), most)


def _tiles(size: tuple[int, int]) -> int:
    """Count 512-pixel tiles after scaling into 2048 x 2048 and then to a short side of 768."""
    width, height = size
    longest = max(width, height)
    if longest > 2048:
        width, height = max(1, width * 2048 // longest), max(1, height * 2048 // longest)
    shortest = min(width, height)
    if shortest > 768:
        width, height = -(-width * 768 // shortest), -(-height * 768 // shortest)
    return min(_TILES_MAX, -(-width // 512) * -(-height // 512))


def _percent(count: int, percent: int) -> int:
    return -(-count * percent // 100)


# --- Anthropic -----------------------------------------------------------------------------------------------------

_ANTHROPIC_MOST = 5_000
"""The newest models see up to 2,576 pixels a side: 4,784 tokens; older ones at most about 1,600."""
_ANTHROPIC_LIKELY_MOST = 1_600


def anthropic_image(size: tuple[int, int] | None) -> Cost:
    """Bound an image in a messages request: w x h / 750, or patches of 28 pixels, whichever is more."""
    if size is None:
        return Cost(_ANTHROPIC_LIKELY_MOST, _ANTHROPIC_MOST)
    width, height = size
    tokens = max(-(-width * height // 750), -(-width // 28) * -(-height // 28))
    return Cost(min(tokens, _ANTHROPIC_LIKELY_MOST), min(tokens, _ANTHROPIC_MOST))


# --- PDF -----------------------------------------------------------------------------------------------------------

_PAGE_TOKENS_LIKELY, _PAGE_TOKENS_MOST = 2_000, 3_000
"""A page is billed as its text (1,500 to 3,000 tokens are usual) and as an image."""
_PAGES_MAX = 600
"""No provider takes more pages in one request."""
_HIDDEN_PAGE_BYTES = 2_000
"""A page inside compressed objects cannot be counted; it has at least about this many bytes."""
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PAGE_COUNT = re.compile(rb"/(?:Count|N)\s+(\d{1,6})\b")


def pdf_cost(base64_text: str, *, param: str) -> Cost:
    """Bound a base64 PDF by its pages.

    Pages are the larger of the page objects and the page counts that the file shows. A file that keeps its objects
    compressed may show none, so it also counts a page for every 2,000 bytes. Never more than 600.
    """
    data = _decode(base64_text)
    if not data.lstrip()[:5] == b"%PDF-":
        raise BadRequest("the file is not a PDF in base64, so that its cost cannot be bounded", param=param)
    shown = max([len(_PAGE.findall(data)), *(int(count) for count in _PAGE_COUNT.findall(data)), 1])
    hidden = len(data) // _HIDDEN_PAGE_BYTES if b"/ObjStm" in data else 0
    return Cost(min(_PAGES_MAX, shown) * _PAGE_TOKENS_LIKELY, min(_PAGES_MAX, max(shown, hidden)) * _PAGE_TOKENS_MOST)
