"""`bursar top`: the money live on a full screen, or one plain snapshot.

Owns the command: where the figures come from (the ledger's file, or a gateway's admin API) and in which form they are
shown. The screen is `top_app.py`, which needs the extra `top`; the plain forms need none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

import click

from bursar.actions.live import watch
from bursar.cli.follow import Followed
from bursar.cli.options import (
    TENANT,
    Source,
    hint_elsewhere,
    json_option,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.remote import live
from bursar.cli.table import echo_json
from bursar.cli.top_view import Kind, View, draw
from bursar.config import environment
from bursar.config.settings import Settings
from bursar.errors import UsageError
from bursar.reports.live import LIVE_LABELS, Snapshot
from bursar.reports.live import as_json as snapshot_json

__all__ = ["top"]

PLAIN_SIZE = (120, 60)


@click.command()
@click.option("--every", type=click.FloatRange(0.2, 3_600), default=1.0, show_default=True, help="Seconds per look.")
@click.option("--once", is_flag=True, help="Print one plain snapshot (as when stdout is no terminal).")
@click.option("--by", type=click.Choice(LIVE_LABELS), default=LIVE_LABELS[0], show_default=True, help="What to rank.")
@click.option("--url", metavar="URL", help="Ask the gateway there, over its admin API, instead of reading the file.")
@click.option(
    "--key", envvar=environment.KEY, default="", metavar="KEY", help="The key for --url (better: BURSAR_KEY)."
)
@tenant_option(f"Whose money (default: {TENANT}; with --url that of the key).", default=None)
@source_options
@tz_option
@json_option
def top(every: float, once: bool, by: str, as_json: bool, source: Source, **others: str | None) -> None:
    """Watch the money live: rates, budgets filling, who spends, calls in flight and ended.

    Keys: ? for help, q to quit. The screen needs `pip install 'bursar[top]'`; --once and --json do not.
    """
    url, tz, key, tenant = others["url"], others["tz"], others["key"] or "", others["tenant"] or ""
    settings = Settings() if url else source.load()
    zone = zone_of(tz, settings)
    with _looking(settings, url, key, tenant) as look:
        if as_json:
            echo_json(snapshot_json(look()))
        elif once or not sys.stdout.isatty() or not sys.stdin.isatty():
            _print(look(), View(label=by), zone)
        else:
            _run(look, zone, every, by)


@contextmanager
def _looking(settings: Settings, url: str | None, key: str, tenant: str) -> Iterator[Callable[[], Snapshot]]:
    """Give what takes a look, at a gateway or at the file."""
    if url:
        yield lambda: live(url, key, tenant)
        return
    tenant = tenant or TENANT
    followed = Followed(settings, lambda ledger: (ledger, watch(ledger, settings.budgets, tenant)))
    is_first = True

    def look() -> Snapshot:
        nonlocal is_first
        (ledger, made), now_ns = followed.get()
        snapshot = made.read(now_ns)
        if is_first and not snapshot.ended and not snapshot.in_flight:
            hint_elsewhere(ledger, tenant)
        is_first = False
        return snapshot

    try:
        yield look
    finally:
        followed.close()


def _print(snapshot: Snapshot, view: View, zone: ZoneInfo) -> None:
    """Print the screen's own lines, without cursor and keys."""
    lines = draw(view, snapshot, PLAIN_SIZE, zone)[:-1]
    while not lines[-1].text:
        lines.pop()
    for line in lines:
        text = line.text.replace("> ", "  ", 1) if line.kind is Kind.CURSOR else line.text
        click.secho(text.rstrip(), bold=line.kind is Kind.TITLE)


def _run(look: Callable[[], Snapshot], zone: ZoneInfo, every_s: float, by: str) -> None:
    try:
        from bursar.cli.top_app import TopApp  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise UsageError(
            "the screen of `bursar top` needs textual: pip install 'bursar[top]'; `bursar top --once` does without"
        ) from error
    look()  # What is wrong with the ledger or the address is one line, not a screen.
    context = click.get_current_context()
    app = TopApp(look, zone, every_s, has_colour=context.color is not False)
    app.view = View(label=by)
    app.run(mouse=False)
