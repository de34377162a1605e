"""The invoice: integers, rounded up once per call, exact in total for ever."""

from __future__ import annotations

import random
from fractions import Fraction
from math import ceil

import pytest

from bursar.testing import Rates
from bursar.testing.provider import Units, cost_nano
from bursar.testing.provider.invoice import Invoice, OpenCall


def _call(call_id: str, rates: Rates | None = None) -> OpenCall:
    return OpenCall(call_id, "openai", "m", "2026-01-01", False, None, {}, rates or Rates(), lambda: 3)


@pytest.mark.parametrize(
    ("units", "rates", "cost"),
    [
        (Units(0, 0, 0, 0), Rates(), 0),
        (Units(1_000_000, 0, 0, 0), Rates(), 2_500_000_000),
        (Units(0, 0, 0, 1_000_000), Rates(), 10_000_000_000),
        (Units(0, 1_000_000, 0, 0), Rates(), 1_250_000_000),
        (Units(0, 0, 1_000_000, 0), Rates(), 2_500_000_000),
        (Units(0, 0, 4, 0), Rates(input=1_000, cache_write=2_000), 8),
        (Units(1, 0, 0, 0), Rates(input=1), 1),
        (Units(1, 1, 1, 1), Rates(1, 1, 997, 1), 1),
        (Units(1, 1, 1, 1), Rates(1, 1, 998, 1), 2),
    ],
)
def test_a_cost_is_the_sum_of_units_times_rates_rounded_up_once(units: Units, rates: Rates, cost: int) -> None:
    assert cost_nano(units, rates) == cost


def test_a_cost_equals_exact_arithmetic_on_random_calls() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(500):
        counts = [source.randrange(10 ** source.randrange(1, 8)) for _ in range(4)]
        prices = [source.randrange(10**8) for _ in range(4)]
        exact = sum((Fraction(count * price, 1000) for count, price in zip(counts, prices, strict=True)), Fraction())
        rates = Rates(input=prices[0], cache_read=prices[1], cache_write=prices[2], output=prices[3])
        assert cost_nano(Units(*counts), rates) == ceil(exact)


def test_totals_stay_exact_when_the_list_of_calls_is_full() -> None:
    invoice = Invoice(calls_max=10)
    for number in range(25):
        invoice.begin(_call(str(number)))
        invoice.end(str(number), Units(0, 0, 0, 1), "complete", 200)
    report = invoice.report()
    assert [line["id"] for line in report["calls"]] == [str(number) for number in range(15, 25)]
    assert (report["total_nano"], report["billed"], report["ended"]) == (25 * 10_000, 25, 25)
    assert [line["id"] for line in invoice.report(2)["calls"]] == ["23", "24"]
    assert invoice.report(0)["calls"] == []


def test_a_call_is_billed_once_and_never_again() -> None:
    invoice = Invoice()
    invoice.begin(_call("a"))
    invoice.end("a", Units(0, 0, 0, 1), "complete", 200)
    with pytest.raises(KeyError):
        invoice.end("a", Units(0, 0, 0, 1), "complete", 200)
    with pytest.raises(KeyError):
        invoice.end_unbilled("a", "error", 500)
    assert invoice.total_nano == 10_000


def test_an_unbilled_call_is_listed_and_costs_nothing() -> None:
    invoice = Invoice()
    invoice.begin(_call("a"))
    invoice.end_unbilled("a", "error", 503)
    line = invoice.report()["calls"][0]
    assert (line["billed"], line["cost_nano"], line["status"], line["output_tokens"]) == (False, 0, 503, 0)
    assert (invoice.total_nano, invoice.billed, invoice.ended) == (0, 0, 1)


def test_a_call_in_flight_over_the_end_of_a_period_is_billed_in_the_new_one() -> None:
    invoice = Invoice()
    invoice.arrive()
    invoice.begin(_call("a"))
    assert [line["generated_tokens"] for line in invoice.report()["open"]] == [3]
    closed = invoice.close_period()
    invoice.end("a", Units(0, 0, 0, 5), "complete", 200)
    assert (closed["total_nano"], closed["requests"], closed["calls"]) == (0, 1, [])
    report = invoice.report()
    assert (report["total_nano"], report["requests"], report["open"]) == (50_000, 0, [])
