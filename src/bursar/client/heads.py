"""The few lines of a head that something here reads, of a request and of an answer.

Owns which those are, and finding them by where they stand: a client sends the same names in the same order with each
request, and a provider with each answer, so the places are worked out once. It never changes the head of a program's
own request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias

from bursar.identity.labels import CLAUDE, is_label_header
from bursar.wire.bedrock_common import BEDROCK_HEADER
from bursar.wire.signed import SIGNED

__all__ = ["headers_of", "heads_of", "resized"]

Line: TypeAlias = tuple[bytes, ...]
"""A header's name and, last, its value."""

_READ_HERE = frozenset({"authorization", "content-encoding", "originator", "transfer-encoding"})
_BEGINNINGS = {"authorization": SIGNED.encode(), "user-agent": CLAUDE.encode()}
"""How the value of a header begins that nearly every request has, where it says anything here."""
_NOTHING: Mapping[str, str] = MappingProxyType({})
HEADS_MAX = 200
"""For so many orders of names, where the lines stand is remembered."""
_name = itemgetter(0)
_own = attrgetter("_list")
"""Lists the lines of httpx's own headers, without making another list."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where the lines of a request stand."""

    heard: tuple[tuple[str, int, bytes], ...]
    """For each name that something reads: where it stands last, and how a value begins that is read."""
    length: int | None
    """Where its length stands; None where it stands nowhere, or more than once."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """Where the lines of an answer stand."""

    kinds: tuple[int, ...]
    encodings: tuple[int, ...]
    kind: int | None
    """Where the one content type stands; None where there is none, or more than one, or an encoding."""


def headers_of(request: Any) -> tuple[Mapping[str, str], int | None]:
    """Read those headers that something reads as text, lower-case; of one that comes again the last counts.

    Beside them stands the place of the request's length, for `resized`.
    """
    headers = request.headers
    lister = _lister(headers.__class__)
    lines = lister(headers)
    places = _asked(tuple(map(_name, lines)))
    found = None
    for name, at, begins in places.heard:
        text = lines[at][-1]
        if text.startswith(begins):
            found = found or {}
            found[name] = text.decode("latin-1")
    return found or _NOTHING, places.length if lister is _own else None


def resized(headers: Any, size: int, at: int | None) -> Any:
    """Copy headers of httpx for a body of another size: one line is another, all others are as they were."""
    kind: Any = headers.__class__
    if at is None:
        copied = kind(headers, encoding=getattr(headers, "_encoding", None))
        copied["Content-Length"] = str(size)
        return copied
    # Set as a program would set it, all of them were read anew.
    lines = headers._list.copy()
    name, lower, _ = lines[at]
    lines[at] = (name, lower, b"%d" % size)
    copied = object.__new__(kind)
    copied._list, copied._encoding = lines, headers._encoding
    return copied


def heads_of(response: Any) -> tuple[tuple[tuple[str, str], ...], str]:
    """Give what is looked at of an answer's headers: its content type, as the one header, and its encoding."""
    headers = response.headers
    lines = _lister(headers.__class__)(headers)
    places = _answered(tuple(map(_name, lines)))
    if places.kind is not None:
        return _typed(lines[places.kind][-1]), ""
    kind = b", ".join([lines[at][-1] for at in places.kinds if lines[at][-1]])
    encoding = b", ".join([lines[at][-1] for at in places.encodings if lines[at][-1]])
    return _typed(kind), encoding.decode("latin-1").strip().lower()


@lru_cache(maxsize=HEADS_MAX)
def _typed(kind: bytes) -> tuple[tuple[str, str], ...]:
    return (("content-type", kind.decode("latin-1")),)


@lru_cache(maxsize=16)
def _lister(kind: Any) -> Callable[[Any], Any]:
    """Give what lists the lines of such headers: httpx's own list where it is as we know it; `raw` makes another."""
    try:
        parts = vars(kind([(b"A-B", b"c")], encoding="ascii"))
    except (AttributeError, TypeError, ValueError):
        parts = {}
    is_own = parts == {"_list": [(b"A-B", b"a-b", b"c")], "_encoding": "ascii"}
    return _own if is_own else attrgetter("raw")


@lru_cache(maxsize=HEADS_MAX)
def _asked(names: tuple[bytes, ...]) -> _Asked:
    lower = [name.decode("latin-1").lower() for name in names]
    heard = {name: at for at, name in enumerate(lower) if _is_heard(name)}
    lengths = [at for at, name in enumerate(lower) if name == "content-length"]
    return _Asked(
        tuple((name, at, _BEGINNINGS.get(name, b"")) for name, at in heard.items()),
        lengths[0] if len(lengths) == 1 else None,
    )


def _is_heard(name: str) -> bool:
    return name in _READ_HERE or is_label_header(name) or name.startswith(BEDROCK_HEADER)


@lru_cache(maxsize=HEADS_MAX)
def _answered(names: tuple[bytes, ...]) -> _Answered:
    lower = [name.lower() for name in names]
    kinds, encodings = (_places(lower, name) for name in (b"content-type", b"content-encoding"))
    return _Answered(kinds, encodings, kinds[0] if len(kinds) == 1 and not encodings else None)


def _places(names: Sequence[bytes], name: bytes) -> tuple[int, ...]:
    return tuple([at for at, each in enumerate(names) if each == name])
