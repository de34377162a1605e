"""`bursar call`: the last calls, or one call explained.

Owns the words for states, flags and parts; the parts are made in `reports/anatomy.py`.
"""

from __future__ import annotations

import contextlib
from zoneinfo import ZoneInfo

import click

from bursar.cli.options import (
    OpenLedger,
    Source,
    hint_elsewhere,
    json_option,
    ledger_of,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.words import instant, money, short_money
from bursar.config.settings import Settings
from bursar.core.charge import Amounts
from bursar.core.hold import State
from bursar.core.labels import NONE, Labels
from bursar.core.ledger import HoldRow
from bursar.core.money import Nano
from bursar.core.rates import Card
from bursar.core.window import to_datetime
from bursar.errors import NotFound
from bursar.reports.anatomy import Anatomy, Basis, Part, amounts_of, anatomy
from bursar.reports.shown import call_json, parts_json
from bursar.wiring.prices import open_prices

__all__ = ["BASES", "ENDINGS", "FLAG_WORDS", "STATE_WORDS", "call", "echo_calls", "find_call"]

LAST = 20
FLAG_WORDS = {
    "estimated": "the provider told no usage: this is an upper estimate",
    "cut": "bursar ended the stream, since the budget had no room for more",
    "hangup": "the client went away in mid-stream",
    "unpriced": "nobody knows the price, and a setting allowed the call: its cost is not in here",
    "input_over": "there was more input than estimated; the next estimate has learnt from it",
    "bound_violation": "the true amount is above what was held",
    "late": "the truth came after the hold had been released",
    "attempts": "an earlier attempt that may have been billed is included",
    "corrected": "a person corrected it",
}
STATE_WORDS = {
    State.OPEN: "open: in flight, money is held for it",
    State.SETTLED: "settled: this is what it came to",
    State.RELEASED: "released: it was not billed and cost nothing",
    State.PRESUMED: "presumed: sent, but never answered for, so it counts in full until the truth is known",
}
ENDINGS = {
    "complete": "the answer was complete",
    "capped": "the answer ended at the output cap",
    "cut": "bursar ended the stream at the budget's limit",
    "hangup": "the client went away",
    "error": "the provider refused or failed",
    "lost": "the connection was lost",
}
BASES = {
    Basis.EXACT: "by the model's rates, which give exactly this cost",
    Basis.SHARED: "shares of the cost in proportion to the rates known now, which alone give another sum",
    Basis.TOKENS: "shares by tokens, since no rates are known for this model",
}


@click.command()
@click.argument("call_id", metavar="[ID]", required=False)
@click.option(
    "--last", type=click.IntRange(1, 1_000), default=LAST, show_default=True, help="Without ID: how many calls."
)
@tenant_option("Whose calls.")
@source_options
@tz_option
@json_option
def call(call_id: str | None, last: int, tenant: str, source: Source, tz: str | None, as_json: bool) -> None:
    """The last calls, or, with an ID, one call explained: what each part of it cost, and why.

    The ID stands in the header x-bursar-call of every reply.
    """
    settings = source.load()
    zone = zone_of(tz, settings)
    with ledger_of(settings) as ledger:
        found = [find_call(ledger, tenant, call_id.strip())] if call_id else ledger.holds(tenant, tuple(State), last)
        rows = [row for row in found if call_id or not row.is_unused]
        if not rows:
            hint_elsewhere(ledger, tenant)
    if call_id is None:
        if as_json:
            echo_json([call_json(row) for row in rows])
        else:
            echo_calls(rows, zone)
        return
    card = _card(settings, rows[0])
    parts = anatomy(rows[0], card)
    if as_json:
        echo_json({**call_json(rows[0]), **parts_json(parts)})
    else:
        _explain(rows[0], parts, zone)


def find_call(ledger: OpenLedger, tenant: str, call_id: str) -> HoldRow:
    """Read one call. Raises NotFound, which says whose it is when it is another tenant's."""
    try:
        row: HoldRow = ledger.hold(tenant, call_id)
    except NotFound as error:
        other = next((other for other in ledger.tenants() if _is_of(ledger, other, call_id)), None)
        if other is None:
            raise
        raise NotFound(f"call {call_id} is not one of tenant {tenant}: --tenant {other}") from error
    return row


def _is_of(ledger: OpenLedger, tenant: str, call_id: str) -> bool:
    with contextlib.suppress(NotFound):
        ledger.hold(tenant, call_id)
        return True
    return False


def echo_calls(rows: list[HoldRow], zone: ZoneInfo) -> None:
    """Print calls as a table, the latest first."""
    if not rows:
        click.echo("no calls")
        return
    columns = [
        Column("call", is_text=True, is_id=True),
        Column("time", is_text=True),
        Column("agent", is_text=True),
        Column("model", is_text=True),
        Column("state", is_text=True),
        Column("input"),
        Column("output"),
        Column("cost"),
        Column("flags", is_text=True),
    ]
    cells = []
    for row in rows:
        amounts, labels = amounts_of(row), Labels(row.labels)
        numbers = (f"{amounts.input_tokens:,}", f"{amounts.output_tokens:,}", short_money(amounts.cost_nano))
        state, flags = row.state.name.lower(), " ".join(sorted(row.flags))
        at = instant(row.opened_ns, zone, "%m-%d %H:%M:%S")
        cells.append([row.id, at, labels["agent"], labels["model"], state, *numbers, flags])
    if not any(row.flags for row in rows):
        columns, cells = columns[:-1], [row[:-1] for row in cells]
    echo_table(columns, cells)


def _card(settings: Settings, row: HoldRow) -> Card | None:
    labels = Labels(row.labels)
    provider, _, model = (row.note.answered_by or f"{labels['provider']}/{labels['model']}").partition("/")
    return open_prices(settings).card(provider, model, at=to_datetime(row.opened_ns))


def _explain(row: HoldRow, parts: Anatomy, zone: ZoneInfo) -> None:
    labels, note = Labels(row.labels), row.note
    _lines(
        ("call", row.id),
        ("model", f"{labels['model']} of {labels['provider']} ({labels['wire']})"),
        (
            "time",
            f"{instant(row.opened_ns, zone)} {zone.key}{f', {note.duration_ms:,} ms' if note.duration_ms else ''}",
        ),
        ("answered", f"by the fall-back {note.answered_by}" if note.answered_by else ""),
        ("state", STATE_WORDS[row.state]),
        ("ended", _ending(row)),
        ("cost", f"{money(parts.amounts.cost_nano)}{f' by {row.price}' if row.price else ''}"),
        ("held", f"{money(row.held.cost_nano)} for up to {row.held.output_tokens:,} tokens of output"),
        ("cap sent", f"{note.cap:,} tokens of output" if note.cap else ""),
        ("process", row.process if row.state is State.OPEN else ""),
        ("loop", note.seen),
    )
    for name, value in row.labels.items():
        if name not in ("model", "provider", "wire"):
            _lines((name, value))
    for flag in sorted(row.flags):
        _lines(("flag", f"{flag}: {FLAG_WORDS.get(flag, '')}"))
    if row.state is not State.RELEASED:
        click.echo()
        _echo_parts(parts)


def _lines(*pairs: tuple[str, str]) -> None:
    for name, value in pairs:
        if value and value != NONE:
            shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value)
            click.echo(f"{name:<9} {shown}")


def _ending(row: HoldRow) -> str:
    words = ENDINGS.get(row.note.ended, row.note.ended)
    return f"{words} (HTTP {row.note.status})" if row.note.status else words


def _echo_parts(parts: Anatomy) -> None:
    total = parts.amounts
    rows = [
        *(
            _part_cells(part.name if part.name == "input" else f"input: {part.name}", part, total)
            for part in parts.where
        ),
        *(_part_cells(part.name, part, total) for part in parts.output if part.tokens or part.name == "answer"),
    ]
    if parts.fee_nano:
        rows.append(["fee per request", "", money(parts.fee_nano), _percent(parts.fee_nano, total)])
    columns = (Column("part", is_text=True), Column("tokens"), Column("cost"), Column("share"))
    tokens = total.input_tokens + total.output_tokens
    echo_table(columns, rows, ["total", f"{tokens:,}", money(total.cost_nano), ""])
    click.echo(f"parts: {BASES[parts.basis]}; of the input, by where its bytes sat")
    if any(part.tokens for part in parts.rated[1:]):
        told = ", ".join(
            f"{part.name.replace('_', ' ')} {part.tokens:,} tokens {money(part.cost_nano)}" for part in parts.rated
        )
        click.echo(f"input by rate: {told}")


def _part_cells(name: str, part: Part, total: Amounts) -> list[str]:
    return [name, f"{part.tokens:,}", money(part.cost_nano), _percent(part.cost_nano, total)]


def _percent(cost_nano: Nano, total: Amounts) -> str:
    """Write a share of the cost in whole percent, to the nearest."""
    return f"{(cost_nano * 200 + total.cost_nano) // (total.cost_nano * 2)} %" if total.cost_nano else "-"
