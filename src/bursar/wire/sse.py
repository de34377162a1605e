"""Server-sent events, cut at blank lines wherever the bytes happen to be split.

Owns where an event ends and which bytes are its data. It must never change a byte, and never keep more than one event.
"""

from __future__ import annotations

import re

from bursar.errors import TooLarge

__all__ = ["EVENT_BYTES_MAX", "EventSplitter", "event_data"]

EVENT_BYTES_MAX = 4 * 1024 * 1024
"""The largest single event."""

_BLANK_LINE = re.compile(rb"\n(?:\n|\r\n|\r(?=[^\n]))|\r\r")
"""A return behind a line feed waits until it is known what follows; a line feed behind two is the next event's.

So what ends where never depends on where a piece ends.
"""
_OVERLAP = 2
"""What is looked for is at most three bytes long: a search starts this many bytes before what is new."""

_RETURN = ord("\r")


class EventSplitter:
    """Take bytes as they come and give back whole events, blank line included: joined, they are the input again."""

    __slots__ = ("_has_return", "_held", "_size_max")

    def __init__(self, *, size_max: int = EVENT_BYTES_MAX) -> None:
        self._held = bytearray()
        self._has_return = False
        self._size_max = size_max

    def feed(self, chunk: bytes) -> list[bytes]:
        """Give the events that these bytes complete. Raises TooLarge when one passes its limit."""
        if not self._has_return and b"\r" in chunk:
            self._has_return = True
        held = len(self._held)
        if held:
            self._held += chunk
            end = self._blank_line(self._held, max(0, held - _OVERLAP))
            if end < 0:
                return self._checked([])
            chunk = bytes(self._held)
            self._held.clear()
        else:
            end = self._blank_line(chunk, 0)
        events = []
        start = 0
        while end >= 0:
            events.append(chunk[start:end])
            start = end
            end = self._blank_line(chunk, start)
        self._held += chunk[start:] if start else chunk
        return self._checked(events)

    def take_rest(self) -> bytes:
        """Give up the bytes of the event that was never closed."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _blank_line(self, data: bytes | bytearray, start: int) -> int:
        """Say where the first blank line ends, or -1."""
        if not self._has_return:
            found = data.find(b"\n\n", start)
            return found + 2 if found >= 0 else -1
        match = _BLANK_LINE.search(data, start)
        return match.end() if match is not None else -1

    def _checked(self, events: list[bytes]) -> list[bytes]:
        if len(self._held) > self._size_max or max(map(len, events), default=0) > self._size_max:
            raise TooLarge(f"the provider sent an event of more than {self._size_max:,} bytes")
        return events


def event_data(event: bytes) -> bytes:
    """Give the data of one event: its `data` lines joined by newlines; empty for comments and pings without data."""
    if (
        event.startswith(b"data: ")
        and event.endswith(b"\n\n")
        and event.find(b"\n", 6) == len(event) - 2
        and _RETURN not in event
    ):
        return event[6:-2]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in event.removeprefix(b"\xef\xbb\xbf").splitlines()
        if line.startswith(b"data:")
    ]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)
