"""`bursar runs`: what each run of an agent has cost, the latest first; and the group of what is asked of runs.

Owns the list's table; the sums are `reports/runs.py`, the acts `cli/run_acts.py`.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.cli.options import (
    Source,
    hint_elsewhere,
    json_option,
    ledger_of,
    now,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.run_acts import approve, finish, stop
from bursar.cli.run_show import compare, show
from bursar.cli.run_tasks import tasks
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.when import EXAMPLES, parse_instant
from bursar.cli.words import instant, short_money
from bursar.reports.runs import CALLS_MOST, Run, runs_since
from bursar.reports.shown import run_json

__all__ = ["runs"]

COLUMNS = (
    Column("run", is_text=True, is_id=True),
    Column("agent", is_text=True),
    Column("task", is_text=True),
    Column("state", is_text=True, is_id=True),
    Column("steps"),
    Column("in flight"),
    Column("input"),
    Column("output"),
    Column("cost"),
    Column("began", is_text=True),
    Column("last activity", is_text=True),
)


@click.group(invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.option("--since", default="7d", show_default=True, metavar="TIME", help=f"Active from then on: {EXAMPLES}.")
@click.option("--top", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="The latest N.")
@tenant_option("Whose runs.")
@source_options
@tz_option
@json_option
@click.pass_context
def runs(ctx: click.Context, /, source: Source, tz: str | None, as_json: bool, **said: Any) -> None:
    """Runs of agents: steps, tokens, cost and last activity; the run that did something last comes first.

    A run is what calls share under the label `run` (the header x-bursar-run, and what some clients send).
    """
    if ctx.invoked_subcommand is not None:
        return
    settings, top = source.load(), said["top"]
    zone = zone_of(tz, settings)
    with ledger_of(settings) as ledger:
        found = runs_since(ledger, said["tenant"], parse_instant(said["since"], zone, now(ledger)))
        if not found.rows:
            hint_elsewhere(ledger, said["tenant"])
    if as_json:
        echo_json([run_json(row) for row in found.rows[:top]])
    elif found.rows:
        echo_table(COLUMNS, [_cells(row, zone) for row in found.rows[:top]])
        if len(found.rows) > top:
            click.echo(f"and {len(found.rows) - top:,} more (--top)")
    else:
        click.echo("no call of this time belongs to a run: clients name it in the header x-bursar-run")
    if found.is_cut:
        click.echo(
            f"only the latest {CALLS_MOST:,} calls were looked at; of the earliest run a part may be missing", err=True
        )


for each in (show, tasks, compare, approve, stop, finish):
    runs.add_command(each)


def _cells(row: Run, zone: ZoneInfo) -> list[str]:
    amounts = row.amounts
    numbers = [f"{count:,}" for count in (row.steps, row.in_flight, amounts.input_tokens, amounts.output_tokens)]
    times = [instant(at_ns, zone, "%m-%d %H:%M:%S") for at_ns in (row.began_ns, row.active_ns)]
    return [row.run, row.agent, row.task, _state(row), *numbers, short_money(amounts.cost_nano), *times]


def _state(row: Run) -> str:
    return f"{row.state} ({row.guard})" if row.guard else row.state
