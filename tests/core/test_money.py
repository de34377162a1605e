"""Money is exact, or refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.core.charge import AMOUNT_COUNTABLE_MAX, FLAGS, ZERO, Amounts, Charge
from bursar.core.money import AMOUNT_MAX, ceil_nano, format_usd, parse_usd, pico_per_token
from bursar.core.rates import Card, Rates, Tier
from bursar.core.usage import COUNT_MAX, Usage

USD = 1_000_000_000


@given(st.integers(0, AMOUNT_MAX))
def test_what_is_written_is_read_again(nano: int) -> None:
    assert parse_usd(format_usd(nano)) == nano


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("$5", 5 * USD),
        ("0.50", USD // 2),
        ("12 usd", 12 * USD),
        ("USD 7", 7 * USD),
        ("5$", 5 * USD),
        (5, 5 * USD),
        (".5", USD // 2),
        ("1,000.25", 1000 * USD + USD // 4),
        ("1_000_000", 10**6 * USD),
        ("0.000000001", 1),
        ("0.0000000010", 1),
        ("9000000", AMOUNT_MAX),
    ],
)
def test_amounts_are_read(text: str | int, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "five",
        "-1",
        "1e3",
        "nan",
        "inf",
        "1.",
        "1.2.3",
        "$1 $2",
        "€5",
        "٥",
        True,
        "0.0000000001",
        "1.00000000000000000000000000001",
        "9000000.01",
        "9" * 40,
        "9" * 5000,
        "0,50",
        "1,00",
        "10,0",
        "1,0000",
        "1,000_000",
        "1__0",
        "1\n",
    ],
)
def test_anything_else_is_refused(text: str | int) -> None:
    if text == "1\n":
        assert parse_usd(text) == USD, "white space around is no matter"
        return
    with pytest.raises(ValueError, match=r"amount|decimals|limit"):
        parse_usd(text)


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (USD // 2, "$0.50"),
        (-USD * 5 // 4, "-$1.25"),
        (1234567 * USD, "$1,234,567.00"),
    ],
)
def test_amounts_are_written_as_a_person_reads_them(nano: int, text: str) -> None:
    assert format_usd(nano) == text


@given(st.integers(0, 10**40))
def test_rounding_goes_up_by_less_than_one_nano(pico: int) -> None:
    """R43"""
    assert 0 <= ceil_nano(pico) - Fraction(pico, 1000) < 1


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_a_sum_of_rounded_costs_is_never_below_the_truth_and_at_most_one_nano_each_above(costs: list[int]) -> None:
    """R43"""
    assert 0 <= sum(map(ceil_nano, costs)) - Fraction(sum(costs), 1000) <= len(costs)


@pytest.mark.parametrize(
    ("price", "pico"),
    [
        ("1", 10**6),
        ("0.000001", 1),
        ("2.5", 2_500_000),
        (Decimal("0.15"), 150_000),
        (3, 3 * 10**6),
        ("0", 0),
        ("-0", 0),
    ],
)
def test_list_prices_are_exact(price: str | int | Decimal, pico: int) -> None:
    assert pico_per_token(price) == pico


@pytest.mark.parametrize(
    "price", ["-1", "0.0000001", "nan", "inf", "1.0000000000000000000000000000001", "1e999999999", "1e-999999999"]
)
def test_a_price_that_is_not_exact_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match="pico"):
        pico_per_token(price)


RATES = Rates(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)


@pytest.mark.parametrize("count", [0, 1, 2**31, 2**53, COUNT_MAX])
def test_costs_are_exact_at_any_count(count: int) -> None:
    """R42: Python's integers do not wrap, and no float is near."""
    usage = Usage(*[count] * 10)
    card = Card("p", "m", "s", "v", (Tier(0, RATES),))
    assert card.cost(usage) == -(-(count * 55 + 11) // 1000)
    assert Amounts.of(0, usage).input_tokens == 6 * count


@pytest.mark.parametrize("count", [-1, COUNT_MAX + 1, 1.0, True, None, "5"])
def test_what_is_no_count_cannot_be_a_usage(count: object) -> None:
    with pytest.raises(ValueError, match="input_tokens"):
        Usage(input_tokens=count)  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", [-1, AMOUNT_COUNTABLE_MAX + 1, 1.0, True])
def test_what_is_no_amount_cannot_be_charged(amount: object) -> None:
    with pytest.raises(ValueError, match="cost_nano"):
        Charge(Amounts(cost_nano=amount))  # type: ignore[arg-type]


def test_an_unknown_flag_cannot_be_charged() -> None:
    Charge(ZERO, frozenset(FLAGS))
    with pytest.raises(ValueError, match="unknown flags"):
        Charge(ZERO, frozenset({"lucky"}))


@given(st.lists(st.integers(0, 2**40), min_size=14, max_size=14))
def test_amounts_add_and_take_away(numbers: list[int]) -> None:
    one, two = Amounts(*numbers[:7]), Amounts(*numbers[7:])
    assert (one + two) - two == one
    assert one + -one == ZERO
    assert list(one.as_dict().values()) == numbers[:7]


@pytest.mark.parametrize(("input_total", "cost"), [(0, 0), (200, 200), (201, 402)])
def test_a_tier_applies_to_the_whole_call_above_its_threshold(input_total: int, cost: int) -> None:
    def rates(each: int) -> Rates:
        return Rates(each, 0, 0, 0, 0, 0, 0, 0, 0)

    card = Card("p", "m", "s", "v", (Tier(0, rates(1000)), Tier(200, rates(2000))))
    assert card.cost(Usage(input_tokens=input_total)) == cost


@pytest.mark.parametrize("tiers", [(), (Tier(1, RATES),), (Tier(0, RATES), Tier(0, RATES))])
def test_a_card_without_rising_tiers_from_zero_cannot_be_made(tiers: tuple[Tier, ...]) -> None:
    with pytest.raises(ValueError, match="tiers"):
        Card("p", "m", "s", "v", tiers)
