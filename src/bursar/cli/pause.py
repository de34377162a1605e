"""`bursar pause` and `bursar resume`: stop calls, and let them go on.

Owns the words; the acts are `actions/pauses.py`.
"""

from __future__ import annotations

from typing import Any

import click

from bursar.actions.pauses import PauseWish, list_pauses, resume_all
from bursar.actions.pauses import pause as pause_calls
from bursar.actions.pauses import resume as resume_calls
from bursar.actions.shown import pause_shown
from bursar.cli.options import (
    Source,
    acting,
    json_option,
    ledger_of,
    ledger_to_change,
    pairs,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.words import instant
from bursar.core.control import EVERY_TENANT, Pause
from bursar.errors import UsageError

__all__ = ["pause", "resume"]

COLUMNS = (
    Column("id", is_text=True, is_id=True),
    Column("tenant", is_text=True),
    Column("stopped", is_text=True),
    Column("reason", is_text=True),
    Column("by", is_text=True),
    Column("since", is_text=True),
)


@click.group(invoke_without_command=True)
@click.option(
    "--agent", "agents", multiple=True, metavar="NAME", help="Calls of this agent; * stands for anything; repeatable."
)
@click.option("--label", "labels", multiple=True, metavar="LABEL=VALUE", help="Calls with this label; repeatable.")
@click.option("--all", "everything", is_flag=True, help="Every call.")
@click.option("--now", "is_now", is_flag=True, help="End the streams that run, too.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in every refusal.")
@tenant_option("Whose calls; * is everybody's.", EVERY_TENANT)
@source_options
@json_option
@click.pass_context
def pause(ctx: click.Context, /, source: Source, as_json: bool, **said: Any) -> None:
    """Stop calls until somebody resumes them: `bursar pause --agent researcher --reason "it loops"`.

    New calls that match all that is said are refused within a second, in every process; what is in flight ends by
    itself, or with --now at once where it streams.
    """
    if ctx.invoked_subcommand is not None:
        return
    match = pairs("--label", said["labels"])
    if said["agents"]:
        match.setdefault("agent", []).extend(said["agents"])
    if bool(match) is said["everything"]:
        raise UsageError("say which calls: --agent or --label, or --all for every call")
    settings = source.load()
    with ledger_to_change(settings) as ledger:
        found = pause_calls(ledger, PauseWish(said["tenant"], match, said["reason"], said["is_now"]), acting(ledger))
    if as_json:
        echo_json(pause_shown(found))
    else:
        click.echo(f"paused: {_what(found)}. `bursar resume {found.id}` lets them go on")


@pause.command("list")
@tenant_option("Only what stops this tenant's calls (default: all).", None)
@source_options
@tz_option
@json_option
def list_(tenant: str | None, source: Source, tz: str | None, as_json: bool) -> None:
    """List what is paused."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        rows = list_pauses(ledger, tenant)
    if as_json:
        echo_json([pause_shown(row) for row in rows])
    elif rows:
        zone = zone_of(tz, settings)
        echo_table(
            COLUMNS, [[row.id, row.tenant, _what(row), row.reason, row.actor, instant(row.at_ns, zone)] for row in rows]
        )
    else:
        click.echo("nothing is paused")


@click.command()
@click.argument("pause_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="All that is paused.")
@source_options
@json_option
def resume(pause_id: str | None, everything: bool, source: Source, as_json: bool) -> None:
    """Let calls go on that were paused: one pause by its ID, or all."""
    if (pause_id is None) is not everything:
        raise UsageError("say which pause: its ID (`bursar pause list` shows them), or --all")
    settings = source.load()
    with ledger_of(settings) as ledger:
        count = 1
        if pause_id is None:
            count = resume_all(ledger, None, acting(ledger))
        else:
            resume_calls(ledger, None, pause_id.strip(), acting(ledger))
    if as_json:
        echo_json({"resumed": count})
    else:
        click.echo(f"{count:,} resumed" if count else "nothing was paused")


def _what(row: Pause) -> str:
    where = " and ".join(f"{label} is {' or '.join(patterns)}" for label, patterns in row.match)
    whose = "" if row.tenant == EVERY_TENANT else f" of tenant {row.tenant}"
    return f"calls{whose} where {where}" if where else f"every call{whose}"
