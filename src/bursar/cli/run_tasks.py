"""`bursar runs tasks`: what a task costs, and what a finished one costs.

Owns the table; the sums are `reports/tasks.py`.
"""

from __future__ import annotations

import click

from bursar.cli.options import (
    Source,
    hint_elsewhere,
    json_option,
    ledger_of,
    now,
    source_options,
    tenant_option,
    zone_of,
)
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.when import Period, period_options
from bursar.cli.words import short_money
from bursar.core.labels import LABEL_NAMES, is_label
from bursar.core.money import Nano
from bursar.errors import UsageError
from bursar.reports.shown_runs import tasks_json
from bursar.reports.tasks import TaskCost, task_costs

__all__ = ["tasks"]


@click.command()
@source_options
@click.option("--by", default="task", show_default=True, metavar="LABEL", help="What runs are grouped by.")
@period_options
@click.option(
    "--top", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="The dearest N."
)
@json_option
@tenant_option("Whose runs.")
def tasks(source: Source, by: str, period: Period, top: int, as_json: bool, tenant: str) -> None:
    """Cost of a task, of one run of it, and of one finished: everything that was spent over the finished runs.

    A run is finished when its agent or a person says so, with an outcome.
    """
    settings = source.load()
    label = by.strip() if by.startswith("tag.") else by.strip().lower().replace("-", "_")
    if not is_label(label) or label == "run":
        known = ", ".join(name for name in LABEL_NAMES if name != "run")
        raise UsageError(f"--by {by[:60]}: write one of {known}, tag.NAME")
    zone = zone_of(period.tz, settings)
    with ledger_of(settings) as ledger:
        found = task_costs(ledger, tenant, *period.read(zone, now(ledger)), label)
        if not found.total.calls:
            hint_elsewhere(ledger, tenant)
    if as_json:
        echo_json(tasks_json(found))
        return
    if not found.total.calls:
        click.echo("no calls were recorded in this time (--since and --until choose another)")
        return
    columns = (
        Column(label, is_text=True),
        *(Column(name) for name in ("runs", "finished", "stopped")),
        Column("outcomes", is_text=True),
        *(Column(name) for name in ("calls", "cost", "per run", "per finished")),
    )
    echo_table(columns, [_cells(row.value, row) for row in found.rows[:top]], _cells("total", found.total))
    if len(found.rows) > top:
        click.echo(f"and {len(found.rows) - top:,} more (--top)")


def _cells(name: str, row: TaskCost) -> list[str]:
    outcomes = ", ".join(f"{count:,} {outcome or '(none)'}" for outcome, count in row.outcomes.items())
    counts = [f"{count:,}" for count in (row.runs, row.finished, row.stopped)]
    costs = [short_money(row.amounts.cost_nano), _cost(row.per_run_nano), _cost(row.per_finished_nano)]
    return [name, *counts, outcomes, f"{row.calls:,}", *costs]


def _cost(nano: Nano | None) -> str:
    return "-" if nano is None else short_money(nano)
