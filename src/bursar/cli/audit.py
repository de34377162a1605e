"""`bursar audit`: who changed what, and when. Owns the table; the log is read by `actions/audit.py`."""

from __future__ import annotations

import click

from bursar.actions.audit import audit_since
from bursar.actions.shown import change_json
from bursar.cli.options import (
    Source,
    json_option,
    ledger_of,
    now,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.when import EXAMPLES, parse_instant
from bursar.cli.words import instant

__all__ = ["audit"]

COLUMNS = (
    Column("no"),
    Column("time", is_text=True),
    Column("who", is_text=True),
    Column("tenant", is_text=True),
    Column("did", is_text=True),
    Column("to", is_text=True),
    Column("now", is_text=True),
)


@click.command()
@click.option("--since", default="all", show_default=True, metavar="TIME", help=f"From then on: {EXAMPLES}.")
@click.option(
    "--top", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N", help="The latest N."
)
@tenant_option("Only what changed for this tenant (default: all).", None)
@source_options
@tz_option
@json_option
def audit(since: str, top: int, tenant: str | None, source: Source, tz: str | None, as_json: bool) -> None:
    """Who changed keys, budgets, prices and pauses, the latest first. Each change has a number; none is missing.

    --json has what was there before and after. Changes in bursar.yaml are in your version control, not here.
    """
    settings = source.load()
    zone = zone_of(tz, settings)
    with ledger_of(settings) as ledger:
        rows = audit_since(ledger, tenant, top, parse_instant(since, zone, now(ledger)))
    if as_json:
        echo_json([change_json(row) for row in rows])
    elif rows:
        echo_table(
            COLUMNS,
            [
                [str(row.seq), instant(row.at_ns, zone), row.actor, row.tenant, row.action, row.name, row.after or "-"]
                for row in rows
            ],
        )
    else:
        click.echo("nothing was changed in this time")
