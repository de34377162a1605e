"""Streams of server-sent events through the reader of every API, mutated, split anywhere, cut off, or plain garbage."""

from __future__ import annotations

import json
from random import Random

from tests.security.fuzzed.mutate import broken_bytes, mutated, written
from tests.security.fuzzed.provided import EVENTS
from tests.security.fuzzed.samples import BODIES

from bursar.core.usage import Usage
from bursar.errors import TooLarge
from bursar.wire.base import Answer, Refusal, Request, StreamReader, Wire
from bursar.wiring.wires import Named, Wires

__all__ = ["check_stream"]

_WIRES = Wires(2**20)
_ENDS = (b"\n", b"\n", b"\n", b"\r\n", b"\r")
_GARBAGE = (
    b"data: [DONE]\n\n",
    b": comment\n\n",
    b"\n\n\n",
    b"data:\n\n",
    b"event: x\n\n",
    b"retry: 5\r\n\r\n",
    b"data: {\n\n",
    b"\x00\xff\n\n",
    b"data: [1,2]\n\n",
    b'data: "x"\n\n',
    b"data: 5\n\n",
    b"data: {}\n\ndata: null\n\n",
    b"data: {\ndata: }\n\n",
    b"<html>\n\n",
    b'{"error":{"message":"x"}}\n\n',
    b"data: " + b"[" * 3_000 + b"\n\n",
)
BOM = b"\xef\xbb\xbf"
"""It may stand before the first event."""
USAGE = Usage(input_tokens=5, output_tokens=7)
REFUSAL = Refusal(502, "upstream_failed", "broken é")


def _known() -> dict[str, tuple[tuple[Wire, Request], ...]]:
    """A wire and a request for each API; where clients may leave usage out, one of each."""
    gemini = _WIRES.naming(Named("m", "v1beta", is_stream=True, is_sse=True))
    wires = {
        "openai": _WIRES.wire("openai.chat"),
        "completions": _WIRES.wire("openai.completions"),
        "anthropic": _WIRES.wire("anthropic.messages"),
        "responses": _WIRES.wire("openai.responses"),
        "gemini": gemini,
    }
    found: dict[str, tuple[tuple[Wire, Request], ...]] = {}
    for name, wire in wires.items():
        body = BODIES[name][0] if name == "gemini" else {**BODIES[name][0], "stream": True}
        asked = [body, {**body, "stream_options": {"include_usage": True}}] if name == "openai" else [body]
        found[name] = tuple((wire, wire.parse(json.dumps(each).encode())) for each in asked)
    return found


KNOWN = _known()


def _stream(random: Random, name: str) -> bytes:
    pieces = []
    for _ in range(random.randrange(1, 10)):
        if random.random() < 0.15:
            pieces.append(random.choice(_GARBAGE))
            continue
        if random.random() < 0.01:
            pieces.insert(0, BOM)
        value = random.choice(EVENTS[name])
        if random.random() < 0.5:
            value = mutated(random, value, random.randrange(1, 4))
        end = random.choice(_ENDS)
        kind = b"event: x" + end if random.random() < 0.3 else b""
        space = b" " if random.random() < 0.9 else b""
        event = kind + b"data:" + space + written(random, value) + end + end
        pieces.append(event * (random.randrange(2, 6) if random.random() < 0.2 else 1))
    raw = b"".join(pieces)
    if random.random() < 0.25:
        raw = broken_bytes(random, raw)
    return raw


def _split(random: Random, raw: bytes) -> list[bytes]:
    most = random.choice((1, 3, 20, 200, 5_000))
    pieces, at = [], 0
    while at < len(raw):
        size = random.randrange(1, most + 1)
        pieces.append(raw[at : at + size])
        at += size
    return pieces


def _read(reader: StreamReader, pieces: list[bytes]) -> bytes:
    """Feed, looking after each piece at what the pipeline looks at."""
    out = []
    for piece in pieces:
        out.append(reader.feed(piece))
        assert reader.visible_tokens >= 0
        _ = (reader.is_finished, reader.is_complete, reader.is_error)
    out.append(reader.rest())
    return b"".join(out)


def _is_sound(answer: Answer) -> bool:
    told = answer.usage
    return answer.visible_tokens >= 0 and answer.tool_calls >= 0 and (told is None or told.output_total >= 0)


def check_stream(random: Random) -> str:
    """Read one stream in two splits. Raises AssertionError for lost bytes, or whatever a reader should not raise."""
    name = random.choice(tuple(KNOWN))
    wire, request = random.choice(KNOWN[name])
    raw = _stream(random, name)
    one, other = wire.reader(request), wire.reader(request)
    try:
        whole, split = _read(one, [raw]), _read(other, _split(random, raw))
    except TooLarge:
        return f"streams: {name}: too large"
    is_hiding = not request.wants_usage
    assert whole == split, "a split changes what passes"
    assert whole == raw or (is_hiding and _is_within(whole, raw)), "bytes are lost or changed"
    assert one.answer() == other.answer(), "a split changes what is understood"
    assert _is_sound(one.answer())
    end = "error" if one.is_error else "finished" if one.is_finished else "open"
    assert isinstance(one.cut(USAGE), bytes)
    assert isinstance(other.error(REFUSAL), bytes)
    return f"streams: {name}: {end}"


def _is_within(part: bytes, whole: bytes) -> bool:
    """Is it the same bytes in the same order, with some left out?"""
    rest = iter(whole)
    return all(byte in rest for byte in part)
