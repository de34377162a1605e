"""The windows of a budget: `[start, end)` in UTC, computed from a local calendar.

Owns the partition of time: each instant lies in exactly one window of a kind, also where a day has 23, 24 or 25
hours, where midnight does not exist, and where a whole day was skipped. Nothing is ever reset: a new window is a new
row under a new key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import assert_never
from zoneinfo import ZoneInfo

__all__ = ["FOREVER_NS", "NS", "Span", "Window", "WindowKind", "to_datetime", "to_ns"]

NS = 1_000_000_000
FOREVER_NS = 2**62
"""The end of a window that has none (the year 2116)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class WindowKind(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    RUN = "run"
    TOTAL = "total"
    DAYS = "days"


@dataclass(frozen=True, slots=True)
class Span:
    """One window: the instants from `starts_ns` up to but not including `ends_ns`, UTC."""

    starts_ns: int
    ends_ns: int

    def __contains__(self, at_ns: int) -> bool:
        return self.starts_ns <= at_ns < self.ends_ns


@dataclass(frozen=True, slots=True)
class Window:
    """A kind of window in a time zone.

    Minutes and hours are aligned to UTC. `days` is a term of that many local days from the date `since`; before and
    after it time is parted into as many days again, in which nothing is allowed. `run` and `total` have one window each
    (a run's budget is split by run in its scope).
    `week_start` is 0 for Monday to 6 for Sunday.
    """

    kind: WindowKind
    timezone: str = "UTC"
    week_start: int = 0
    days: int = 0
    since: date | None = None
    zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.week_start <= 6:
            raise ValueError("week_start is 0 (Monday) to 6 (Sunday)")
        if (self.kind is WindowKind.DAYS) != (self.since is not None and self.days > 0):
            raise ValueError("a window of N days needs N and the date it counts from, and no other window takes them")
        object.__setattr__(self, "zone", ZoneInfo(self.timezone))

    @property
    def is_endless(self) -> bool:
        return self.kind in (WindowKind.RUN, WindowKind.TOTAL)

    def is_within_term(self, span: Span) -> bool:
        """Tell whether money may be spent in this window: of a term of N days only in the one that it names."""
        if self.since is None:
            return True
        return span.starts_ns == _day_start(self.since, self.timezone)

    def span(self, at_ns: int) -> Span:
        """Find the window that contains the instant `at_ns` (nanoseconds since 1970, UTC)."""
        match self.kind:
            case WindowKind.MINUTE:
                return _aligned(at_ns, 60 * NS)
            case WindowKind.HOUR:
                return _aligned(at_ns, 3600 * NS)
            case WindowKind.RUN | WindowKind.TOTAL:
                return Span(0, FOREVER_NS)
            case WindowKind.DAY | WindowKind.WEEK | WindowKind.MONTH | WindowKind.DAYS:
                return self._calendar_span(at_ns)
            case _:
                assert_never(self.kind)

    def _calendar_span(self, at_ns: int) -> Span:
        """Start from the local date, then step until the instant lies inside: clocks that go back over midnight make
        the local date return to yesterday for a while."""
        first = self._first_day(to_datetime(at_ns).astimezone(self.zone).date())
        while True:
            following = self._next_first_day(first)
            starts, ends = _day_start(first, self.timezone), _day_start(following, self.timezone)
            if at_ns >= ends:
                first = following
            elif at_ns < starts:
                first = self._first_day(first - timedelta(days=1))
            else:
                return Span(starts, ends)

    def _first_day(self, day: date) -> date:
        match self.kind:
            case WindowKind.WEEK:
                return day - timedelta(days=(day.weekday() - self.week_start) % 7)
            case WindowKind.MONTH:
                return day.replace(day=1)
            case WindowKind.DAYS:
                assert self.since is not None
                return self.since + timedelta(days=(day - self.since).days // self.days * self.days)
            case _:
                return day

    def _next_first_day(self, first: date) -> date:
        match self.kind:
            case WindowKind.WEEK:
                return first + timedelta(days=7)
            case WindowKind.MONTH:
                return (first + timedelta(days=32)).replace(day=1)
            case WindowKind.DAYS:
                return first + timedelta(days=self.days)
            case _:
                return first + timedelta(days=1)


def to_datetime(at_ns: int) -> datetime:
    """Turn nanoseconds since 1970 into an aware UTC datetime (microseconds, rounded down)."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def to_ns(instant: datetime) -> int:
    """Turn an aware datetime into nanoseconds since 1970, UTC; exact, since its unit is the microsecond."""
    return (instant - _EPOCH) // _MICROSECOND * 1000


def _aligned(at_ns: int, length_ns: int) -> Span:
    starts = at_ns // length_ns * length_ns
    return Span(starts, starts + length_ns)


@lru_cache(maxsize=4096)
def _day_start(day: date, timezone: str) -> int:
    """Find the first instant of a local day, in nanoseconds UTC.

    Where midnight does not exist the day starts when the clocks have jumped; a skipped day starts where the next does.
    """
    zone = ZoneInfo(timezone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    earlier, later = (midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if earlier <= later:
        return to_ns(earlier)
    # fold=1 reads the missing midnight with the new offset and so gives the earlier instant: the jump lies between.
    low, high = to_ns(later) // NS, to_ns(earlier) // NS
    while low < high:
        middle = (low + high) // 2
        if to_datetime(middle * NS).astimezone(zone).date() >= day:
            high = middle
        else:
            low = middle + 1
    return low * NS
