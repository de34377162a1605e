"""`bursar budget`: what is used, held and left of each budget.

Owns the tables of standings and the exit codes of --check; the reading is `actions/budgets.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.actions.budgets import BudgetStatus, Level, Standing, budget_status, worst
from bursar.cli.options import TENANT, Source, json_option, ledger_of, now, source_options, tz_option, zone_of
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.words import amount_words, limits_words, plain_usd, scope_words, until_words
from bursar.config.problems import near
from bursar.core.budget import Unit
from bursar.core.window import FOREVER_NS, to_datetime
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


@click.group()
def budget() -> None:
    """What is used, held and left of each budget, whether the gateway runs or not."""


@budget.command("list")
@source_options
@tz_option
@all_option
@check_option
@json_option
def list_(source: Source, tz: str | None, show_all: bool, check: bool, as_json: bool) -> None:
    """All budgets in their current windows, the fullest scopes first."""
    _run(_statuses(source, None), zone_of(tz, source.load()), show_all, check, as_json)


@budget.command()
@click.argument("name")
@source_options
@tz_option
@all_option
@check_option
@json_option
def show(name: str, source: Source, tz: str | None, show_all: bool, check: bool, as_json: bool) -> None:
    """One budget by its name."""
    _run(_statuses(source, name), zone_of(tz, source.load()), show_all, check, as_json)


def _statuses(source: Source, name: str | None) -> tuple[BudgetStatus, ...]:
    settings = source.load()
    budgets = settings.budgets
    if name is not None:
        budgets = tuple(budget for budget in budgets if budget.name == name)
        if not budgets:
            meant = (
                near(name, (budget.name for budget in settings.budgets)) if settings.budgets else "none is configured"
            )
            raise NotFound(f"there is no budget {name!r}: {meant}")
    with ledger_of(settings) as ledger:
        return budget_status(ledger, budgets, TENANT, now(ledger))


def _run(statuses: Sequence[BudgetStatus], zone: ZoneInfo, show_all: bool, check: bool, as_json: bool) -> None:
    most = None if show_all else SCOPES_SHOWN
    if as_json:
        echo_json([_json(status, most) for status in statuses])
    elif not statuses:
        click.echo("no budget is configured: `bursar init` writes a file with some")
    else:
        for index, status in enumerate(statuses):
            if index:
                click.echo()
            _echo(status, zone, most)
    sys.exit(EXIT_CODES[worst(statuses)] if check else 0)


def _echo(status: BudgetStatus, zone: ZoneInfo, most: int | None) -> None:
    budget = status.budget
    click.secho(f"{budget.name}", bold=True, nl=False)
    click.echo(f"  {limits_words(budget)}{scope_words(budget)}")
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


def _json(status: BudgetStatus, most: int | None) -> dict[str, Any]:
    budget = status.budget
    return {
        "name": budget.name,
        "per": list(budget.split),
        "match": {label: list(patterns) for label, patterns in budget.match},
        "window": str(budget.window.kind),
        "timezone": budget.window.timezone,
        "starts": _iso(status.starts_ns) if status.starts_ns else None,
        "ends": _iso(status.ends_ns) if status.ends_ns < FOREVER_NS else None,
        "level": status.level.name.lower(),
        "scopes": len({standing.scope for standing in status.standings}),
        "standings": [_standing_json(standing) for standing in status.standings[:most]],
    }


def _iso(at_ns: int) -> str:
    return f"{to_datetime(at_ns):%Y-%m-%dT%H:%M:%SZ}"


def _standing_json(standing: Standing) -> dict[str, Any]:
    balance, unit = standing.balance, standing.limit.unit
    amounts = {
        "limit": standing.limit.amount,
        "used": standing.used,
        "settled": balance.settled,
        "presumed": balance.presumed,
        "held": balance.held,
        "left": standing.left,
    }
    if unit is Unit.USD:
        amounts_usd = {f"{name}_usd": plain_usd(amount) for name, amount in amounts.items()}
        named: dict[str, Any] = {**{f"{name}_nano": amount for name, amount in amounts.items()}, **amounts_usd}
    else:
        named = dict(amounts)
    return {
        "scope": standing.scope,
        "unit": str(unit),
        **named,
        "percent": standing.percent,
        "level": standing.level.name.lower(),
    }
