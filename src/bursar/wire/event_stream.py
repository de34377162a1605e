"""AWS event-stream messages, read and written: the binary frames in which Bedrock streams.

Owns the frame: lengths, headers, payload and the two check sums. It must never change a byte that passes, believe a
message whose sums are wrong, nor keep more than one message.

A message is: length of all (4 bytes), length of the headers (4), check sum of these eight (4), headers, payload, check
sum of everything before it (4). Numbers are big-endian, sums are CRC-32.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping
from dataclasses import dataclass

from bursar.errors import TooLarge, UpstreamFailed
from bursar.wire.sse import EVENT_BYTES_MAX

__all__ = ["FrameSplitter", "Message", "frame", "read_frame"]

_PRELUDE = struct.Struct(">III")
_SUM = struct.Struct(">I")
_FRAME_LEAST = _PRELUDE.size + _SUM.size
_STRING, _BYTES = 7, 6
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Header values of a fixed size: booleans, integers of 1 to 8 bytes, a time stamp, a UUID."""
_NAME_MAX, _VALUE_MAX = 255, 32_767


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Only headers that are text are kept: nothing else says what a message is."""

    headers: Mapping[str, str]
    payload: bytes

    @property
    def kind(self) -> str:
        """What happened: the type of an event, or of an exception."""
        return self.headers.get(":exception-type") or self.headers.get(":event-type", "")

    @property
    def is_error(self) -> bool:
        """It ends the stream with an error."""
        return self.headers.get(":message-type", "event") != "event"


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Write a message whose headers are all text."""
    written = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", _FRAME_LEAST + len(written) + len(payload), len(written))
    head = lengths + _SUM.pack(crc32(lengths))
    return head + written + payload + _SUM.pack(crc32(payload, crc32(head + written)))


def _header(name: bytes, value: bytes) -> bytes:
    if not 1 <= len(name) <= _NAME_MAX or len(value) > _VALUE_MAX:
        raise ValueError("a header's name has 1 to 255 bytes, its value at most 32,767")
    return bytes((len(name),)) + name + bytes((_STRING,)) + len(value).to_bytes(2, "big") + value


def read_frame(data: bytes) -> Message:
    """Read one whole message. Raises UpstreamFailed where a sum or a length is wrong."""
    if len(data) < _FRAME_LEAST:
        raise _broken()
    total, headers_size, _ = _PRELUDE.unpack_from(data)
    (stated,) = _SUM.unpack_from(data, len(data) - _SUM.size)
    if total != len(data) or headers_size > total - _FRAME_LEAST or crc32(data[: -_SUM.size]) != stated:
        raise _broken()
    ends = _PRELUDE.size + headers_size
    return Message(_headers(data[_PRELUDE.size : ends]), data[ends : -_SUM.size])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            starts = at + 1 + data[at]
            name, kind, at = data[at + 1 : starts], data[starts], starts + 1
            if kind in _FIXED:
                at += _FIXED[kind]
                continue
            if kind not in (_STRING, _BYTES):
                raise _broken()
            size = int.from_bytes(data[at : at + 2], "big")
            value, at = data[at + 2 : at + 2 + size], at + 2 + size
            if kind == _STRING:
                found[name.decode()] = value.decode()
    except (IndexError, UnicodeDecodeError):
        raise _broken() from None
    if at != len(data):
        raise _broken()
    return found


class FrameSplitter:
    """Take bytes as they come and give back whole messages: joined, they are the input again."""

    __slots__ = ("_held", "_size_max")

    def __init__(self, *, size_max: int = EVENT_BYTES_MAX) -> None:
        self._held = b""
        self._size_max = size_max

    def feed(self, chunk: bytes) -> list[bytes]:
        """Give the messages that these bytes complete.

        Raises TooLarge when one states a size above its limit, UpstreamFailed when its lengths are damaged.
        """
        data = self._held + chunk if self._held else chunk
        messages = []
        at = 0
        while len(data) - at >= _PRELUDE.size:
            size = self._size(data, at)
            if len(data) - at < size:
                break
            messages.append(data[at : at + size])
            at += size
        self._held = data[at:]
        return messages

    def _size(self, data: bytes, at: int) -> int:
        total, headers_size, stated = _PRELUDE.unpack_from(data, at)
        if crc32(data[at : at + 8]) != stated or headers_size > total - _FRAME_LEAST:
            raise _broken()
        if total > self._size_max:
            raise TooLarge(f"the provider sent a message of more than {self._size_max:,} bytes")
        return int(total)

    def take_rest(self) -> bytes:
        """Give up the bytes of the message that never became whole."""
        rest, self._held = self._held, b""
        return rest


def _broken() -> UpstreamFailed:
    return UpstreamFailed("the provider sent a damaged message in its stream", is_sent=True)
