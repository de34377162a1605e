"""Instants as people write them: `today`, `7d`, `2026-11-01`, `2026-11-01T14:30`.

Owns that grammar. A day begins when the local calendar says so, whatever the clocks do that night.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.cli.options import tz_option
from bursar.core.window import NS, Window, WindowKind, to_datetime
from bursar.errors import UsageError

__all__ = ["EXAMPLES", "Period", "parse_duration", "parse_ending", "parse_instant", "period_options"]

EXAMPLES = "today, yesterday, month, 7d, 12h, 2026-11-01, 2026-11-01T14:30, or all"
_AGO = re.compile(r"([1-9][0-9]{0,4})(m|h|d|w)")
_AGO_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """The words of --since, --until and --tz."""

    since: str
    until: str
    tz: str | None

    def read(self, zone: ZoneInfo, now_ns: int) -> tuple[int, int]:
        """Give `[since, until)`; `now` includes what happens at this very instant."""
        until_ns = now_ns + 1 if self.until == "now" else parse_instant(self.until, zone, now_ns)
        return parse_instant(self.since, zone, now_ns), until_ns


def period_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --since, --until and --tz; the command gets them as one `period`."""

    @functools.wraps(command)
    def with_period(*args: Any, since: str, until: str, tz: str | None, **others: Any) -> Any:
        return command(*args, period=Period(since, until, tz), **others)

    since = click.option(
        "--since", default="month", metavar="TIME", help=f"From then on (default: this month): {EXAMPLES}."
    )
    until = click.option("--until", default="now", metavar="TIME", help="Up to, not including, then (default: now).")
    return since(until(tz_option(with_period)))


def parse_instant(text: str, zone: ZoneInfo, now_ns: int) -> int:
    """Read an instant. `7d` is seven times 24 hours ago; a day, `today` and `month` begin by the calendar of `zone`.

    Raises UsageError with examples.
    """
    word = text.strip().lower()
    if word == "all":
        return 0
    if word == "now":
        return now_ns
    if word in ("today", "yesterday", "month"):
        start = Window(WindowKind.MONTH if word == "month" else WindowKind.DAY, zone.key).span(now_ns).starts_ns
        return start if word != "yesterday" else Window(WindowKind.DAY, zone.key).span(start - 1).starts_ns
    ago = _AGO.fullmatch(word)
    if ago is not None:
        return max(0, now_ns - int(ago.group(1)) * _AGO_S[ago.group(2)] * NS)
    try:
        return _from_calendar(text.strip(), zone)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text[:60]!r} is not a time: write {EXAMPLES}") from error


def parse_duration(text: str) -> int:
    """Read `90d`, `12h`, `30m` or `2w` as seconds; `0` is none. Raises UsageError."""
    word = text.strip().lower()
    found = _AGO.fullmatch(word)
    if found is None and word != "0":
        raise UsageError(f"{text[:60]!r} is no length of time: write for example 30m, 12h, 90d or 2w")
    return 0 if found is None else int(found.group(1)) * _AGO_S[found.group(2)]


def parse_ending(text: str, zone: ZoneInfo, now_ns: int) -> int:
    """Read when something ends: after `90d` from now, or at a day or time such as 2027-01-01. Raises UsageError."""
    if _AGO.fullmatch(text.strip().lower()):
        return now_ns + parse_duration(text) * NS
    try:
        return _from_calendar(text.strip(), zone)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text[:60]!r} is no time: write for example 90d, 2027-01-01 or 2027-01-01T14:30") from error


def _from_calendar(text: str, zone: ZoneInfo) -> int:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        day = date.fromisoformat(text)
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
        return Window(WindowKind.DAYS, zone.key, days=1, since=day).span(_to_ns(noon)).starts_ns
    instant = datetime.fromisoformat(text)
    return _to_ns(instant if instant.tzinfo else instant.replace(tzinfo=zone))


def _to_ns(instant: datetime) -> int:
    at_ns = (instant.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
    if to_datetime(max(0, at_ns)) != instant.astimezone(UTC):
        raise ValueError("before 1970")
    return at_ns
