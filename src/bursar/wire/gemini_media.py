"""What images, sound, film and documents inside a Gemini request cost, by formula.

Owns Gemini's formulas and the lengths in media headers. Base64 must never be counted as text, and what shows no length
is refused: nothing is fetched and nothing is guessed.
"""

from __future__ import annotations

import binascii
import math
from dataclasses import dataclass

from bursar.errors import BadRequest
from bursar.wire.images import Cost, image_size, pdf_cost

__all__ = ["MediaAsked", "is_text", "media_cost", "text_size"]

_TILE_TOKENS = 258
"""Gemini 2 bills an image by tiles; one that fits 384 x 384 is one tile."""
_TILE_WHOLE, _TILE_LEAST, _TILE_MOST, _SIDE_MOST = 384, 256, 768, 3_072
_TILES_MAX = 24
"""The most tiles of any shape within 3,072 x 3,072: 12 x 2."""
_IMAGE_TOKENS = 1_120
"""Gemini 3 bills an image by resolution, and this is what it takes unasked."""
_IMAGE_TOKENS_ASKED = 2_304
"""The most that an asked resolution makes of it: 2,240 (ultra high) there, 256 + 2,048 (pan and scan) on Gemini 2."""
_AUDIO_TOKENS_PER_S = 32
_AUDIO_S_MAX = 34_200
"""9.5 hours: no request takes more."""
_MP3_BYTES_PER_S_LEAST, _MP3_BYTES_PER_S_LIKELY = 1_000, 16_000
"""The lowest bit rate of the format, 8 kbit/s, and a usual one."""
_PCM_FORMATS = frozenset({1, 3, 0xFFFE})
_FRAME_TOKENS_MOST, _FRAME_TOKENS_LIKELY = 300, 80
"""A frame of film with its time stamp: 258 or 280 at most, 70 unasked on Gemini 3."""
_FRAMES_PER_S_MAX = 24
_CLOCKS_MAX = 256
"""How many clocks of a film are read; every track has one."""
_TEXT_TYPES = frozenset(
    {"application/json", "application/xml", "application/javascript", "application/x-javascript",
     "application/x-python", "application/x-python-code", "application/x-typescript", "application/yaml"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaAsked:
    """What a request says about how its media are read."""

    model: str
    has_resolution: bool = False
    """A resolution is asked for, here or for the whole request."""
    tokens_asked: int = 0
    """A number of tokens that is asked for outright."""
    frames_per_s: float = 1.0

    @property
    def is_second(self) -> bool:
        """Is this Gemini 2 or older, which bills by tiles?"""
        return self.model.rpartition("/")[2].startswith(("gemini-1", "gemini-2", "gemma"))


def is_text(mime_type: str) -> bool:
    """Say whether a file of this type is read as text."""
    return mime_type.startswith("text/") or mime_type in _TEXT_TYPES


def text_size(data: str) -> int:
    """Count the bytes that base64 text holds, at most."""
    return -(-len(data) * 3 // 4)


def media_cost(mime_type: str, data: str, asked: MediaAsked, where: str) -> Cost:
    """Bound one file. Raises BadRequest for a type or a file whose cost cannot be seen."""
    data = data.replace("-", "+").replace("_", "/")
    kind = mime_type.partition("/")[0]
    if kind == "image":
        return _image_cost(image_size(data), asked)
    if mime_type == "application/pdf":
        return pdf_cost(data, param=where)
    if kind == "audio":
        return _audio_cost(_decode(data), where)
    if kind == "video":
        return _video_cost(_decode(data), asked, where)
    raise BadRequest(f"a file of type {mime_type[:60]!r} has no known cost and cannot be bounded", param=where)


def _decode(data: str) -> bytes:
    try:
        return binascii.a2b_base64(data.encode("ascii", "ignore")[: len(data) // 4 * 4])
    except binascii.Error:
        return b""


# --- images --------------------------------------------------------------------------------------------------------


def _image_cost(size: tuple[int, int] | None, asked: MediaAsked) -> Cost:
    """Bound an image by both generations' formulas, since names do not tell them apart for ever."""
    tiles = _TILE_TOKENS * (_tiles(size) if size else _TILES_MAX)
    least = _IMAGE_TOKENS_ASKED if asked.has_resolution else _IMAGE_TOKENS
    most = max(tiles, least, asked.tokens_asked)
    return Cost(_TILE_TOKENS if asked.is_second else min(most, _IMAGE_TOKENS), most)


def _tiles(size: tuple[int, int]) -> int:
    """Count the tiles: squares of two thirds of the short side, between 256 and 768 pixels."""
    width, height = size
    if max(size) <= _TILE_WHOLE:
        return 1
    longest = max(size)
    if longest > _SIDE_MOST:
        width, height = -(-width * _SIDE_MOST // longest), -(-height * _SIDE_MOST // longest)
    side = max(_TILE_LEAST, min(_TILE_MOST, min(width, height) * 2 // 3))
    return min(_TILES_MAX, -(-width // side) * -(-height // side))


# --- sound ---------------------------------------------------------------------------------------------------------


def _audio_cost(data: bytes, where: str) -> Cost:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        rate = _wav_bytes_per_s(data)
        if rate:
            return _seconds_cost(-(-len(data) // rate), -(-len(data) // rate))
    elif _is_mp3(data):
        return _seconds_cost(-(-len(data) // _MP3_BYTES_PER_S_LIKELY), -(-len(data) // _MP3_BYTES_PER_S_LEAST))
    raise BadRequest("only the length of WAV (PCM) and MP3 sound can be bounded: send it as one of these", param=where)


def _seconds_cost(likely_s: int, most_s: int) -> Cost:
    return Cost(
        _AUDIO_TOKENS_PER_S * min(likely_s, _AUDIO_S_MAX) + _AUDIO_TOKENS_PER_S,
        _AUDIO_TOKENS_PER_S * min(most_s, _AUDIO_S_MAX) + _AUDIO_TOKENS_PER_S,
    )


def _wav_bytes_per_s(data: bytes) -> int:
    """Read how many bytes a second of plain samples has; 0 when it is packed or cannot be seen."""
    at = 12
    while at + 24 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"fmt ":
            kind, channels = _short(data, at + 8), _short(data, at + 10)
            rate, frame = int.from_bytes(data[at + 12 : at + 16], "little"), _short(data, at + 20)
            bits = _short(data, at + 22)
            return rate * min(frame, channels * -(-bits // 8)) if kind in _PCM_FORMATS else 0
        at += 8 + size + size % 2
    return 0


def _short(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _is_mp3(data: bytes) -> bool:
    """Look for the first frame of layer III, behind a tag if there is one."""
    at = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        size = data[6:10]
        at = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    frame = data[at : at + 2]
    return len(frame) == 2 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2


# --- film ----------------------------------------------------------------------------------------------------------


def _video_cost(data: bytes, asked: MediaAsked, where: str) -> Cost:
    """Bound an MP4 or QuickTime film by the longest of its clocks; what is streamed in fragments shows no length."""
    seconds = _film_s(data) if data[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"free") else 0
    if not seconds or b"moof" in data:
        raise BadRequest("only the length of an unfragmented MP4 or QuickTime film can be bounded", param=where)
    if not 0 < asked.frames_per_s <= _FRAMES_PER_S_MAX:
        raise BadRequest(f"`fps` must be above 0 and at most {_FRAMES_PER_S_MAX}", param=where)
    frames = math.ceil(asked.frames_per_s)
    most = seconds * (frames * max(_FRAME_TOKENS_MOST, asked.tokens_asked) + _AUDIO_TOKENS_PER_S)
    is_small = not asked.is_second and not asked.has_resolution
    likely = seconds * (frames * (_FRAME_TOKENS_LIKELY if is_small else _FRAME_TOKENS_MOST) + _AUDIO_TOKENS_PER_S)
    return Cost(min(likely, most), most)


def _film_s(data: bytes) -> int:
    longest = 0
    for name in (b"mvhd", b"mdhd"):
        at = data.find(name)
        for _ in range(_CLOCKS_MAX):
            if at < 0:
                break
            longest = max(longest, _clock_s(data[at + 4 : at + 36]))
            at = data.find(name, at + 4)
    return longest


def _clock_s(clock: bytes) -> int:
    """Read the whole seconds of a clock, begun ones included."""
    if len(clock) < 32 or clock[0] > 1:
        return 0
    start, size = (20, 8) if clock[0] else (12, 4)
    scale, length = clock[start : start + 4], clock[start + 4 : start + 4 + size]
    per_s, ticks = int.from_bytes(scale, "big"), int.from_bytes(length, "big")
    is_unknown = not per_s or ticks >= 2 ** (8 * size) - 1
    return 0 if is_unknown else -(-ticks // per_s)
