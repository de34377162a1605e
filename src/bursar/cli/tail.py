"""`bursar tail`: follow calls as they end, one line each.

Owns the line, and a clean end on Ctrl-C and on a pipe that is closed. Which calls have ended is `reports/watch.py`'s
matter.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.cli.follow import Followed
from bursar.cli.options import Source, hint_elsewhere, json_option, source_options, tenant_option, tz_option, zone_of
from bursar.cli.spend import read_match
from bursar.cli.table import clean, cut, width_of
from bursar.cli.words import instant, short_money
from bursar.core.hold import State
from bursar.core.labels import Labels
from bursar.core.ledger import HoldRow
from bursar.errors import NotFound, StoreUnavailable
from bursar.reports.anatomy import amounts_of
from bursar.reports.shown import call_json
from bursar.reports.watch import Follower, Ledger

__all__ = ["tail"]

LAST_MAX = 10_000
SEARCHED_MAX = 50_000
"""How many calls are looked through for the last ones that match."""
WIDTH_UNKNOWN = 200
HEAD = ("ended", "call", "agent", "model", "input", "output", "cost", "state")
WIDTHS = (14, 26, 16, 20, 9, 8, 11, 0)
NUMBERS = frozenset({"input", "output", "cost"})


@click.command()
@click.option(
    "-n", "--lines", type=click.IntRange(0, LAST_MAX), default=20, show_default=True, help="The last N first."
)
@click.option("-f", "--follow/--no-follow", default=True, show_default=True, help="Go on with what ends from now on.")
@click.option("--match", "matches", multiple=True, metavar="LABEL=VALUE", help="Only these calls; repeatable.")
@tenant_option("Whose calls.")
@source_options
@tz_option
@json_option
def tail(lines: int, follow: bool, matches: tuple[str, ...], tenant: str, source: Source, **shown: Any) -> None:
    """Follow calls as they end: when, which, whose, tokens, cost, and what became of each.

    A call that is corrected later comes again. Ctrl-C ends it.
    """
    settings = source.load()
    printer = _Printer(zone_of(shown["tz"], settings), read_match(matches), shown["as_json"])
    try:
        with closing(Followed(settings, _itself)) as followed:
            ledger, now_ns = followed.get()
            follower = Follower(ledger, tenant, 0)
            printer.head()
            if not printer.print_last(follower, now_ns, lines) and lines:
                hint_elsewhere(ledger, tenant)
            if follow:
                _follow(followed, follower, printer)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        _let_go_of_stdout()


def _itself(ledger: Ledger) -> Ledger:
    return ledger


def _follow(followed: Followed[Ledger], follower: Follower, printer: _Printer, every_s: float = 0.5) -> None:
    """Look again and again until whoever reads this is gone. A ledger that is away is waited for."""
    is_away = False
    while not _is_reader_gone(every_s):
        try:
            follower.ledger, now_ns = followed.get()
            printer.print(follower.new(now_ns))
            is_away = False
        except (NotFound, StoreUnavailable) as error:
            if not is_away:
                click.echo(f"bursar: {error.message}; waiting for it", err=True)
            is_away = True


def _is_reader_gone(wait_s: float) -> bool:
    """Wait; and tell at once when the pipe that stdout leads into has been closed at its other end."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # no file: a test that catches what is printed
        time.sleep(wait_s)
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(int(wait_s * 1000)))


def _let_go_of_stdout() -> None:
    """Keep Python from failing at its end over what it can no longer write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Printer:
    """Prints calls that match, as lines or as JSON."""

    def __init__(self, zone: ZoneInfo, match: Mapping[str, str], as_json: bool) -> None:
        self._zone, self._match, self._as_json = zone, match, as_json
        self._width = shutil.get_terminal_size((WIDTH_UNKNOWN, 24)).columns if sys.stdout.isatty() else WIDTH_UNKNOWN

    def head(self) -> None:
        if not self._as_json:
            click.secho(self._line(HEAD), bold=True)

    def print_last(self, follower: Follower, now_ns: int, lines: int) -> int:
        """Print the last calls that match, as far back as it is looked; returns how many there were of any kind."""
        rows = follower.last(now_ns, SEARCHED_MAX if self._match and lines else lines)
        found = [row for row in rows if self._is_meant(row)]
        self.print(found[len(found) - min(lines, len(found)) :])
        return len(rows)

    def print(self, rows: Iterable[HoldRow]) -> None:
        for row in rows:
            if self._is_meant(row):
                click.echo(json.dumps(call_json(row), ensure_ascii=False) if self._as_json else self._of(row))
        sys.stdout.flush()

    def _is_meant(self, row: HoldRow) -> bool:
        labels = Labels(row.labels)
        return all(labels[name] == value for name, value in self._match.items())

    def _of(self, row: HoldRow) -> str:
        amounts, labels = amounts_of(row), Labels(row.labels)
        state = row.state.name.lower()
        if row.state is State.RELEASED and row.note.status:
            state = f"{state} (HTTP {row.note.status})"
        return self._line(
            (
                instant(row.closed_ns, self._zone, "%m-%d %H:%M:%S"),
                row.id,
                labels["agent"],
                labels["model"],
                f"{amounts.input_tokens:,}",
                f"{amounts.output_tokens:,}",
                short_money(amounts.cost_nano),
                " ".join((state, *sorted(row.flags))),
            )
        )

    def _line(self, cells: Sequence[str]) -> str:
        """Lay a line out in columns that are the same for every line, whatever comes later."""
        line = "  ".join(_cell(name, cell, width) for name, cell, width in zip(HEAD, cells, WIDTHS, strict=True))
        return cut(line, self._width)


def _cell(name: str, text: str, width: int) -> str:
    shown = clean(text)
    if not width:
        return shown
    if name in NUMBERS:
        return " " * (width - width_of(shown)) + shown
    shown = cut(shown, width)
    return shown + " " * (width - width_of(shown))
