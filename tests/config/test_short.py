"""The short forms of limits."""

from __future__ import annotations

import contextlib
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.config.short import Period, parse_amount, parse_period, parse_short
from bursar.core.budget import Limit, Unit
from bursar.core.money import NANO_PER_USD
from bursar.core.window import WindowKind

USD = NANO_PER_USD


@pytest.mark.parametrize(
    ("text", "unit", "amount", "kind"),
    [
        ("$5 / day", Unit.USD, 5 * USD, WindowKind.DAY),
        ("$5/day", Unit.USD, 5 * USD, WindowKind.DAY),
        ("  $ 5  /  Day ", Unit.USD, 5 * USD, WindowKind.DAY),
        ("$5 a day", Unit.USD, 5 * USD, WindowKind.DAY),
        ("5 usd per day", Unit.USD, 5 * USD, WindowKind.DAY),
        ("USD 5 per day", Unit.USD, 5 * USD, WindowKind.DAY),
        ("5$ every hour", Unit.USD, 5 * USD, WindowKind.HOUR),
        ("5 dollars an hour", Unit.USD, 5 * USD, WindowKind.HOUR),
        ("$0.10 / day", Unit.USD, USD // 10, WindowKind.DAY),
        ("$.5 / day", Unit.USD, USD // 2, WindowKind.DAY),
        ("$0 / day", Unit.USD, 0, WindowKind.DAY),
        ("$1.5k / month", Unit.USD, 1500 * USD, WindowKind.MONTH),
        ("$1,000,000.000000001 / month", Unit.USD, 10**6 * USD + 1, WindowKind.MONTH),
        ("$1 / run", Unit.USD, USD, WindowKind.RUN),
        ("$100 total", Unit.USD, 100 * USD, WindowKind.TOTAL),
        ("$100 in total", Unit.USD, 100 * USD, WindowKind.TOTAL),
        ("100 usd total", Unit.USD, 100 * USD, WindowKind.TOTAL),
        ("$100 / total", Unit.USD, 100 * USD, WindowKind.TOTAL),
        ("50k tokens / day", Unit.TOKENS, 50_000, WindowKind.DAY),
        ("50 K tokens / day", Unit.TOKENS, 50_000, WindowKind.DAY),
        ("1.5k tokens / day", Unit.TOKENS, 1_500, WindowKind.DAY),
        ("1 token / day", Unit.TOKENS, 1, WindowKind.DAY),
        ("50,000 tokens / day", Unit.TOKENS, 50_000, WindowKind.DAY),
        ("50_000 tokens / day", Unit.TOKENS, 50_000, WindowKind.DAY),
        ("1M tokens / month", Unit.TOKENS, 10**6, WindowKind.MONTH),
        ("2G tokens total", Unit.TOKENS, 2 * 10**9, WindowKind.TOTAL),
        ("1.5M input tokens per week", Unit.INPUT_TOKENS, 1_500_000, WindowKind.WEEK),
        ("9 output tokens each run", Unit.OUTPUT_TOKENS, 9, WindowKind.RUN),
        ("100 requests / minute", Unit.REQUESTS, 100, WindowKind.MINUTE),
        ("1 request/minute", Unit.REQUESTS, 1, WindowKind.MINUTE),
    ],
)
def test_a_short_form_is_read(text: str, unit: Unit, amount: int, kind: WindowKind) -> None:
    short = parse_short(text)
    assert (short.limit, short.period) == (Limit(unit, amount), Period(kind))


@pytest.mark.parametrize(
    ("text", "days", "since"),
    [
        ("$100 / 12 weeks from 2026-11-01", 84, date(2026, 11, 1)),
        ("$25 / 30 days from 2026-11-01", 30, date(2026, 11, 1)),
        ("$25 per 1 day from 2028-02-29", 1, date(2028, 2, 29)),
    ],
)
def test_a_span_of_days_is_read(text: str, days: int, since: date) -> None:
    assert parse_short(text).period == Period(WindowKind.DAYS, days, since)


def test_without_a_window_none_is_made_up() -> None:
    assert parse_short("$5").period is None


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "is not a limit"),
        ("day", "is not a limit"),
        ("-$5 / day", "is not a limit"),
        ("$-5 / day", "is not a limit"),
        ("nan tokens / day", "is not a limit"),
        ("$inf / day", "is not a limit"),
        ("5 / day", "of what"),
        ("$1,5 / day", "is not a number"),
        ("$1.000.000 / day", "is not a number"),
        ("$05 / day", "begins with 0"),
        ("$5. / day", "is not a number"),
        ("$0.0000000001 / day", "nine decimals"),
        ("$9,000,001 / day", "largest limit"),
        ("$99999999999999999999999999 / day", "is not a number"),
        ("5 tokns / day", "did you mean 'tokens'"),
        ("5 € / day", "is not counted"),
        ("$5 tokens / day", "does not fit an amount of money"),
        ("50m tokens / day", "M for millions"),
        ("1b tokens / day", "G for billions"),
        ("1.0001k tokens / day", "not a whole number of tokens"),
        ("0.5 requests / day", "not a whole number of requests"),
        ("9007199254740993 tokens / day", "lies between"),
        ("1e3 tokens / day", "is not counted"),
        ("$5 / dya", "did you mean 'day'"),
        ("$5 /", "is no window"),
        ("$5 / day / run", "is no window"),
        ("$5 / days", "did you mean 'day'"),
        ("$5 / 30 days", "from which day"),
        ("$5 / 0 days from 2026-11-01", "1 to 36600 days"),
        ("$5 / 99999 weeks from 2026-11-01", "1 to 36600 days"),
        ("$5 / 30 days from 2026-02-30", "is not a day"),
        ("$5 / 30 days from 1.11.2026", "is not a day"),
        ("$5 / day" + " " * 200 + "x", "is no window"),
        ("$5 / " + "d" * 200, "is not a limit"),
    ],
)
def test_what_is_no_short_form_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_short(text)
    assert advice in str(caught.value)


@given(st.integers(0, 9 * 10**12), st.sampled_from([("", 1), ("k", 10**3), ("M", 10**6)]))
def test_money_is_exact_with_every_suffix(micro: int, suffix: tuple[str, int]) -> None:
    letter, scale = suffix
    number = f"{Decimal(micro) / 10**6 / scale:f}"
    if len(number) <= 24:
        assert parse_short(f"${number}{letter} / day").limit.amount == micro * 1000


@given(st.integers(0, 2**53))
def test_a_count_is_exact(count: int) -> None:
    assert parse_amount(Unit.TOKENS, str(count)).amount == count
    assert parse_short(f"{count:,} tokens / day").limit.amount == count


@given(
    st.text(max_size=60)
    | st.from_regex(r"\$?[0-9.,]{1,6} ?[kM]?[a-z ]{0,8} ?(/|per) ?[a-z0-9 -]{0,20}", fullmatch=True)
)
def test_any_text_is_a_limit_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_short(text).limit.amount >= 0


def test_an_amount_may_repeat_its_unit_but_not_name_another() -> None:
    assert parse_amount(Unit.USD, "5 usd") == parse_amount(Unit.USD, "$5") == Limit(Unit.USD, 5 * USD)
    assert parse_amount(Unit.TOKENS, "5 k tokens") == Limit(Unit.TOKENS, 5_000)
    for unit, text in ((Unit.TOKENS, "$5"), (Unit.USD, "5 tokens"), (Unit.REQUESTS, "5 / day"), (Unit.TOKENS, "")):
        with pytest.raises(ValueError, match="is not an amount of"):
            parse_amount(unit, text)


@pytest.mark.parametrize("kind", [kind for kind in WindowKind if kind is not WindowKind.DAYS])
def test_each_kind_of_window_is_read_as_it_prints(kind: WindowKind) -> None:
    assert parse_period(str(Period(kind))) == Period(kind)


def test_a_window_of_days_is_read_as_it_prints() -> None:
    period = Period(WindowKind.DAYS, 84, date(2026, 11, 1))
    assert parse_period(str(period)) == period
