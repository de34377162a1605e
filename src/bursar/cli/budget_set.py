"""`bursar budget set`, `top-up` and `remove`: budgets while bursar runs.

Owns the words and the options; what may be set is decided in `actions/limits.py`.
"""

from __future__ import annotations

from typing import Any

import click

from bursar.actions.limits import BudgetWish, TopUpWish, remove_budget, set_budget, top_up
from bursar.actions.shown import budget_json, top_up_json
from bursar.cli.options import (
    Source,
    acting,
    json_option,
    ledger_of,
    ledger_to_change,
    pairs,
    source_options,
    tenant_option,
)
from bursar.cli.table import echo_json
from bursar.cli.words import limits_words, money, scope_words
from bursar.core.budget import Limit, Unit
from bursar.core.control import EVERY_TENANT, TopUp
from bursar.errors import UsageError

__all__ = ["remove", "set_", "top_up_", "top_up_words"]

every_tenant = tenant_option("Whose it is; * gives each tenant the whole budget.", EVERY_TENANT)


@click.command("set")
@click.argument("name")
@click.argument("limits", metavar="LIMIT...", nargs=-1, required=True)
@every_tenant
@click.option("--per", multiple=True, metavar="LABEL", help="Each value of this label has the whole limit; repeatable.")
@click.option("--match", "matches", multiple=True, metavar="LABEL=VALUE", help="Only these calls count; repeatable.")
@click.option("--timezone", metavar="ZONE", help="Whose days, weeks and months (default: UTC).")
@click.option("--warn-at", multiple=True, metavar="PERCENT", help="Announced when so much is used; repeatable.")
@click.option("--strict", is_flag=True, help="Hold the worst case rather than the usual answer.")
@click.option("--link", metavar="URL", help="Where people ask for more.")
@source_options
@json_option
def set_(name: str, limits: tuple[str, ...], tenant: str, source: Source, as_json: bool, **said: Any) -> None:
    """Set a budget, or change the one of this name.

    Examples: `bursar budget set team "$50 / week" --match team=research`, `bursar budget set users "50k tokens / day"
    --per user`.
    """
    settings = source.load()
    wish = BudgetWish(tenant, name, _definition(limits, said))
    with ledger_to_change(settings) as ledger:
        budgets = set_budget(ledger, settings.budgets, wish, acting(ledger))
    if as_json:
        echo_json([budget_json(each) for each in budgets])
        return
    for each in budgets:
        whose = "each tenant" if each.tenant == EVERY_TENANT else f"tenant {each.tenant}"
        click.echo(f"{each.name}: {limits_words(each)}{scope_words(each)}, for {whose}")


def _definition(limits: tuple[str, ...], said: dict[str, Any]) -> dict[str, Any]:
    """Put the options together as they would stand in the file."""
    found: dict[str, Any] = {
        "limit": list(limits),
        "match": pairs("--match", said["matches"]),
        "per": list(said["per"]),
    }
    found |= {key: said[key] for key in ("timezone", "link")} | {"warn_at": list(said["warn_at"])}
    found["strict"] = said["strict"] or None
    return {key: value for key, value in found.items() if value}


@click.command("top-up")
@click.argument("name")
@click.argument("amount")
@tenant_option("For which tenant.")
@click.option("--scope", "scopes", multiple=True, metavar="LABEL=VALUE", help="Only for this one: --scope user=ada.")
@click.option("--id", "top_up_id", default="", metavar="ID", help="Given again with the same ID, it counts once.")
@source_options
@json_option
def top_up_(name: str, amount: str, tenant: str, source: Source, as_json: bool, **said: Any) -> None:
    """Give a budget more in its current window; it is gone with the window.

    Example: `bursar budget top-up team "$5"`.
    """
    settings = source.load()
    scope = pairs("--scope", said["scopes"])
    if any(len(values) > 1 for values in scope.values()):
        raise UsageError("--scope: one value for each label")
    wish = TopUpWish(
        tenant, name, amount, {label: values[0] for label, values in scope.items()}, said["top_up_id"].strip()
    )
    with ledger_of(settings) as ledger:
        found = top_up(ledger, settings.budgets, wish, acting(ledger))
    if as_json:
        echo_json(top_up_json(found))
    else:
        click.echo(f"{found.budget}: {top_up_words(found)} in this window (top-up {found.id})")


@click.command()
@click.argument("name")
@every_tenant
@source_options
@json_option
def remove(name: str, tenant: str, source: Source, as_json: bool) -> None:
    """Take out a budget that was set. What was spent under it stays recorded."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        remove_budget(ledger, settings.budgets, tenant, name, acting(ledger))
    if as_json:
        echo_json({"removed": name, "tenant": tenant})
    else:
        click.echo(f"budget {name!r} is taken out: it limits nothing any more")


def top_up_words(found: TopUp) -> str:
    """Say what was given more: `$5.00 more for user=ada`."""
    return f"{_amount(found.limit)} more for {found.scope or 'everybody'}"


def _amount(limit: Limit) -> str:
    return money(limit.amount) if limit.unit is Unit.USD else f"{limit.amount:,} {limit.unit.replace('_', ' ')}"
