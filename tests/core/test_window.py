"""Windows tile time: each instant lies in exactly one, whatever the clocks of the place do (R46, R47)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.core.window import FOREVER_NS, NS, Span, Window, WindowKind, to_datetime

HOUR_NS = 3600 * NS
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "America/Havana",
    "Pacific/Kwajalein",
    "America/New_York",
    "Asia/Tehran",
    "Africa/Casablanca",
)
CALENDAR = (
    Window(WindowKind.DAY),
    Window(WindowKind.WEEK),
    Window(WindowKind.WEEK, week_start=6),
    Window(WindowKind.MONTH),
    Window(WindowKind.DAYS, days=1, since=date(2026, 1, 31)),
    Window(WindowKind.DAYS, days=30, since=date(2026, 11, 1)),
)


def at(text: str, zone: str = "UTC") -> int:
    """Read an instant on the wall clock of a place."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(local.astimezone(UTC).timestamp()) * NS


def day_hours(day: str, zone: str) -> float:
    span = Window(WindowKind.DAY, zone).span(at(f"{day}T12:00", zone))
    return (span.ends_ns - span.starts_ns) / HOUR_NS


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-10-26", 24),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Africa/Cairo", "2026-04-24", 23),
        ("America/Santiago", "2026-09-06", 23),
        ("Asia/Kathmandu", "2026-07-01", 24),
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-31", 24),
    ],
)
def test_a_day_is_as_long_as_it_is_there(zone: str, day: str, hours: float) -> None:
    assert day_hours(day, zone) == hours


@pytest.mark.parametrize(("zone", "day"), [("Africa/Cairo", "2026-04-24"), ("America/Santiago", "2026-09-06")])
def test_a_day_without_midnight_starts_when_the_clocks_have_jumped(zone: str, day: str) -> None:
    starts = Window(WindowKind.DAY, zone).span(at(f"{day}T12:00", zone)).starts_ns
    assert to_datetime(starts).astimezone(ZoneInfo(zone)).isoformat()[:16] == f"{day}T01:00"
    before = Window(WindowKind.DAY, zone).span(starts - 1)
    assert before.ends_ns == starts


def test_a_day_that_was_skipped_has_no_window() -> None:
    """Apia went from 29 to 31 December 2011."""
    zone = "Pacific/Apia"
    last = Window(WindowKind.DAY, zone).span(at("2011-12-29T12:00", zone))
    following = Window(WindowKind.DAY, zone).span(last.ends_ns)
    assert to_datetime(last.ends_ns).astimezone(ZoneInfo(zone)).date() == date(2011, 12, 31)
    assert following == Span(last.ends_ns, last.ends_ns + 24 * HOUR_NS)


def test_kathmandu_days_start_at_a_quarter_past_six_in_utc() -> None:
    assert Window(WindowKind.DAY, "Asia/Kathmandu").span(at("2026-07-01T00:00")).starts_ns == at("2026-06-30T18:15")


INSTANTS = st.integers(at("1975-01-01T00:00"), at("2060-01-01T00:00"))
windows = st.builds(
    lambda window, zone: Window(window.kind, zone, window.week_start, window.days, window.since),
    st.sampled_from(CALENDAR),
    st.sampled_from(ZONES),
)


@given(window=windows, at_ns=INSTANTS)
@example(Window(WindowKind.DAY, "Pacific/Apia"), at("2011-12-30T10:00"))
@example(Window(WindowKind.DAYS, "Pacific/Apia", 0, 1, date(2011, 12, 30)), at("2011-12-30T10:00"))
@example(Window(WindowKind.DAY, "Pacific/Kwajalein"), at("1993-08-21T12:00"))
@example(Window(WindowKind.DAY, "America/St_Johns"), at("2006-10-29T02:30"))
@example(Window(WindowKind.DAY, "Africa/Cairo"), at("2026-04-23T21:59:59"))
def test_each_instant_lies_in_exactly_one_window_and_windows_tile(window: Window, at_ns: int) -> None:
    span = window.span(at_ns)
    assert at_ns in span
    assert span.starts_ns < span.ends_ns
    for inside in (span.starts_ns, (span.starts_ns + span.ends_ns) // 2, span.ends_ns - 1):
        assert window.span(inside) == span
    assert window.span(span.starts_ns - 1).ends_ns == span.starts_ns
    assert window.span(span.ends_ns).starts_ns == span.ends_ns


@given(window=windows, at_ns=INSTANTS)
def test_a_window_starts_on_the_first_day_of_its_kind(window: Window, at_ns: int) -> None:
    starts = to_datetime(window.span(at_ns).starts_ns).astimezone(window.zone)
    if window.timezone == "Pacific/Apia" and starts.date() == date(2011, 12, 31):
        return
    if window.timezone == "Pacific/Kwajalein" and starts.year == 1993:
        return
    match window.kind:
        case WindowKind.WEEK:
            assert starts.weekday() == window.week_start
        case WindowKind.MONTH:
            assert starts.day == 1
        case WindowKind.DAYS:
            assert window.since is not None
            assert (starts.date() - window.since).days % window.days == 0
        case _:
            pass


@given(kind=st.sampled_from([WindowKind.MINUTE, WindowKind.HOUR]), at_ns=INSTANTS, zone=st.sampled_from(ZONES))
def test_minutes_and_hours_are_aligned_to_utc_everywhere(kind: WindowKind, at_ns: int, zone: str) -> None:
    length = 60 * NS if kind is WindowKind.MINUTE else HOUR_NS
    span = Window(kind, zone).span(at_ns)
    assert at_ns in span
    assert span.starts_ns % length == 0
    assert span.ends_ns - span.starts_ns == length


@pytest.mark.parametrize(
    ("instant", "starts", "ends"),
    [
        ("2026-01-31T23:59:59", "2026-01-01", "2026-02-01"),
        ("2026-02-28T12:00", "2026-02-01", "2026-03-01"),
        ("2028-02-29T12:00", "2028-02-01", "2028-03-01"),
        ("2026-03-30T12:00", "2026-03-01", "2026-04-01"),
        ("2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00", "2027-01-01", "2027-02-01"),
    ],
)
def test_months_are_exact_at_their_ends(instant: str, starts: str, ends: str) -> None:
    """R47"""
    assert Window(WindowKind.MONTH).span(at(instant)) == Span(at(f"{starts}T00:00"), at(f"{ends}T00:00"))


@pytest.mark.parametrize("week_start", range(7))
def test_a_week_starts_on_the_chosen_day_across_the_year_end(week_start: int) -> None:
    span = Window(WindowKind.WEEK, "Europe/Berlin", week_start).span(at("2026-12-31T12:00", "Europe/Berlin"))
    first = to_datetime(span.starts_ns).astimezone(ZoneInfo("Europe/Berlin"))
    assert first.weekday() == week_start
    assert timedelta(0) <= datetime(2026, 12, 31, tzinfo=first.tzinfo) - first < timedelta(days=7)


@pytest.mark.parametrize(
    ("instant", "starts", "ends"),
    [
        ("2026-11-01T00:00", "2026-11-01", "2026-12-01"),
        ("2026-12-01T00:00", "2026-12-01", "2026-12-31"),
        ("2026-10-31T23:59:59", "2026-10-02", "2026-11-01"),
        ("2025-11-02T12:00", "2025-10-07", "2025-11-06"),
    ],
)
def test_periods_of_days_count_from_their_date_both_ways(instant: str, starts: str, ends: str) -> None:
    window = Window(WindowKind.DAYS, days=30, since=date(2026, 11, 1))
    assert window.span(at(instant)) == Span(at(f"{starts}T00:00"), at(f"{ends}T00:00"))


@pytest.mark.parametrize("kind", [WindowKind.RUN, WindowKind.TOTAL])
def test_runs_and_totals_have_one_window(kind: WindowKind) -> None:
    window = Window(kind)
    assert window.is_endless
    assert window.span(at("2026-01-01T00:00")) == window.span(at("2060-01-01T00:00")) == Span(0, FOREVER_NS)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Window(WindowKind.WEEK, week_start=7),
        lambda: Window(WindowKind.WEEK, week_start=-1),
        lambda: Window(WindowKind.DAYS),
        lambda: Window(WindowKind.DAYS, days=30),
        lambda: Window(WindowKind.DAYS, since=date(2026, 1, 1)),
        lambda: Window(WindowKind.DAY, days=3, since=date(2026, 1, 1)),
    ],
)
def test_nonsense_cannot_be_made(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"week_start|days"):
        wrong()  # type: ignore[operator]
