"""`bursar runs approve`, `stop` and `finish`: what people do to one run.

Owns the words; the acts are `actions/runs.py`.
"""

from __future__ import annotations

import click

from bursar.actions.runs import RunWish, approve_run, finish_run, run_row_json, stop_run
from bursar.cli.options import Source, acting, json_option, ledger_of, source_options, tenant_option
from bursar.cli.table import clean, echo_json
from bursar.core.run import RunRow

__all__ = ["approve", "finish", "stop"]


@click.command()
@click.argument("run")
@click.option(
    "--add",
    "adds",
    multiple=True,
    metavar="AMOUNT",
    help="What it gets: $2, 50k tokens, 10 steps, 5 tool calls, 60 seconds; repeatable. "
    "Without it as much again of what stopped it.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the audit log.")
@tenant_option("Whose run.")
@source_options
@json_option
def approve(run: str, adds: tuple[str, ...], reason: str, tenant: str, source: Source, as_json: bool) -> None:
    """Let a run go on that a guard parked or stopped."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        wish = RunWish(tenant, run, reason, adds)
        row = approve_run(ledger, settings.budgets, settings.guards, wish, acting(ledger))
    _tell(row, "goes on", as_json)


@click.command()
@click.argument("run")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in every refusal.")
@tenant_option("Whose run.")
@source_options
@json_option
def stop(run: str, reason: str, tenant: str, source: Source, as_json: bool) -> None:
    """Stop a run: its next call is refused, in every process at once."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        row = stop_run(ledger, RunWish(tenant, run, reason), acting(ledger))
    _tell(row, f"is stopped; `bursar runs approve {clean(row.run)}` lets it go on", as_json)


@click.command()
@click.argument("run")
@click.option("--outcome", required=True, metavar="TEXT", help="How it ended, such as ok or failed.")
@tenant_option("Whose run.")
@source_options
@json_option
def finish(run: str, outcome: str, tenant: str, source: Source, as_json: bool) -> None:
    """Record how a run ended."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        row = finish_run(ledger, RunWish(tenant, run), outcome, acting(ledger))
    _tell(row, f"is finished: {clean(row.outcome)}", as_json)


def _tell(row: RunRow, what: str, as_json: bool) -> None:
    if as_json:
        echo_json(run_row_json(row))
    else:
        click.echo(f"run {clean(row.run)} {what}")
