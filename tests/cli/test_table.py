"""Tables, CSV, money as text and instants as people write them."""

from __future__ import annotations

import csv
import io
from zoneinfo import ZoneInfo

import pytest

from bursar.cli.table import Column, csv_text, table
from bursar.cli.when import parse_instant
from bursar.cli.words import short_money
from bursar.core.window import NS
from bursar.errors import UsageError
from bursar.reports.shown import plain_usd

NOW = 1_795_348_800 * NS  # 2026-11-22T12:00Z


def test_text_is_cut_to_the_width_and_numbers_are_not() -> None:
    columns = [Column("name", is_text=True), Column("cost")]
    lines = table(columns, [["a" * 100, "123,456,789"], ["b", "1"]], 40)
    assert max(map(len, lines)) == 40
    assert lines[1].endswith("…  123,456,789")
    assert lines[2].endswith(" 1")


def test_wide_letters_keep_the_columns_aligned() -> None:
    columns = [Column("name", is_text=True), Column("n")]
    lines = table(columns, [["研究", "1"], ["abcd", "2"]], 80)
    assert lines[1] == "研究  1"
    assert lines[2] == "abcd  2"


def test_control_characters_are_replaced() -> None:
    assert "\x1b" not in "".join(table([Column("x", is_text=True)], [["\x1b[31mred\n"]], 80))


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "  =1", "\n=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(cell: str) -> None:
    (_, (read,)) = csv.reader(io.StringIO(csv_text(["label"], [[cell]]), newline=""))
    assert read.startswith("'")
    assert read[1:] == cell


def test_numbers_in_csv_stay_numbers() -> None:
    assert csv_text(["n", "usd"], [[-5, "0.000000001"]]) == "n,usd\r\n-5,0.000000001\r\n"


@pytest.mark.parametrize(
    ("nano", "short", "plain"),
    [
        (0, "$0.0000", "0.00"),
        (1, "<$0.0001", "0.000000001"),
        (50_000, "$0.0001", "0.00005"),
        (1_234_560_000_000, "$1,234.5600", "1234.56"),
    ],
)
def test_money_is_never_shown_as_nothing(nano: int, short: str, plain: str) -> None:
    assert short_money(nano) == short
    assert plain_usd(nano) == plain


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("2026-11-22", "UTC", 1_795_305_600),
        ("2026-11-22", "Europe/Paris", 1_795_302_000),
        ("2026-11-22T06:00", "Europe/Paris", 1_795_323_600),
        ("2026-11-22T06:00+05:00", "UTC", 1_795_309_200),
        ("today", "UTC", 1_795_305_600),
        ("yesterday", "UTC", 1_795_219_200),
        ("month", "UTC", 1_793_491_200),
        ("2h", "UTC", 1_795_341_600),
        ("1w", "UTC", 1_794_744_000),
        ("now", "UTC", 1_795_348_800),
        ("all", "UTC", 0),
        ("2011-12-31", "Pacific/Apia", 1_325_239_200),  # the day after the one that was skipped
    ],
)
def test_instants_are_read_in_the_time_zone(text: str, zone: str, seconds: int) -> None:
    assert parse_instant(text, ZoneInfo(zone), NOW) == seconds * NS


@pytest.mark.parametrize("text", ["", "7", "0d", "2026-13-01", "2026-11-31", "soon", "-3d", "99999999d", "1066-10-14"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="today, yesterday"):
        parse_instant(text, ZoneInfo("UTC"), NOW)
