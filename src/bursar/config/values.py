"""Single values: from the text that was written to a checked value, or a ValueError that says how to write it.

Owns numbers, seconds, sizes, truth values, names, addresses. Nothing here knows a section; no number passes through a
float but seconds, which are no money.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from bursar.config.problems import near, show
from bursar.core.labels import LABEL_NAMES, TAG_PREFIX, VALUE_LENGTH_MAX, is_label

__all__ = [
    "bare_url",
    "base_url",
    "digits",
    "host",
    "label_name",
    "link",
    "member",
    "one_of",
    "path",
    "seconds",
    "size",
    "text",
    "timezone",
    "truth",
    "whole",
]

Member = TypeVar("Member", bound=StrEnum)

NUMBER_LENGTH_MAX = 24
"""Longer numbers would leave the exact range of decimal arithmetic."""
URL_LENGTH_MAX = 2_048
_NUMBER = re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:_[0-9]{3})+)(?:\.[0-9]+)?|\.[0-9]+")
_SIZE = re.compile(r"(.*?) ?(KiB|MiB|GiB)?")
_SIZES = {None: 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def digits(written: str) -> str:
    """Take a number as plain decimal text: `1,000` and `1_000` as `1000`.

    `1,5` is refused rather than read as 15, `010` rather than as 8 or 10.
    """
    if len(written) > NUMBER_LENGTH_MAX or _NUMBER.fullmatch(written) is None:
        if written.startswith("-"):
            raise ValueError(f"{show(written)} is negative")
        raise ValueError(f"{show(written)} is not a number: write digits, with a point for decimals")
    if len(written) > 1 and written[0] == "0" and written[1] != ".":
        raise ValueError(f"{show(written)} begins with 0: write it without")
    return written.replace(",", "").replace("_", "")


def whole(least: int, most: int) -> Callable[[str], int]:
    """Make a reader of whole numbers from `least` to `most`."""

    def read(written: str) -> int:
        found = _digits_or_advice(written, f"write a whole number from {least} to {most}")
        if not found.isdigit() or not least <= int(found) <= most:
            raise ValueError(f"{show(written)} does not fit: write a whole number from {least} to {most}")
        return int(found)

    return read


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Make a reader of seconds from `least` to `most`, decimals allowed, without a unit."""

    def read(written: str) -> float:
        value = float(
            _digits_or_advice(written, f"write seconds as a number from {least:g} to {most:g}, without a unit")
        )
        if not least <= value <= most:
            raise ValueError(f"{show(written)} does not fit: write seconds from {least:g} to {most:g}")
        return value

    return read


def size(least: int, most: int) -> Callable[[str], int]:
    """Make a reader of sizes in bytes: `1048576`, `1024 KiB` or `1 MiB`."""

    def read(written: str) -> int:
        found = _SIZE.fullmatch(written)
        assert found is not None
        advice = "write bytes as a whole number, or for example 32 MiB"
        number = _digits_or_advice(found.group(1), advice)
        if not number.isdigit() or not least <= int(number) * _SIZES[found.group(2)] <= most:
            raise ValueError(f"{show(written)} does not fit: {advice}, from {least} to {most} bytes")
        return int(number) * _SIZES[found.group(2)]

    return read


def _digits_or_advice(written: str, advice: str) -> str:
    try:
        return digits(written)
    except ValueError as error:
        raise ValueError(f"{show(written)} does not fit: {advice}") from error


def truth(written: str) -> bool:
    """Read `true` or `false`; `yes` and `on` are words, not answers."""
    if written not in ("true", "false"):
        raise ValueError(f"{show(written)} does not fit: write true or false")
    return written == "true"


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Make a reader of one name out of a fixed list."""
    known = tuple(names)

    def read(written: str) -> str:
        if written not in known:
            raise ValueError(f"{show(written)} is unknown; {near(written, known)}")
        return written

    return read


def member(kind: type[Member]) -> Callable[[str], Member]:
    """Make a reader of one member of an enumeration, by its value."""
    read = one_of(kind)
    return lambda written: kind(read(written))


def text(most: int) -> Callable[[str], str]:
    """Make a reader of text of 1 to `most` characters."""

    def read(written: str) -> str:
        if not written:
            raise ValueError("the value is missing")
        if len(written) > most:
            raise ValueError(f"{show(written)} is longer than {most} characters")
        return written

    return read


def host(written: str) -> str:
    """Read the address to listen on: a name or an IP address, without a port."""
    if re.fullmatch(r"[A-Za-z0-9.:_%-]{1,253}", written) is None or re.fullmatch(r"[^:]*:[0-9]+", written):
        raise ValueError(f"{show(written)} is not an address: write for example 127.0.0.1, and the port under port")
    return written


def path(written: str) -> Path:
    """Read a file's path; `~` is the home directory."""
    if not written or written == ":memory:":
        raise ValueError("a path is needed, such as bursar.db; for no file at all write kind: memory")
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{show(written)}: there is no such home directory") from error


def link(written: str) -> str:
    """Read a link that people follow: http, https or mailto, so that it is safe on a page."""
    if not written.startswith(("https://", "http://", "mailto:")) or len(written) > URL_LENGTH_MAX or " " in written:
        raise ValueError(f"{show(written)} is not a link: it begins with https://, http:// or mailto:")
    return written


def bare_url(written: str, example: str, instead: str) -> str:
    """Read an http(s) URL of a host and a path alone. The text is not repeated: people paste keys into URLs.

    `example` is advice, and `instead` says where a name or a password belongs.
    """
    advice = f"write for example {example}"
    if not written.startswith(("https://", "http://")) or len(written) > URL_LENGTH_MAX or " " in written:
        raise ValueError(f"not a URL: it begins with https:// or http://; {advice}")
    try:
        parts = urlsplit(written)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"not a URL; {advice}") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"a name or password in the URL would end up in logs: use {instead}")
    if not is_whole or "?" in written or "#" in written:
        raise ValueError(f"a host, and no ? or #, is needed; {advice}")
    return written.rstrip("/")


def base_url(written: str) -> str:
    """Read where a provider is, without a slash at the end."""
    example = "https://api.openai.com/v1"
    url = bare_url(written, example, "api_key_env")
    if url.endswith(("/chat/completions", "/messages", "/responses")):
        raise ValueError(f"leave out the API's own path; write for example {example}")
    return url


def label_name(written: str) -> str:
    """Read the name of a label; hyphens are underscores, but in a tag."""
    name = written if written.startswith(TAG_PREFIX) else written.lower().replace("-", "_")
    if not is_label(name) or len(name) > VALUE_LENGTH_MAX:
        raise ValueError(f"{show(written)} is not a label; {near(written, (*LABEL_NAMES, 'tag.NAME'))}")
    return name


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones()) | {"UTC"}


def timezone(written: str) -> str:
    """Read a time zone's name, such as Europe/Paris."""
    if written == "UTC":
        return written
    zones = _timezones()
    if written in zones:
        return written
    cities = sorted(zone for zone in zones if zone.rpartition("/")[2].lower() == written.lower().replace(" ", "_"))
    advice = f"did you mean '{cities[0]}'?" if cities else near(written, zones)
    raise ValueError(f"{show(written)} is no time zone; {advice} Names look like Europe/Paris")
