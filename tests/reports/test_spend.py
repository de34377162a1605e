"""The spend report: order, total, rest and windows of the calendar."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bursar.core.charge import ZERO, Amounts
from bursar.core.ledger import SpendQuery, SpendRow
from bursar.core.window import NS
from bursar.reports.spend import spend_report

MARCH_29 = 1_774_738_800 * NS
"""2026-03-29 00:00 in Paris, a day of 23 hours."""
HOUR = 3600 * NS


class Calls:
    """A ledger of calls (instant, agent, cost)."""

    def __init__(self, *calls: tuple[int, str, int]) -> None:
        self.calls = calls
        self.queries: list[SpendQuery] = []

    def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        self.queries.append(query)
        sums: dict[tuple[str, ...], tuple[int, int]] = {}
        for at_ns, agent, cost in self.calls:
            if query.since_ns <= at_ns < query.until_ns:
                values = tuple({"agent": agent}[name] for name in query.by)
                was = sums.get(values, (0, 0))
                sums[values] = was[0] + cost, was[1] + 1
        return [SpendRow(values, Amounts(cost), ZERO, calls) for values, (cost, calls) in sums.items()]


def _query(by: tuple[str, ...], since_ns: int = 0, until_ns: int = 10**18 * 9) -> SpendQuery:
    return SpendQuery("t", by, since_ns, until_ns)


def test_the_total_is_the_sum_of_rows_and_rest() -> None:
    ledger = Calls((1, "a", 5), (2, "b", 9), (3, "c", 1), (4, "a", 1))
    report = spend_report(ledger, _query(("agent",)), most=1)
    assert [row.values for row in report.rows] == [("b",)]
    assert report.rest is not None
    assert (report.rest.settled.cost_nano, report.rest.calls, report.rest_count) == (7, 3, 2)
    assert (report.total.settled.cost_nano, report.total.calls) == (16, 4)


def test_days_are_those_of_the_calendar_and_no_call_is_counted_twice() -> None:
    calls = [(MARCH_29 + hour * HOUR + offset, "a", 1) for hour in range(-24, 48) for offset in (0, HOUR - 1)]
    query = _query(("day", "agent"), MARCH_29 - 24 * HOUR, MARCH_29 + 47 * HOUR)
    report = spend_report(Calls(*calls), query, timezone="Europe/Paris")
    assert [(row.values, row.calls) for row in report.rows] == [
        (("2026-03-28", "a"), 48),
        (("2026-03-29", "a"), 46),
        (("2026-03-30", "a"), 48),
    ]


def test_windows_at_the_edge_are_cut_to_the_time_asked_for() -> None:
    ledger = Calls((MARCH_29, "a", 1), (MARCH_29 + 5 * HOUR, "a", 1))
    report = spend_report(ledger, _query(("day",), MARCH_29 + HOUR, MARCH_29 + 6 * HOUR), timezone="Europe/Paris")
    assert report.total.calls == 1


def test_the_number_of_windows_is_limited() -> None:
    with pytest.raises(ValueError, match="more than 800 hours"):
        spend_report(Calls(), _query(("hour",), 0, MARCH_29))


def test_one_dimension_of_time_at_once() -> None:
    with pytest.raises(ValueError, match="one dimension of time"):
        spend_report(Calls(), _query(("hour", "day"), 0, 1))
