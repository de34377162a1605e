"""`bursar statusline`: one short line of money for a shell, tmux or Claude Code.

Owns the line, its named fields and the reading of what Claude Code says on stdin. It is drawn every few seconds, so it
loads little (neither the settings nor the domain) and never fails: where there is nothing to read it says so and exits
with 0. It must never run what stands in a template, a label or stdin: all of that is text.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from bursar.config.where import ledger_path_here
from bursar.core.money import NANO_PER_USD, format_usd
from bursar.core.window import NS, Window, WindowKind
from bursar.errors import BursarError, NotFound
from bursar.wiring.peek import Fullest, Peek, Sum, open_peek

__all__ = ["FIELDS", "statusline"]

TENANT = "default"
MINUTE_NS = 60 * NS
SESSION_NS = 7 * 86_400 * NS
"""How far back the calls of a session are looked for."""
STDIN_BYTES_MAX = 2**20
STDIN_WAIT_S = 0.1
"""How long stdin may say nothing, or not end, before the line is drawn without it."""
STDIN_S_MAX = 1.0
SHOWN_MAX = 60
FIELDS = {
    "today_usd": "spent today",
    "today_calls": "calls today",
    "session_usd": "spent by the session, in the last 7 days",
    "session_calls": "its calls",
    "rate_usd": "spent in the last minute",
    "in_flight": "calls in flight",
    "held_usd": "money held for them",
    "budget": "the fullest budget, with its scope",
    "budget_percent": "how much of it is used, in percent",
    "budget_state": "EXCEEDED when all of it is used",
    "model": "the model that Claude Code names",
}
"""Every name that a template may use. Empty where nothing is known."""
_FIELD = re.compile(r"\{([a-z_]+)\}")


class Wanted(NamedTuple):
    """What the options say."""

    session: str
    budget: str
    tenant: str
    tz: str | None
    config: Path | None
    store: str | None


class Said(NamedTuple):
    """What Claude Code says of itself on stdin."""

    session: str = ""
    model: str = ""


@click.command()
@click.option("--format", "template", metavar="TEXT", help="The line, with fields such as {today_usd}; see the docs.")
@click.option("--session", default="", metavar="ID", help="Show this session, too (default: what stdin says).")
@click.option("--budget", default="", metavar="NAME", help="Show this budget (default: the fullest).")
@click.option("--tenant", default=TENANT, show_default=True, metavar="NAME", help="Whose money.")
@click.option("--tz", metavar="ZONE", help="Whose today (default: that of the budgets if they share one, else UTC).")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The configuration.")
@click.option("--store", metavar="PATH", help="The ledger's file (default: store.path, else bursar.db).")
@click.option("--json", "as_json", is_flag=True, help="Print the fields as JSON.")
def statusline(template: str | None, as_json: bool, **asked: Any) -> None:
    """One short line: spent today, the fullest budget, calls in flight.

    For a shell prompt, tmux, or Claude Code's statusLine, whose session it shows. It always exits with 0.
    """
    said, wanted = _said(_stdin()), Wanted(**asked)
    wanted = wanted._replace(session=wanted.session or said.session)
    try:
        fields = _look(wanted)
    except NotFound:
        click.echo("{}" if as_json else "bursar: no ledger yet")
        return
    except BursarError as error:
        click.echo("{}" if as_json else f"bursar: {_shown(error.message)}")
        return
    fields["model"] = _shown(said.model)
    if as_json:
        click.echo(json.dumps(fields, ensure_ascii=False))
    else:
        click.echo(_line(fields) if template is None else filled(template, fields))


def _look(wanted: Wanted) -> dict[str, str]:
    peek = open_peek(ledger_path_here(wanted.config, wanted.store), wanted.tenant)
    try:
        return _fields(peek, wanted)
    finally:
        peek.close()


def filled(template: str, fields: Mapping[str, str]) -> str:
    """Put the fields into a template; what is no field stays as it is written."""
    return _FIELD.sub(lambda found: fields.get(found[1], found[0]), template)


def _fields(peek: Peek, wanted: Wanted) -> dict[str, str]:
    now_ns, session = time.time_ns(), wanted.session
    zones = [wanted.tz] if wanted.tz else peek.zones()
    today = peek.spent(_day_start(zones[0] if len(zones) == 1 else "UTC", now_ns))
    of_session = peek.spent(now_ns - SESSION_NS, "session", session) if session else None
    in_flight, fullest = peek.in_flight(), peek.fullest(now_ns, wanted.budget)
    return {
        "today_usd": cents(today.cost_nano),
        "today_calls": f"{today.calls:,}",
        **_session_fields(of_session),
        "rate_usd": cents(peek.lately(now_ns - MINUTE_NS)),
        "in_flight": f"{in_flight.calls:,}",
        "held_usd": cents(in_flight.cost_nano),
        **_budget_fields(fullest),
    }


def _session_fields(found: Sum | None) -> dict[str, str]:
    if found is None:
        return {"session_usd": "", "session_calls": ""}
    return {"session_usd": cents(found.cost_nano), "session_calls": f"{found.calls:,}"}


def _budget_fields(fullest: Fullest | None) -> dict[str, str]:
    if fullest is None:
        return {"budget": "", "budget_percent": "", "budget_state": ""}
    name = f"{fullest.budget} {fullest.scope}".rstrip()
    is_over = fullest.used >= fullest.limit
    return {
        "budget": _shown(name),
        "budget_percent": str(fullest.percent),
        "budget_state": "EXCEEDED" if is_over else "",
    }


def _line(fields: Mapping[str, str]) -> str:
    parts = [f"{fields['session_usd']} session"] if fields["session_usd"] else []
    parts.append(f"{fields['today_usd']} today")
    if fields["budget"]:
        parts.append(f"budget {fields['budget']} {fields['budget_percent']}% {fields['budget_state']}".rstrip())
    if fields["in_flight"] != "0":
        parts.append(f"{fields['in_flight']} in flight")
    return " · ".join(parts)


def cents(nano: int) -> str:
    """Write an amount to the nearest cent; less than that is never shown as nothing."""
    rounded = (nano * 100 + NANO_PER_USD // 2) // NANO_PER_USD
    return "<$0.01" if nano > 0 and not rounded else format_usd(rounded * (NANO_PER_USD // 100))


def _day_start(zone: str, now_ns: int) -> int:
    try:
        return Window(WindowKind.DAY, zone).span(now_ns).starts_ns
    except (ValueError, OSError):  # no such time zone
        return Window(WindowKind.DAY).span(now_ns).starts_ns


def _shown(text: str) -> str:
    """Let nothing in a value move a cursor, break the line, or be taken for a style by tmux (`#[…]`)."""
    cut = text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 1]}…"
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut)
    return re.sub(r"#(?=[\[({])", "\N{REPLACEMENT CHARACTER}", plain)


def _said(text: bytes) -> Said:
    """Read what Claude Code says; nothing where it is something else."""
    try:
        found = json.loads(text) if text.lstrip().startswith(b"{") else None
    except (ValueError, RecursionError):
        return Said()
    if not isinstance(found, dict):
        return Said()
    session, model = found.get("session_id"), found.get("model")
    name = model.get("display_name") or model.get("id") if isinstance(model, dict) else ""
    return Said(session if isinstance(session, str) else "", name if isinstance(name, str) else "")


def _stdin() -> bytes:
    """Read what is said on stdin, as long as it comes at once and ends: a terminal or an idle pipe says nothing."""
    try:
        number = sys.stdin.fileno()
    except io.UnsupportedOperation:
        return sys.stdin.buffer.read(STDIN_BYTES_MAX)
    except (AttributeError, ValueError):  # closed
        return b""
    if os.isatty(number):
        return b""
    pieces, size, ends = [], 0, time.monotonic() + STDIN_S_MAX
    while size < STDIN_BYTES_MAX and time.monotonic() < ends and select.select([number], [], [], STDIN_WAIT_S)[0]:
        piece = os.read(number, 65_536)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
