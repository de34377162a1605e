"""Instants of requests. Owns the step from ISO 8601 to nanoseconds, and its limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import UNSET, UnsetType

from bursar.config.values import timezone
from bursar.core.window import FOREVER_NS, NS, Window, WindowKind
from bursar.errors import UsageError

__all__ = ["DAY_NS", "period", "to_ns", "zone_name"]

DAY_NS = 86_400 * NS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(instant: datetime, param: str) -> int:
    """Give an instant in nanoseconds. Raises UsageError before 1970 and at the end of time."""
    at_ns = (instant - _EPOCH) // timedelta(microseconds=1) * 1_000
    if not 0 <= at_ns < FOREVER_NS:
        raise UsageError("an instant lies between 1970 and 2116", param=param)
    return at_ns


def zone_name(written: str) -> str:
    """Check a time zone's name. Raises UsageError."""
    try:
        return timezone(written)
    except ValueError as error:
        raise UsageError(str(error), param="timezone") from error


def period(
    since: datetime | UnsetType, until: datetime | UnsetType, days: int | UnsetType, zone: str, now_ns: int
) -> tuple[int, int]:
    """Give `[since, until)` in nanoseconds: this month up to now unless something else is said. Raises UsageError."""
    until_ns = now_ns + 1 if until is UNSET else to_ns(until, "until")
    if days is not UNSET:
        if since is not UNSET:
            raise UsageError("say since or days, not both", param="days")
        return max(0, until_ns - days * DAY_NS), until_ns
    if since is not UNSET:
        return to_ns(since, "since"), until_ns
    return Window(WindowKind.MONTH, zone).span(min(now_ns, until_ns)).starts_ns, until_ns
