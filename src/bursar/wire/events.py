"""What every reader of a stream does alike: split events, look into each, pass its bytes on.

Owns the order of bytes. It must never change one; an event leaves only when it is whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from bursar.wire.sse import EventSplitter, event_data
from bursar.wire.strict_json import loads

__all__ = ["EventReader", "write_event"]


_OBFUSCATION = b'"obfuscation":"'


class EventReader(ABC):
    """Feed bytes, see events; a subclass says what they mean.

    Most events of a stream are the one before with other text in it. Such an event is not parsed again: when the bytes
    before and behind its text are the same, so is its meaning, and only the length of the text is counted.
    """

    _text_mark: ClassVar[bytes]
    """What stands before the text of an ordinary event, opening quote included."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self.is_error = False
        self._pieces = 0
        self._bytes = 0
        self._is_plain = False
        """The event just read did nothing but show text (set by a subclass, each time it reads)."""
        self._before: bytes | None = None
        self._behind = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes as they came; return those for the client."""
        passed = [event for event in self._splitter.feed(chunk) if self._see(event)]
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def rest(self) -> bytes:
        """Give what is held back at the end; an event that was only not closed still counts."""
        rest = self._splitter.take_rest()
        return rest if rest and self._see(rest) else b""

    def _see(self, event: bytes) -> bool:
        """Look into one event; False keeps it from the client."""
        start = event.find(self._text_mark)
        if start < 0:
            return self._parse(event)
        start += len(self._text_mark)
        end = event.find(b'"', start)
        if end < 0 or event.find(b"\\", start, end) >= 0:
            return self._parse(event)
        behind = _behind(event, end)
        if self._behind == behind and event[:start] == self._before:
            self._add_text(end - start)
            return True
        self._is_plain = False
        size = self._bytes
        is_passed = self._parse(event)
        is_alike = self._is_plain and is_passed and self._bytes - size == end - start
        self._before, self._behind = (event[:start], behind) if is_alike else (None, b"")
        return is_passed

    def _add_text(self, size_bytes: int) -> None:
        if size_bytes:
            self._pieces += 1
            self._bytes += size_bytes

    def _parse(self, event: bytes) -> bool:
        data = event_data(event)
        if not data:
            return True
        if data[:1] != b"{":
            self._mark(data)
            return True
        try:
            value = loads(data)
        except (ValueError, RecursionError):
            self._add_text(len(data))  # Whatever it showed was generated.
            return True
        try:
            return self._read(value)
        except RecursionError:  # It could just be parsed, and no further call can be made so deep.
            self._add_text(len(data))
            return True

    @abstractmethod
    def _read(self, value: dict[str, Any]) -> bool:
        """Take one event's object; False keeps the event from the client."""

    @abstractmethod
    def _mark(self, data: bytes) -> None:
        """Take data that is no object, such as `[DONE]`."""


def _behind(event: bytes, end: int) -> bytes:
    """Give what follows the text, without the padding that providers add against eavesdropping."""
    behind = event[end:]
    start = behind.find(_OBFUSCATION)
    if start >= 0:
        start += len(_OBFUSCATION)
        stop = behind.find(b'"', start)
        if behind.find(b"\\", start, stop) < 0:
            behind = behind[:start] + behind[stop:]
    return behind.replace(b" ", b"")


def write_event(value: bytes, name: str = "") -> bytes:
    """Write one event."""
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + value + b"\n\n"
