"""`bursar budget`: what is used, held and left of each budget.

Owns the tables of standings and the exit codes of --check; the reading is `actions/budgets.py`. What changes a budget
stands in `cli/budget_set.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import click

from bursar.actions.budgets import BudgetStatus, Level, Standing, budget_status, worst
from bursar.actions.control import ControlState, state_of
from bursar.actions.shown import status_json
from bursar.cli.budget_set import remove, set_, top_up_, top_up_words
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
from bursar.cli.table import Column, clean, echo_json, echo_table
from bursar.cli.words import amount_words, limits_words, scope_words, until_words
from bursar.config.problems import near
from bursar.config.settings import Settings, StoreKind
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT
from bursar.errors import NotFound

__all__ = ["budget"]

SCOPES_SHOWN = 10
EXIT_CODES = {Level.FINE: 0, Level.WARNED: 4, Level.EXCEEDED: 3}
STATES = {Level.FINE: "", Level.WARNED: "warned", Level.EXCEEDED: "EXCEEDED"}
COLUMNS = (
    Column("scope", is_text=True),
    Column("used"),
    Column("held"),
    Column("limit"),
    Column("used %"),
    Column("until", is_text=True),
    Column("state", is_text=True),
)
check_option = click.option("--check", is_flag=True, help="Exit with 3 when a limit is used up, 4 when past a warning.")
all_option = click.option("--all", "show_all", is_flag=True, help=f"Every scope, not only the {SCOPES_SHOWN} fullest.")


whose_option = tenant_option("Whose balances.")


@click.group()
def budget() -> None:
    """What is used, held and left of each budget; set one, take it out, give more. With or without a gateway."""


for command in (set_, top_up_, remove):
    budget.add_command(command)


@budget.command("list")
@source_options
@whose_option
@tz_option
@all_option
@check_option
@json_option
def list_(source: Source, tenant: str, tz: str | None, as_json: bool, **shown: bool) -> None:
    """All budgets in their current windows, the fullest scopes first."""
    settings = source.load()
    _run(_statuses(settings, tenant, None), settings, tz, as_json, **shown)


@budget.command()
@click.argument("name")
@source_options
@whose_option
@tz_option
@all_option
@check_option
@json_option
def show(name: str, source: Source, tenant: str, tz: str | None, as_json: bool, **shown: bool) -> None:
    """One budget by its name."""
    settings = source.load()
    _run(_statuses(settings, tenant, name), settings, tz, as_json, **shown)


def _statuses(settings: Settings, tenant: str, name: str | None) -> tuple[BudgetStatus, ...]:
    if not settings.budgets and not _has_ledger(settings):
        return ()
    with ledger_of(settings) as ledger:
        state = state_of(ledger)
        _tell(state)
        budgets = state.all_budgets(settings.budgets)
        if name is not None:
            budgets = (_named(name, [each for each in budgets if each.tenant in (EVERY_TENANT, tenant)]),)
        return budget_status(ledger, budgets, tenant, now(ledger), state.all_top_ups(settings.budgets))


def _has_ledger(settings: Settings) -> bool:
    return settings.store.kind is StoreKind.SQLITE and settings.store.path.exists()


def _tell(state: ControlState) -> None:
    """Say what is stored and not in force: a budget that limits nothing must not look like none."""
    for problem in state.problems:
        click.echo(f"{click.style('not in force:', fg='red')} {problem}", err=True)


def _named(name: str, known: Sequence[Budget]) -> Budget:
    found = next((each for each in known if each.name == name), None)
    if found is None:
        meant = near(name, (each.name for each in known)) if known else "none is configured"
        raise NotFound(f"there is no budget {name!r}: {meant}")
    return found


def _run(statuses: Sequence[BudgetStatus], settings: Settings, tz: str | None, as_json: bool, **shown: bool) -> None:
    most, zone = None if shown["show_all"] else SCOPES_SHOWN, zone_of(tz, settings)
    if as_json:
        echo_json([{**status_json(status, most), "source": _source(status, settings)} for status in statuses])
    elif not statuses:
        click.echo("no budget is configured: `bursar init` writes a file with some, `bursar budget set` sets one")
    else:
        for index, status in enumerate(statuses):
            if index:
                click.echo()
            _echo(status, _source(status, settings), zone, most)
    sys.exit(EXIT_CODES[worst(statuses)] if shown["check"] else 0)


def _source(status: BudgetStatus, settings: Settings) -> str:
    """Say where a budget comes from: `file` (or a variable or flag), or `set` while bursar runs."""
    return "file" if status.budget in settings.budgets else "set"


def _echo(status: BudgetStatus, source: str, zone: ZoneInfo, most: int | None) -> None:
    budget = status.budget
    click.secho(f"{budget.name}", bold=True, nl=False)
    click.echo(f"  {limits_words(budget)}{scope_words(budget)}  [{source}]")
    for each in status.top_ups:
        click.echo(f"  topped up: {clean(top_up_words(each))}")
    if not status.standings:
        click.echo("  nobody has used it in this window")
        return
    shown = status.standings[:most]
    until = until_words(status.ends_ns, zone)
    echo_table(COLUMNS, [_cells(standing, until) for standing in shown])
    if len(shown) < len(status.standings):
        click.echo(f"  and {len(status.standings) - len(shown):,} less full (--all shows them)")


def _cells(standing: Standing, until: str) -> list[str]:
    unit = standing.limit.unit
    return [
        standing.scope or "(everybody)",
        amount_words(unit, standing.used),
        amount_words(unit, standing.balance.held),
        amount_words(unit, standing.limit.amount),
        f"{standing.percent} %",
        until,
        STATES[standing.level],
    ]
