"""Who spent what: the ledger's sums by labels and by calendar, dearest first, with a total.

Owns the order, the total and the rest. What is presumed (no answer came to tell the truth) stays beside what is
settled and is never mixed with it, but it counts: a report that left it out would say less than the budgets do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bursar.core.charge import ZERO, Amounts
from bursar.core.labels import is_label
from bursar.core.ledger import SpendQuery, SpendRow
from bursar.core.window import Span, Window, WindowKind, to_datetime

__all__ = ["CALENDAR", "SPANS_MAX", "Ledger", "SpendReport", "is_dimension", "spend_report"]

CALENDAR = {
    "hour": (WindowKind.HOUR, "%Y-%m-%d %H:%M%z"),
    "day": (WindowKind.DAY, "%Y-%m-%d"),
    "week": (WindowKind.WEEK, "%Y-%m-%d"),
    "month": (WindowKind.MONTH, "%Y-%m"),
}
"""Dimensions of time, and how each names its windows (a week by its first day)."""
SPANS_MAX = 800
"""How many hours, days, weeks or months one report may have: a month of hours, two years of days."""


class Ledger(Protocol):
    """What this report reads."""

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]: ...


@dataclass(frozen=True, slots=True)
class SpendReport:
    """Groups in `[since, until)`, dearest first (by time where a dimension of time comes first).

    `rest` sums the `rest_count` groups beyond the most that were asked for.
    """

    by: tuple[str, ...]
    since_ns: int
    until_ns: int
    rows: tuple[SpendRow, ...]
    rest: SpendRow | None
    rest_count: int
    total: SpendRow


def is_dimension(name: str) -> bool:
    """Tell whether a report can be split by this: a label or a calendar window."""
    return name in CALENDAR or is_label(name)


def spend_report(ledger: Ledger, query: SpendQuery, *, timezone: str = "UTC", most: int | None = None) -> SpendReport:
    """Sum the spend of a time, by the labels and calendar windows that `query.by` names.

    `query.since_ns` may lie before everything; `timezone` says where a day begins. Raises ValueError for more than one
    dimension of time, or more than SPANS_MAX windows.
    """
    rows = _rows(ledger, query, timezone)
    times = [index for index, name in enumerate(query.by) if name in CALENDAR]
    if times and times[0] == 0:
        ordered = sorted(rows, key=lambda row: (row.values[0], -_cost(row), row.values))
    else:
        ordered = sorted(rows, key=lambda row: (-_cost(row), -row.calls, row.values))
    shown = ordered if most is None else ordered[:most]
    beyond = ordered[len(shown) :]
    return SpendReport(
        query.by,
        query.since_ns,
        query.until_ns,
        tuple(shown),
        _sum(beyond) if beyond else None,
        len(beyond),
        _sum(ordered),
    )


def _rows(ledger: Ledger, query: SpendQuery, timezone: str) -> list[SpendRow]:
    times = [name for name in query.by if name in CALENDAR]
    if not times:
        return list(ledger.spend(query))
    if len(times) > 1:
        raise ValueError(f"{' and '.join(times)}: one dimension of time at once")
    at = query.by.index(times[0])
    kind, form = CALENDAR[times[0]]
    window = Window(kind, timezone)
    labels = tuple(name for name in query.by if name not in CALENDAR)
    found = []
    for span in _spans(window, query):
        named = to_datetime(span.starts_ns).astimezone(window.zone).strftime(form)
        part = replace(
            query,
            by=labels,
            since_ns=max(span.starts_ns, query.since_ns),
            until_ns=min(span.ends_ns, query.until_ns),
        )
        found += [replace(row, values=(*row.values[:at], named, *row.values[at:])) for row in ledger.spend(part)]
    return found


def _spans(window: Window, query: SpendQuery) -> Iterator[Span]:
    at_ns = query.since_ns
    for _ in range(SPANS_MAX):
        if at_ns >= query.until_ns:
            return
        span = window.span(at_ns)
        yield span
        at_ns = span.ends_ns
    if at_ns < query.until_ns:
        raise ValueError(f"that is more than {SPANS_MAX} {window.kind}s: choose a later --since, or a longer window")


def _cost(row: SpendRow) -> int:
    return row.settled.cost_nano + row.presumed.cost_nano


def _sum(rows: Iterable[SpendRow]) -> SpendRow:
    settled: Amounts = ZERO
    presumed: Amounts = ZERO
    calls = 0
    for row in rows:
        settled, presumed, calls = settled + row.settled, presumed + row.presumed, calls + row.calls
    return SpendRow((), settled, presumed, calls)
