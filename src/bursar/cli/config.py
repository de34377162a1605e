"""`bursar config check`: whether a configuration can be understood, and what it says. Owns the words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bursar.cli.options import Source, json_option
from bursar.cli.table import echo_json
from bursar.cli.words import limits_words, scope_words
from bursar.config.load import FILE_NAME
from bursar.config.settings import Settings, StoreKind
from bursar.core.control import EVERY_TENANT

__all__ = ["config"]


@click.group()
def config() -> None:
    """The configuration file."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
def check(file: Path | None, as_json: bool) -> None:
    """Read FILE as the gateway would, with the variables of this environment, and say what is in force.

    Without FILE it is the one that BURSAR_CONFIG names, else bursar.yaml here. Every problem is shown with file and
    line; then the exit code is 2. Budgets and prices that were set while bursar runs are not in the file: `bursar
    budget list` has them.
    """
    settings = Source(file).load(is_calling=True)
    if as_json:
        echo_json(_json(settings))
        return
    click.echo(f"{settings.file or f'no {FILE_NAME}: only defaults'}: fine")
    for name, words in _words(settings):
        click.echo(f"  {name:<10} {words}")


def _words(settings: Settings) -> list[tuple[str, str]]:
    server, store = settings.server, settings.store
    found = [
        (
            "gateway",
            f"{server.host}:{server.port}, {server.workers} {'process' if server.workers == 1 else 'processes'}",
        ),
        ("ledger", "in memory" if store.kind is StoreKind.MEMORY else f"{store.path} ({store.durability})"),
    ]
    found += [
        ("provider", f"{each.name} at {each.base_url}{' (free)' if each.is_free else ''}")
        for each in settings.providers
    ]
    for budget in settings.budgets:
        whose = "each tenant" if budget.tenant == EVERY_TENANT else f"tenant {budget.tenant}"
        found.append(("budget", f"{budget.name}: {limits_words(budget)}{scope_words(budget)}, for {whose}"))
    if not settings.budgets:
        found.append(("budget", "none: calls are only recorded"))
    found += [
        ("price", f"{row.model} of {'any provider' if row.provider == '*' else row.provider}")
        for row in settings.prices
    ]
    found += [("model", f"{row.model}") for row in settings.models]
    return [*found, *([("link", settings.link)] if settings.link else [])]


def _json(settings: Settings) -> dict[str, Any]:
    return {
        "file": str(settings.file) if settings.file else None,
        "server": {"host": settings.server.host, "port": settings.server.port, "workers": settings.server.workers},
        "store": {"kind": str(settings.store.kind), "path": str(settings.store.path)},
        "providers": [each.name for each in settings.providers],
        "budgets": [{"name": each.name, "tenant": each.tenant} for each in settings.budgets],
        "prices": [{"provider": row.provider, "model": row.model} for row in settings.prices],
        "models": [row.model for row in settings.models],
        "link": settings.link or None,
    }
